"""Clocks that can be set, one for each process: libfaketime under the program, its offset in a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


def _library() -> Path | None:
    spec = find_spec("libfaketime")
    if spec is None or spec.origin is None or sys.platform != "linux":
        return None
    return next(Path(spec.origin).parent.glob("vendor/**/libfaketime.so.1"), None)


LIBRARY = _library()
"""Of the Python package, which is newer than distributions' own: Debian 12's makes `time.sleep` fail."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """`directory` is readable by every account that a process runs as."""

    directory: Path

    def environment(self, name: str) -> Mapping[str, str]:
        """What gives the process `name` a clock of its own: that of the machine, until it is set."""
        if LIBRARY is None:
            return {}
        if not self._file(name).exists():
            self.set(name, 0)
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file(name)),
            "FAKETIME_CACHE_DURATION": "1",  # seconds until a new offset is noticed
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, name: str, ahead_s: float) -> None:
        """How far the clock is ahead of the machine's, from about a second after this on."""
        draft = self._file(name).with_suffix(".new")
        draft.write_text(f"{ahead_s:+.0f}\n", encoding="ascii")
        draft.chmod(0o644)
        draft.rename(self._file(name))

    def _file(self, name: str) -> Path:
        return self.directory / f"{name}.clock"
