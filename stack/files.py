"""Small files that must be whole and private: secrets, services, state."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from stack.accounts import Account


def write_private(path: Path, text: str, *, owner: Account | None = None) -> None:
    """Replace `path` by `text` in one step, readable by its owner only."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o600)
        if owner is not None:
            os.fchown(stream.fileno(), owner.uid, owner.gid)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def keep_secret(path: Path) -> str:
    """The secret stored in `path`, made on first use."""
    if path.exists() and (stored := path.read_text(encoding="utf-8").strip()):
        return stored
    fresh = secrets.token_urlsafe(32)
    write_private(path, fresh)
    return fresh


def make_directory(path: Path, *, mode: int, owner: Account | None = None) -> None:
    """Create `path` with exactly `mode`; a directory that exists already is left as it is."""
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        return
    path.chmod(mode)  # past the umask; this directory is ours, nobody else had it before
    if owner is not None:
        os.chown(path, owner.uid, owner.gid)
