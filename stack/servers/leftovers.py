"""Servers that outlived the stack that started them."""

from __future__ import annotations

from pathlib import Path

import psutil

PROGRAMS = ("postgres", "valkey-server", "redis-server")


def end_leftovers(directory: Path) -> int:
    """End every server process that works in `directory`; the caller holds the data directory's lock.

    Returns how many there were. Both servers make their data directory their working directory, and so do the
    backends of a PostgreSQL whose first process was killed.
    """
    found = [process for process in psutil.process_iter() if _works_in(process, directory)]
    for process in found:
        _ignore_gone(process.terminate)
    _, alive = psutil.wait_procs(found, timeout=5)
    for process in alive:
        _ignore_gone(process.kill)
    psutil.wait_procs(alive, timeout=5)
    return len(found)


def _works_in(process: psutil.Process, directory: Path) -> bool:
    try:
        return process.name() in PROGRAMS and Path(process.cwd()) == directory.resolve()
    except psutil.Error:
        return False


def _ignore_gone(action: object) -> None:
    try:
        if callable(action):
            action()
    except psutil.NoSuchProcess:
        return
