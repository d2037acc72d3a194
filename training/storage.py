"""Writes files and directories that are whole or not there, and survive a power cut."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.disk import sync
from core.errors import DiskFull

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TORCH_SAYS = ("PytorchStreamWriter failed", "iostream error", "inline_container.cc")
"""torch.save tells which of its own lines failed, and nothing of the disk."""


def write_whole(path: Path, text: str) -> None:
    """Put `text` at `path` in one step. Raises DiskFull."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with says_disk_full(path):
        try:
            with draft.open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(path)
            sync(path.parent)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """An empty directory to fill; at the end of the block it is at `path`, in place of what was there.

    After an error nothing of it is left, and `path` is as it was. Raises DiskFull.
    """
    with says_disk_full(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            draft.chmod(0o755)
            yield draft
            _publish(draft, path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _publish(draft: Path, path: Path) -> None:
    for file in sorted(draft.rglob("*")):
        if file.is_file():
            file.chmod(0o644)
        sync(file)
    sync(draft)
    former = path.with_name(f".{path.name}-former")
    shutil.rmtree(former, ignore_errors=True)
    if path.exists():
        path.rename(former)
    draft.rename(path)
    sync(path.parent)
    shutil.rmtree(former, ignore_errors=True)


def sweep_drafts(folder: Path) -> None:
    """Remove what processes that died in the middle of writing have left in `folder`; no other may be writing."""
    for draft in folder.glob(".*-*"):
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def says_disk_full(path: Path) -> Iterator[None]:
    """Translate what a full disk makes libraries raise while they write to `path`. Raises DiskFull."""
    try:
        yield
    except Exception as error:
        if not _is_no_room(error):
            raise
        raise DiskFull(f"{path} cannot be written ({error}): free disk space, then the run goes on") from error


def _is_no_room(error: BaseException | None) -> bool:
    """Whether a full disk is behind `error`; torch and safetensors give the cause in their text alone."""
    if error is None:
        return False
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    text = str(error)
    told = any(os.strerror(number) in text or f"os error {number}" in text for number in _NO_ROOM)
    return told or any(each in text for each in _TORCH_SAYS) or _is_no_room(error.__context__)
