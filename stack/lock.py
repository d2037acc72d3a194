"""One stack per data directory: a lock that the kernel releases when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import ConfigurationError, StackAlreadyRunning
from stack.layout import Layout

# `running_stack` holds the lock for an instant to look at it; a starting stack outwaits that.
_ACQUIRE_S = 0.5
_RETRY_S = 0.02


@dataclass(frozen=True, slots=True)
class Holder:
    """Who runs a stack, and where it answers."""

    pid: int
    url: str


@contextmanager
def hold_lock(layout: Layout, *, url: str) -> Iterator[None]:
    """Be the only stack on this data directory; StackAlreadyRunning if there is one."""
    descriptor = _open(layout.lock_file, os.O_RDWR | os.O_CREAT)
    try:
        _acquire(descriptor, layout)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(Holder(pid=os.getpid(), url=url))).encode(), 0)
        yield
    finally:
        os.close(descriptor)  # releases the lock; children never inherit the descriptor


def running_stack(layout: Layout) -> Holder | None:
    """The stack that holds the data directory now."""
    if not layout.lock_file.exists():
        return None
    descriptor = _open(layout.lock_file, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, layout: Layout) -> None:
    deadline = time.monotonic() + _ACQUIRE_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise _already_running(_read_holder(descriptor), layout) from None
        time.sleep(_RETRY_S)


def _already_running(holder: Holder, layout: Layout) -> StackAlreadyRunning:
    return StackAlreadyRunning(
        f"a stack runs on {layout.data_dir} already (process {holder.pid}, {holder.url}): "
        "stop it with `mathcode down`, or set another MATHCODE_DATA_DIR"
    )


def _read_holder(descriptor: int) -> Holder:
    """A holder that has just locked may not have written yet: it is process 0 for that instant."""
    try:
        return Holder(**json.loads(os.pread(descriptor, 4096, 0)))
    except ValueError:
        return Holder(pid=0, url="starting")


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise ConfigurationError(
            f"{path} belongs to another user: use that user or another MATHCODE_DATA_DIR"
        ) from error
