"""Which user the embedded servers run as: PostgreSQL refuses root, so root's drop to an existing account."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import ConfigurationError

CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user that already exists on this machine."""

    name: str
    uid: int
    gid: int

    def popen_options(self) -> dict[str, Any]:
        """Arguments of `subprocess.Popen` that start a child as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_enter(self, directory: Path) -> bool:
        return self._missing_step(directory) is None

    def require_reach(self, directory: Path) -> None:
        """Raise ConfigurationError unless this user can enter `directory` through all its parents."""
        closed = self._missing_step(directory)
        if closed is not None:
            raise ConfigurationError(
                f"root's PostgreSQL and Redis run as user {self.name!r}, who cannot enter {directory} because "
                f"{closed} is closed to others: choose another MATHCODE_DATA_DIR (default: /var/lib/mathcode)"
            )

    def _missing_step(self, directory: Path) -> Path | None:
        path = directory.resolve()
        return next((step for step in (*reversed(path.parents), path) if not self._may_search(step)), None)

    def _may_search(self, directory: Path) -> bool:
        status = directory.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def server_account(existing: Path) -> Account | None:
    """The account for servers whose files lie (or will lie) in `existing`; None where we are not root.

    The owner of existing files stays their owner, even when a preferred account has appeared since.
    """
    if os.geteuid() != 0:
        return None
    owner = _owner(existing)
    if owner is not None:
        return owner
    for name in CANDIDATES:
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise ConfigurationError(
        f"PostgreSQL refuses to run as root and no user {' or '.join(CANDIDATES)} exists: "
        "run mathcode as an ordinary user, or set DATABASE_URL and REDIS_URL"
    )


def _owner(directory: Path) -> Account | None:
    if not directory.is_dir() or (uid := directory.stat().st_uid) == 0:
        return None
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:
        return Account(name=str(uid), uid=uid, gid=directory.stat().st_gid)


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
