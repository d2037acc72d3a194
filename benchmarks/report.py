"""Tables on the terminal and raw numbers in a file; one failing part does not take the others down."""

from __future__ import annotations

import json
import math
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

Row = dict[str, Any]


class TimeUp(BaseException):
    """A part took longer than it may; no `except Exception` on the way must swallow this."""


class Report:
    """What a run has found so far. The file is written anew after every part: a crash loses only its own."""

    def __init__(self, path: Path | None, **about: object) -> None:
        self._path = path
        self._about = about
        self._parts: dict[str, Any] = {}
        self._errors: dict[str, str] = {}
        self._begun = time.perf_counter()

    @property
    def has_failed(self) -> bool:
        return bool(self._errors)

    def part(self, name: str, *, limit_s: float = 0.0) -> Part:
        """A block that may fail: its error is printed and the run goes on; `limit_s` 0 means no limit."""
        return Part(self, name, limit_s)

    def keep(self, name: str, value: Any) -> None:
        """Keep raw numbers (anything that JSON takes) under `name`, and write the file."""
        self._parts[name] = value
        self._write()

    def close_part(self, name: str, *, error: str | None) -> None:
        if error is not None:
            self._errors[name] = error
        print(f"[{time.perf_counter() - self._begun:.0f} s] {name}: {error or 'done'}", flush=True)
        self._write()

    def _write(self) -> None:
        if self._path is not None:
            content = {"about": self._about, "parts": self._parts, "errors": self._errors}
            self._path.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")


class Part:
    """Prints what ends its block, but for Ctrl-C, and lets the run go on."""

    def __init__(self, report: Report, name: str, limit_s: float) -> None:
        self._report = report
        self._name = name
        self._timer = time_limit(limit_s)
        self.error: str | None = None

    def __enter__(self) -> Part:
        print(f"\n# {self._name}", flush=True)
        self._timer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._timer.__exit__(None, None, None)
        if error is not None:
            self.error = describe(error)
            if not isinstance(error, TimeUp):
                traceback.print_exception(kind, error, trace, limit=-6)
            traceback.clear_frames(trace)  # their variables would keep memory of the device
        self._report.close_part(self._name, error=self.error)
        return isinstance(error, (Exception, TimeUp))


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeUp in the main thread after `seconds`, at its next Python instruction; 0 means never."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeUp(f"stopped after {seconds:.0f} s")

    former = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def describe(error: BaseException) -> str:
    """The error in one line."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"[:300]


def print_table(columns: Sequence[tuple[str, str, str]], rows: Sequence[Row]) -> None:
    """`columns` are (key, heading, format); a missing or undefined value is a dash."""
    if not rows:
        return
    widths = [max(len(heading), *(len(_cell(row, key, form)) for row in rows)) for key, heading, form in columns]
    for line in (
        [heading for _, heading, _ in columns],
        *([_cell(row, key, form) for key, _, form in columns] for row in rows),
    ):
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)), flush=True)


def _cell(row: Row, key: str, form: str) -> str:
    value = row.get(key)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return value if isinstance(value, str) else format(value, form)
