"""Lines from pieces: numbers, ends, and what is too long."""

from __future__ import annotations

import json
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.jsonl import RawLine, one_line, split_lines

CONTENT = st.binary(max_size=60).map(lambda content: content.replace(b"\x00", b"\n"))


def pieces_of(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


@given(content=CONTENT, size=st.integers(1, 20))
def test_lines_do_not_depend_on_the_pieces(content: bytes, size: int) -> None:
    found = list(split_lines(pieces_of(content, size), longest=100))
    expected = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if content and not expected[0] and len(expected) == 1:
        expected = [b"", b""]  # the mark alone is a line
    assert [line.content for line in found] == (expected if expected[-1] else expected[:-1])
    assert [line.number for line in found] == list(range(1, len(found) + 1))


@given(content=CONTENT, size=st.integers(1, 20), taken=st.integers(0, 10))
def test_reading_goes_on_where_any_line_ended(content: bytes, size: int, taken: int) -> None:
    whole = list(split_lines([content], longest=100))
    before = list(islice(iter(whole), taken))
    number, position = (before[-1].number, before[-1].end) if before else (0, 0)
    rest = pieces_of(content[position:], size)
    assert [*before, *split_lines(rest, longest=100, number=number, position=position)] == whole


@given(size=st.integers(1, 50), length=st.integers(11, 40))
def test_what_is_too_long_is_skipped_and_not_kept(size: int, length: int) -> None:
    content = b"a\n" + b"x" * length + b"\nb"
    found = list(split_lines(pieces_of(content, size), longest=10))
    assert [line.content for line in found] == [b"a", None, b"b"]
    assert found[-1].end == len(content) == length + 4


@pytest.mark.parametrize("blank", [b"", b"  ", b"\t\r"])
def test_blank_lines_say_so(blank: bytes) -> None:
    assert RawLine(1, blank, 9).is_blank
    assert not RawLine(1, None, 9).is_blank


def test_the_mark_of_some_editors_is_no_content() -> None:
    assert [line.content for line in split_lines([b"\xef\xbb\xbf{}\n", b"\xef\xbb\xbf{}"], longest=9)] == [
        b"{}",
        b"\xef\xbb\xbf{}",
    ]


@given(text=st.text() | st.sampled_from(["a\x85b", "\u2028", "x\u2029", "\x0b\x0c\x1c\x1d\x1e\r\n"]))
def test_json_on_one_line_says_the_same(text: str) -> None:
    line = one_line(json.dumps(text, ensure_ascii=False))
    assert json.loads(line) == text
    assert len(line.splitlines()) == 1
