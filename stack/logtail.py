"""Follows a log file and picks the lines worth a place on the screen."""

from __future__ import annotations

import json
import re
from pathlib import Path

# A server's FATAL ends a connection and its ERROR a statement: the process that suffered says so itself.
_ALARMING = re.compile(r"\b(ERROR|CRITICAL) |\bPANIC:|^Traceback|^[\w.]+(Error|Exception): ")
_PREFIX = re.compile(r"^[\d:., TZ+-]+ (DEBUG|INFO|WARNING|ERROR|CRITICAL) [\w.]+: ")


class LogTail:
    """What is written to `path` from now on, line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def new_lines(self) -> list[str]:
        """The complete lines since the last call."""
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return []
        if size < self._offset:  # a new file took its place
            self._offset, self._rest = 0, b""
        with self._path.open("rb") as stream:
            stream.seek(self._offset)
            text = stream.read()
        self._offset += len(text)
        *lines, self._rest = (self._rest + text).split(b"\n")
        return [line.decode(errors="replace").rstrip() for line in lines]


def without_prefix(line: str) -> str:
    """A log line's message, without time, level and logger."""
    return _PREFIX.sub("", readable(line))


def is_alarming(line: str) -> bool:
    """Whether an operator should see this line without asking for it."""
    return _ALARMING.search(line) is not None


def readable(line: str) -> str:
    """A line of JSON as people read it; any other as it is."""
    if not line.startswith("{"):
        return line
    try:
        told = json.loads(line)
        return f"{told['time']} {told['level']} {told['logger']}: {told['message']}"
    except (ValueError, KeyError, TypeError):
        return line
