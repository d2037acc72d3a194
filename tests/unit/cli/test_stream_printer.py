"""Laws of showing two models on one terminal."""

from __future__ import annotations

from io import StringIO

from cli.stream_printer import StreamPrinter
from cli.views import StreamEvent


def piece(model: str, text: str) -> StreamEvent:
    return StreamEvent(event="piece", data={"model": model, "text": text})


DONE = StreamEvent(event="done", data={"status": "succeeded"})


def shown(events: list[StreamEvent], *, is_hybrid: bool) -> str:
    output = StringIO()
    printer = StreamPrinter(output, is_hybrid=is_hybrid)
    for event in events:
        printer.show(event)
    return output.getvalue()


def test_one_models_pieces_appear_as_they_are() -> None:
    assert shown([piece("mathstral", "x = "), piece("mathstral", "3"), DONE], is_hybrid=False) == "x = 3\n"


def test_a_text_that_ends_its_last_line_gets_no_empty_one() -> None:
    assert shown([piece("mathstral", "x = 3\n"), DONE], is_hybrid=False) == "x = 3\n"


def test_two_models_never_share_a_line() -> None:
    events = [
        piece("mathstral", "a"),
        piece("codestral", "1\n2"),
        piece("mathstral", "b\nc"),
        piece("codestral", "3"),
        DONE,
    ]
    assert shown(events, is_hybrid=True).splitlines() == [
        "codestral │ 1",
        "mathstral │ ab",
        "mathstral │ c",
        "codestral │ 23",
    ]


def test_a_restart_is_said_where_the_reader_is() -> None:
    restarted = StreamEvent(event="restarted", data={"model": "mathstral", "attempt": 2})
    text = shown([piece("mathstral", "void"), restarted, piece("mathstral", "good"), DONE], is_hybrid=False)
    assert text.splitlines()[0] == "void"
    assert "mathstral lost its worker" in text.splitlines()[1]
    assert text.splitlines()[2] == "good"
