"""`mathcode down`: ask the running stack to stop and wait until it is gone."""

from __future__ import annotations

import os
import signal
import time

from core.errors import ConfigurationError, Unavailable
from stack.layout import Layout
from stack.lock import Holder, running_stack

LONGEST_STOP_S = 120.0
POLL_S = 0.05


def stop_stack(layout: Layout) -> Holder | None:
    """The stack that was stopped, or None where none ran."""
    holder = running_stack(layout)
    if holder is None or holder.pid == 0:
        return None
    try:
        os.kill(holder.pid, signal.SIGTERM)
    except ProcessLookupError:
        return holder
    except PermissionError as error:
        raise ConfigurationError(f"process {holder.pid} belongs to another user: stop it as that user") from error
    deadline = time.monotonic() + LONGEST_STOP_S
    while running_stack(layout) is not None:
        if time.monotonic() > deadline:
            raise Unavailable(
                f"process {holder.pid} has not stopped within {LONGEST_STOP_S:g} s: see {layout.logs}"
            )
        time.sleep(POLL_S)
    return holder
