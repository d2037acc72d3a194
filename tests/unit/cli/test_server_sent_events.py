"""Laws of reading server-sent events."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from cli.server_sent_events import parse_events

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=6)


def encode(texts: list[str]) -> bytes:
    data = [json.dumps({"model": "mathstral", "text": text}, ensure_ascii=False) for text in texts]
    return "".join(f"id: {n}-0\nevent: piece\ndata: {line}\n\n" for n, line in enumerate(data)).encode()


@given(texts=TEXTS, sizes=st.lists(st.integers(min_value=1, max_value=30), min_size=1, max_size=5))
def test_chunks_may_break_anywhere(texts: list[str], sizes: list[int]) -> None:
    stream, chunks, turn = encode(texts), [], 0
    while stream:
        size = sizes[turn % len(sizes)]
        chunks.append(stream[:size])
        stream, turn = stream[size:], turn + 1
    events = list(parse_events(chunks))
    assert [event.data["text"] for event in events] == texts
    assert [event.id for event in events] == [f"{number}-0" for number in range(len(texts))]


def test_an_event_is_there_as_soon_as_its_blank_line_is() -> None:
    stream = parse_events(iter([b'event: done\ndata: {"status": "succeeded"}\n\nevent: unfinished']))
    assert next(stream).event == "done"


def test_keep_alives_are_no_events() -> None:
    assert list(parse_events([b": keep-alive\n\n: keep-alive\r\n\r\n"])) == []


def test_an_event_cut_short_is_dropped() -> None:
    assert list(parse_events([b'event: done\ndata: {"status": "succeeded"}\n'])) == []
