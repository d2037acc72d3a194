"""Logging of every process: one line per event on standard error, never prompt or answer.

`json` lines have `time`, `level`, `logger`, `message`, and what the event is about where that is known: `job_id`
with its `trace_id`, `model`, `attempt`, `request_id`, `run_id`. Of an exception they have the frames, its type and
the first line of what it says, cut: a database quotes statements in further ones.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType

from core.options import LogFormat

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# They say twice per message what our own lines say once per completion.
CHATTY = ("celery.app.trace", "celery.worker.strategy", "celery.worker.consumer.gossip")
MOST_OF_AN_EXCEPTION = 300

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

_NOTHING: Mapping[str, object] = MappingProxyType({})
_about: ContextVar[Mapping[str, object]] = ContextVar("about", default=_NOTHING)


def configure_logging(level: str, style: LogFormat = LogFormat.TEXT) -> None:
    """Set up the root logger of this process."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLine() if style is LogFormat.JSON else TextLine(FORMAT))
    logging.basicConfig(level=level, handlers=[handler])
    logging.captureWarnings(True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """Add `fields` to every line that this thread writes in the block."""
    token = _about.set({**_about.get(), **fields})
    try:
        yield
    finally:
        _about.reset(token)


def begin(**fields: object) -> None:
    """Have this thread's lines be about `fields` from now on, and nothing else."""
    _about.set(fields)


def trace_id(job_id: str) -> str:
    """A job's trace has the job's own 128 bits, in hexadecimal: nobody has to carry it."""
    return job_id.replace("-", "")


class TextLine(logging.Formatter):
    """For people."""

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802  the name is logging's
        """The frames and one line of what was said."""
        return _told(ei)


class JsonLine(TextLine):
    """For programs: one JSON object, on one line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_about.get(),
        }
        if isinstance(job_id := line.get("job_id"), str):
            line["trace_id"] = trace_id(job_id)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _told(info: ExceptionInfo) -> str:
    kind, error, trace = info
    if kind is None or error is None:
        return ""
    words = str(error).partition("\n")[0][:MOST_OF_AN_EXCEPTION]
    return "".join(traceback.format_tb(trace)) + f"{kind.__module__}.{kind.__qualname__}: {words}"
