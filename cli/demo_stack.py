"""A complete stack of its own for a short while: fresh data directory, free ports, gone afterwards."""

from __future__ import annotations

import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import Unavailable
from core.settings import child_environment
from stack.child import tail
from stack.servers import scratch_data_dir
from stack.servers.redis import free_port
from stack.state import ProcessPhase, StackState

START_TIMEOUT_S = 1800.0  # of which a machine without the weights of profile `full` spends most on loading them
STOP_TIMEOUT_S = 150.0


@contextmanager
def own_stack(report: Callable[[str], None]) -> Iterator[StackState]:
    """Run `mathcode up` beside us and yield it when all of it serves; until then `report` what it says.

    Raises Unavailable where it does not come to that.
    """
    with scratch_data_dir() as data_dir, (data_dir / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "up", "--json"],
            env=_environment(data_dir),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C is ours; we stop it in order
        )
        try:
            state = StackState.model_validate_json(_first_line(process, data_dir / "up.log", report))
            _require_complete(state)
            yield state
        finally:
            _stop(process)


def _environment(data_dir: Path) -> dict[str, str]:
    """Empty values count as unset: the demo uses no server of the operator's."""
    return child_environment(
        MATHCODE_DATA_DIR=str(data_dir),
        MATHCODE_HOST="127.0.0.1",
        MATHCODE_REQUIRE_KEYS="never",
        MATHCODE_PORT=str(free_port()),
        MATHCODE_FLOWER_PORT=str(free_port()),
        MATHCODE_TRAINER_PORT=str(free_port()),
        DATABASE_URL="",
        REDIS_URL="",
    )


def _require_complete(state: StackState) -> None:
    refused = [process for process in state.processes if process.phase is ProcessPhase.REFUSED]
    if refused:
        raise Unavailable("; ".join(f"{process.name} does not run: {process.reason}" for process in refused))


def _first_line(process: subprocess.Popen[bytes], log: Path, report: Callable[[str], None]) -> bytes:
    deadline = time.monotonic() + START_TIMEOUT_S
    output = process.stdout
    while output is not None and time.monotonic() < deadline:
        report(tail(log, lines=1))
        ready, _, _ = select.select([output], [], [], 0.2)
        if ready:
            line = output.readline()
            if line:
                return line
            break
    raise Unavailable(f"the demo's stack did not become ready: {tail(log, lines=5)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()  # its children end with it
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
