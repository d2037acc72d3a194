"""Laws of the lines of the log."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from core.logs import FORMAT, JsonLine, TextLine, about, begin


def record(message: str = "it happened", *, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("part", logging.INFO, "x.py", 1, message, None, info)


def test_a_line_is_one_object_about_what_surrounds_it() -> None:
    with about(job_id="019a-b"), about(model="codestral"):
        line = JsonLine().format(record('two\nlines, "quoted"'))
    assert "\n" not in line
    told = json.loads(line)
    assert told["message"] == 'two\nlines, "quoted"'
    assert (told["job_id"], told["trace_id"], told["model"]) == ("019a-b", "019ab", "codestral")
    assert "job_id" not in json.loads(JsonLine().format(record()))


def test_a_request_takes_the_place_of_the_one_before() -> None:
    begin(request_id="a", job_id="b")
    begin(request_id="c")
    told = json.loads(JsonLine().format(record()))
    begin()
    assert (told["request_id"], told.get("job_id")) == ("c", None)


@pytest.mark.parametrize("formatter", [JsonLine(), TextLine(FORMAT)])
def test_an_exception_is_told_without_what_it_quotes(formatter: logging.Formatter) -> None:
    """A database quotes the statement, and so the prompt, from its second line on."""
    words = "invalid input\nLINE 1: INSERT ... 'a prompt'"
    try:
        raise ValueError(words)
    except ValueError:
        line = formatter.format(record(error=sys.exc_info()[1]))
    assert "ValueError: invalid input" in line
    assert "test_logs.py" in line
    assert "a prompt" not in line
