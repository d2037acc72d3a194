"""Laws of following a log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stack.logtail import LogTail, is_alarming, readable, without_prefix


def test_only_what_is_written_from_now_on_is_seen(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("before\n")
    tail = LogTail(log)
    with log.open("a") as stream:
        stream.write("after\n")
    assert tail.new_lines() == ["after"]
    assert tail.new_lines() == []


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    tail = LogTail(log)
    log.write_text("one\nha")
    assert tail.new_lines() == ["one"]
    with log.open("a") as stream:
        stream.write("lf\n")
    assert tail.new_lines() == ["half"]


def test_a_log_that_began_anew_is_read_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("a long line of the old log\n")
    tail = LogTail(log)
    log.write_text("new\n")
    assert tail.new_lines() == ["new"]


@pytest.mark.parametrize(
    "line",
    [
        "2026-01-01 10:00:00,000 ERROR tasks.generate: it broke",
        "2026-01-01 10:00:00,000 CRITICAL worker.bootstrap: /m: is not a directory",
        "Traceback (most recent call last):",
        "ValueError: no",
        "2026-01-01 10:00:00.000 UTC [7] PANIC:  could not write",
    ],
)
def test_what_an_operator_must_see_is_alarming(line: str) -> None:
    assert is_alarming(line)


@pytest.mark.parametrize(
    "line",
    [
        "2026-01-01 10:00:00,000 INFO tasks.generate: an ERROR is mentioned",
        "2026-01-01 10:00:00.000 UTC [7] FATAL:  the database system is starting up",
        "2026-01-01 10:00:00.000 UTC [7] ERROR:  duplicate key value",
        "",
    ],
)
def test_ordinary_lines_are_not_alarming(line: str) -> None:
    assert not is_alarming(line.replace("an ERROR is", "an ERROR: is"))


@pytest.mark.parametrize("level", ["ERROR", "INFO"])
def test_a_line_of_json_reads_as_one_of_text(level: str) -> None:
    told = {"time": "2026-11-23T02:07:48.718+00:00", "level": level, "logger": "a.b", "message": "no /m"}
    line = json.dumps(told)
    assert without_prefix(line) == "no /m"
    assert is_alarming(readable(line)) == (level == "ERROR")
    assert readable("{half") == "{half"


def test_a_message_is_shown_without_its_prefix() -> None:
    line = "2026-11-23 02:07:48,718 CRITICAL worker.bootstrap: /nonexistent: is not a directory"
    assert without_prefix(line) == "/nonexistent: is not a directory"
    assert without_prefix("/nonexistent: is not a directory") == "/nonexistent: is not a directory"
