"""What a running stack writes down about itself, for `mathcode status` and for its successor after a crash."""

from __future__ import annotations

from enum import StrEnum

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from stack.files import write_private
from stack.layout import Layout
from stack.servers.leftovers import end_processes


class ProcessPhase(StrEnum):
    """Where one supervised process stands."""

    RUNNING = "running"
    WAITING = "waiting"  # it died and is started again after a pause
    REFUSED = "refused"  # it says that its configuration must change first
    STOPPED = "stopped"


class ProcessState(BaseModel):
    """One supervised process. `since` is when the phase began, in seconds since the epoch."""

    model_config = ConfigDict(frozen=True)

    name: str
    phase: ProcessPhase
    pid: int | None
    created: float | None  # tells this process from a later one with the same number
    since: float
    restarts: int
    reason: str | None


class StackState(BaseModel):
    """The whole stack; holds no secret."""

    model_config = ConfigDict(frozen=True)

    pid: int
    started: float
    ready: float | None
    profile: str
    api_url: str
    flower_url: str
    data_dir: str
    processes: tuple[ProcessState, ...]


def write_state(layout: Layout, state: StackState) -> None:
    write_private(layout.state_file, state.model_dump_json(indent=2))


def read_state(layout: Layout) -> StackState | None:
    """The last state written, or None where there is none or it is no longer legible."""
    try:
        return StackState.model_validate_json(layout.state_file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def created(pid: int | None) -> float | None:
    try:
        return None if pid is None else psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None


def end_survivors(state: StackState) -> int:
    """End the processes of a stack that is gone; the caller holds the lock. Returns how many there were."""
    survivors = [
        psutil.Process(process.pid)
        for process in state.processes
        if process.pid is not None and process.created is not None and created(process.pid) == process.created
    ]
    end_processes(survivors)
    return len(survivors)
