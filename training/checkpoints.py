"""Checkpoints of a training: written beside, then renamed; only those whole to the byte are resumed from."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from training.storage import whole_directory

KEPT = 2
WHOLE_FILE = "whole.json"
"""Size and SHA-256 of every other file of a checkpoint; written last."""
_NAME = re.compile(r"checkpoint-(\d+)")


@contextmanager
def whole_checkpoint(folder: Path, step: int) -> Iterator[Path]:
    """An empty directory to fill with what makes up a checkpoint; older ones but `KEPT` go. Raises DiskFull."""
    with whole_directory(folder / f"checkpoint-{step}") as draft:
        yield draft
        (draft / WHOLE_FILE).write_text(json.dumps(_describe(draft), indent=1), encoding="utf-8")
    for old in _newest_first(folder)[KEPT:]:
        shutil.rmtree(old)


def newest_whole(folder: Path, pass_over: Callable[[Path], None]) -> Path | None:
    """The newest checkpoint that is whole; torn ones that are newer are removed, `pass_over` is told of each."""
    for checkpoint in _newest_first(folder):
        if is_whole(checkpoint):
            return checkpoint
        pass_over(checkpoint)
        shutil.rmtree(checkpoint)
    return None


def is_whole(checkpoint: Path) -> bool:
    """Whether every file is there as it was written."""
    try:
        kept = json.loads((checkpoint / WHOLE_FILE).read_text(encoding="utf-8"))
        return bool(kept) and _describe(checkpoint) == kept
    except (OSError, ValueError):
        return False


def _newest_first(folder: Path) -> list[Path]:
    steps = {path: match for path in folder.glob("checkpoint-*") if (match := _NAME.fullmatch(path.name))}
    return sorted(steps, key=lambda path: -int(steps[path][1]))


def _describe(checkpoint: Path) -> dict[str, list[int | str]]:
    described: dict[str, list[int | str]] = {}
    for file in sorted(checkpoint.iterdir()):
        if file.name != WHOLE_FILE:
            with file.open("rb") as stream:
                described[file.name] = [
                    file.stat().st_size,
                    hashlib.file_digest(stream, "sha256").hexdigest(),
                ]
    return described
