"""Text of one or two models on one terminal, as it appears."""

from __future__ import annotations

from typing import TextIO

from cli.views import StreamEvent


class StreamPrinter:
    """Prints pieces at once for one model; for two at the same time, whole lines under the model's name.

    Pieces that a restart made void cannot be taken back from a terminal: they are followed by a remark.
    """

    def __init__(self, output: TextIO, *, is_hybrid: bool) -> None:
        self._output = output
        self._is_hybrid = is_hybrid
        self._unfinished: dict[str, str] = {}

    def show(self, event: StreamEvent) -> None:
        if event.event == "piece":
            self._add(str(event.data["model"]), str(event.data["text"]))
        elif event.event == "restarted":
            self._restart(str(event.data["model"]))
        elif event.event == "done":
            self._finish()

    def _add(self, model: str, text: str) -> None:
        if not self._is_hybrid:
            self._write(text)
            self._unfinished[model] = (self._unfinished.get(model, "") + text).rpartition("\n")[2]
            return
        *lines, self._unfinished[model] = (self._unfinished.get(model, "") + text).split("\n")
        for line in lines:
            self._write(f"{model} │ {line}\n")

    def _restart(self, model: str) -> None:
        self._finish()
        self._write(f"[{model} lost its worker and starts again; what it wrote above is void]\n")

    def _finish(self) -> None:
        for model, line in self._unfinished.items():
            if line:
                self._write(f"{model} │ {line}\n" if self._is_hybrid else "\n")
        self._unfinished.clear()

    def _write(self, text: str) -> None:
        self._output.write(text)
        self._output.flush()
