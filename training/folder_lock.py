"""One trainer per run folder: a lock that the kernel releases when its holder ends, however it ends.

The ledger's lease says whose a run is, but a worker that was frozen leaves behind a trainer that knows
nothing of it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import FolderBusy, TrainingFailed
from training.storage import says_disk_full

LOCK_FILE = "trainer.lock"
PATIENCE_S = 10.0
"""The pipeline begins again after it, for as long as it takes."""
RETRY_S = 0.2
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@contextmanager
def folder_lock(folder: Path, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Be the only one that trains in `folder` for the block. Raises FolderBusy, TrainingFailed, DiskFull."""
    with says_disk_full(folder):
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _acquire(descriptor, folder, patience_s)
        with says_disk_full(folder):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, folder: Path, patience_s: float) -> None:
    give_up_at = time.monotonic() + patience_s
    while not _is_taken(descriptor, folder):
        if time.monotonic() >= give_up_at:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace") or "unknown"
            raise FolderBusy(
                f"process {holder} still trains in {folder}: it is waited for; end the worker that started it "
                "if that hangs"
            )
        time.sleep(RETRY_S)


def _is_taken(descriptor: int, folder: Path) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise TrainingFailed(
            f"{folder} cannot be locked: put MATHCODE_DATA_DIR on a disk that has locks"
        ) from error
    return True
