"""Python source for fluency: the standard library and permissively licensed packages that are installed here.

Read where it lies; nothing is copied into the repository.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

PACKAGES = (
    "networkx",
    "sympy",
    "mpmath",
    "packaging",
    "filelock",
    "fsspec",
    "jinja2",
    "click",
    "pydantic",
    "torch/nn",
    "torch/utils",
    "torch/optim",
    "transformers/models/llama",
    "transformers/models/mistral",
    "peft",
    "accelerate",
    "requests",
    "rich",
    "attr",
    "yaml",
)
"""MIT, BSD or Apache-2.0; those that are missing are passed over."""
_LEFT_OUT = (
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "site-packages",
    "dist-packages",
    "encodings",
    "pydoc_data",
    "__pycache__",
    "msilib",
)
MOST_BYTES = 60_000


def source_files() -> Iterator[Path]:
    """Files of the standard library, then of the packages, in order of their paths."""
    library = Path(sysconfig.get_paths()["stdlib"])
    yield from _files(library)
    for name in PACKAGES:
        for root in {sysconfig.get_paths()[key] for key in ("purelib", "platlib")} | _found(name):
            yield from _files(Path(root) / name, is_package=True)


def _found(name: str) -> set[str]:
    """Where an installed package of that name was imported from, if it is elsewhere."""
    import importlib.util

    found = importlib.util.find_spec(name.split("/", maxsplit=1)[0])
    return {str(Path(found.origin).parent.parent)} if found is not None and found.origin else set()


def _files(root: Path, *, is_package: bool = False) -> Iterator[Path]:
    left_out = set(_LEFT_OUT) - ({"site-packages", "dist-packages"} if is_package else set())
    for path in sorted(root.rglob("*.py")):
        inner = path.relative_to(root).parts
        if not left_out.intersection(inner) and 400 < path.stat().st_size < MOST_BYTES:
            yield path


def source_texts() -> Iterator[str]:
    """Their text, each file once."""
    seen = set()
    for path in source_files():
        try:
            text = path.read_text(encoding="utf-8").expandtabs(4)
        except (OSError, UnicodeDecodeError):
            continue
        if (key := hash(text)) not in seen and text.isascii():
            seen.add(key)
            yield text
