"""The files of a directory: regular ones only, none behind a symbolic link, and none that a build leaves."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

LEFT_BY_TOOLS = frozenset(
    (".git", ".hg", ".svn", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox", ".venv")
)
DEEPEST = 64
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def walk(root: Path, *, stops: bool = False) -> Iterator[str]:
    """Paths of regular files below `root`, relative to it, in order; with `stops`, none of other repositories."""
    pending = [""]
    while pending:
        inside = pending.pop()
        directories = []
        for entry in _entries(root / inside):
            path = os.path.join(inside, entry.name)  # noqa: PTH118 -- a Path a file would double the time
            if _is(entry, directory=True):
                if _is_entered(entry, path, stops=stops):
                    directories.append(path)
            elif _is(entry, directory=False):
                yield path
        pending += reversed(directories)


def repositories(root: Path) -> Iterator[Path]:
    """Directories below `root` that are repositories of git, not those inside another."""
    pending = [(root, 0)]
    while pending:
        directory, depth = pending.pop()
        for entry in _entries(directory):
            if entry.name in LEFT_BY_TOOLS or not _is(entry, directory=True) or depth >= DEEPEST:
                continue
            path = Path(entry.path)
            if is_repository(path):
                yield path
            else:
                pending.append((path, depth + 1))


def is_repository(directory: Path) -> bool:
    return os.path.lexists(directory / ".git")


def read_regular(path: Path, *, most_bytes: int) -> bytes | None:
    """The first bytes of a regular file, or None where it is none, has vanished or may not be read."""
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return _read(descriptor, most_bytes)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _read(descriptor: int, most_bytes: int) -> bytes:
    parts, left = [], most_bytes
    while left > 0 and (part := os.read(descriptor, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def printable(path: str) -> str:
    """A path as it can be stored: bytes that are no UTF-8 are written out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:  # vanished, or not ours to read
        return []


def _is(entry: os.DirEntry[str], *, directory: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False) if directory else entry.is_file(follow_symlinks=False)
    except OSError:
        return False


def _is_entered(entry: os.DirEntry[str], path: str, *, stops: bool) -> bool:
    is_deep = path.count(os.sep) >= DEEPEST
    return entry.name not in LEFT_BY_TOOLS and not is_deep and not (stops and is_repository(Path(entry.path)))
