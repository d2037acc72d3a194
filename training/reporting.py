"""What a child of the pipeline says: events as JSON lines on standard output, the rest on standard error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import IO

from core.errors import MathcodeError
from training.folder import Event, FailedEvent

EX_FAILED = 1
Tell = Callable[[Event], None]


def take_standard_output() -> Tell:
    """Keep standard output for events: whatever libraries print there goes to standard error from now on."""
    stream: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    sys.stdout.flush()
    os.dup2(2, 1)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    def tell(event: Event) -> None:
        stream.write(event.model_dump_json() + "\n")

    return tell


def failing_by_name(story: Callable[[], int], tell: Tell) -> int:
    """The exit status of `story`; an expected error becomes its last event, and status 1."""
    try:
        return story()
    except MathcodeError as error:
        logging.getLogger(__name__).error("%s", error)
        tell(FailedEvent(code=error.code, message=error.message))
        return EX_FAILED
