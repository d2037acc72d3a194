"""The text/event-stream format, as far as this API uses it (pure)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from cli.views import StreamEvent


def parse_events(chunks: Iterable[bytes]) -> Iterator[StreamEvent]:
    """Yield each event as soon as its blank line has arrived; comments (keep-alives) yield nothing."""
    fields: dict[str, list[str]] = {}
    for line in _lines(chunks):
        if line == "":
            if "data" in fields:
                yield _event(fields)
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))


def _event(fields: dict[str, list[str]]) -> StreamEvent:
    return StreamEvent(
        event=fields.get("event", ["message"])[-1],
        data=json.loads("\n".join(fields["data"])),
        id=fields.get("id", [None])[-1],
    )


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines may break anywhere between chunks, also within a character."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode()
