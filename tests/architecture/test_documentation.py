"""Laws about the documents: generated ones are current, and what they point at exists."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from core.settings import variables
from core.settings_reference import render

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if path.is_file()
)


def text_of(document: Path) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def test_the_configuration_page_is_what_the_settings_say() -> None:
    assert text_of(Path("docs/configuration.md")) == render(), "run `make docs`"


@pytest.mark.parametrize("name", list(variables()))
def test_every_setting_has_a_description(name: str) -> None:
    assert variables()[name].description
    assert f"| `{name}` |" in render()


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_variable_named_in_a_document_is_a_setting(document: Path) -> None:
    named = set(re.findall(r"\bMATHCODE_[A-Z0-9_]+\b", text_of(document)))
    assert named <= set(variables())


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_local_link_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|mailto:)([^)\s]+)", text_of(document))
    assert [target for target in targets if not _leads_somewhere(document, target)] == []


def _leads_somewhere(document: Path, target: str) -> bool:
    """Whether the file is there and, of a Markdown file, the heading that the anchor names."""
    name, _, anchor = target.partition("#")
    path = ROOT / document.parent / name if name else ROOT / document
    if not path.exists() or not anchor:
        return path.exists()
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return anchor in {_slug(heading) for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)}


def _slug(heading: str) -> str:
    """As GitHub, and the site, name a heading."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


def blocks(language: str) -> list[Any]:
    """Every fenced block of a language, with the document and the line that it stands in."""
    found = []
    for document in DOCUMENTS:
        text = text_of(document)
        for match in re.finditer(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
            found.append(pytest.param(match[1], id=f"{document}:{text.count(chr(10), 0, match.start()) + 1}"))
    assert found
    return found


@pytest.mark.parametrize("block", blocks("json"))
def test_every_block_of_json_is_json(block: str) -> None:
    json.loads(block)


@pytest.mark.parametrize("block", blocks("python"))
def test_every_block_of_python_compiles(block: str) -> None:
    compile(block, "<document>", "exec")


def messages() -> str:
    """All texts of our sources, of f-strings the parts between what differs."""
    sources = [path for path in ROOT.rglob("*.py") if not {".venv", "build", "tests"} & set(path.parts)]
    texts = [
        node.value
        for source in sources
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return "\0".join([*texts, text_of(Path("Makefile"))])


def test_troubleshooting_quotes_what_is_printed() -> None:
    quoted = re.findall(r"^```text\n(.*?)^```", text_of(Path("docs/troubleshooting.md")), flags=re.DOTALL | re.M)
    assert len(quoted) > 15
    parts = [part.strip() for block in quoted for part in re.split(r"\.\.\.|: ", block.strip())]
    said = messages()
    assert [part for part in parts if len(part) > 3 and part not in said] == []


def test_the_readme_names_every_folder_of_sources() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    readme = text_of(Path("README.md"))
    assert [folder for folder in sorted(folders) if f"`{folder}/" not in readme] == []


def test_every_make_target_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of(Path("Makefile")), flags=re.MULTILINE))
    named = {name for document in DOCUMENTS for name in re.findall(r"`make ([a-z]+)", text_of(document))}
    assert named <= targets


@pytest.mark.parametrize("document", [Path("docs/promises.md"), Path("docs/security.md")], ids=str)
def test_every_test_a_document_names_exists(document: Path) -> None:
    """A promise whose test was renamed or removed is nobody's promise any more."""
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text_of(document))
    assert len(named) > 10
    missing = [f"{path}::{name}" for path, name in named if not _has_test(ROOT / path, name)]
    assert missing == []


def _has_test(path: Path, name: str) -> bool:
    return path.is_file() and (not name or f"\ndef {name}(" in path.read_text(encoding="utf-8"))
