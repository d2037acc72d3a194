"""Servers that outlived the stack that started them."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path

import psutil

PROGRAMS = ("postgres", "valkey-server", "redis-server")


def end_leftovers(directory: Path) -> int:
    """End every server process that works in `directory`; the caller holds the data directory's lock.

    Returns how many there were. Both servers make their data directory their working directory, and so do the
    backends of a PostgreSQL whose first process was killed.
    """
    found = [process for process in psutil.process_iter() if _works_in(process, directory)]
    end_processes(found)
    return len(found)


def end_processes(found: list[psutil.Process]) -> None:
    """End processes that are not our children: SIGTERM, then SIGKILL."""
    for number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        _, found = psutil.wait_procs(found, timeout=seconds)


def _works_in(process: psutil.Process, directory: Path) -> bool:
    try:
        return process.name() in PROGRAMS and Path(process.cwd()) == directory.resolve()
    except psutil.Error:
        return False
