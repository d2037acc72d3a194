"""Disks that can be filled: one of memory under each server, where this process may mount."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SIZE = "1500m"


@dataclass(frozen=True, slots=True)
class Disk:
    """What is mounted at `directory`, and nothing else lies on."""

    directory: Path

    @property
    def _ballast(self) -> Path:
        return self.directory / "ballast"

    def fill(self) -> None:
        """Return when not a byte more can be written."""
        with self._ballast.open("ab") as ballast:
            free = os.statvfs(self.directory).f_bavail * os.statvfs(self.directory).f_frsize
            while free >= PAGE:
                try:
                    os.posix_fallocate(ballast.fileno(), ballast.seek(0, os.SEEK_END), free)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    free //= 2  # others have written meanwhile

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)


PAGE = 4096


@contextmanager
def disk(directory: Path) -> Iterator[Disk | None]:
    """Over an existing directory. None where nothing may be mounted: that takes the rights of root."""
    found = directory.stat()
    options = f"size={SIZE},mode={found.st_mode & 0o777:o},uid={found.st_uid},gid={found.st_gid}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "mathcode-faults", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        yield None
        return
    try:
        yield Disk(directory)
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=False)  # noqa: S607
