"""Laws of the check of one row, which anybody may have written."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.rejections import MOST_BYTES, Rejection, refusal

GOOD: dict[str, Any] = {"repo": "r", "path": "a/b.py", "content": "x = 1\n", "quality_score": 80.0}
ANYTHING = st.none() | st.text() | st.integers() | st.floats() | st.booleans() | st.binary()


def test_a_whole_row_is_not_refused_however_low_its_score() -> None:
    assert refusal(GOOD) is None
    assert refusal({**GOOD, "quality_score": 0}) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rejection": "of their own"}, "of their own"),
        ({"repo": None}, "no_repository"),
        ({"repo": "  "}, "no_repository"),
        ({"path": None}, "no_path"),
        ({"path": "/etc/passwd"}, "absurd_path"),
        ({"path": "a/../../b"}, "absurd_path"),
        ({"path": "a\\..\\b"}, "absurd_path"),
        ({"path": "a" * 5000}, "absurd_path"),
        ({"path": "a\x1b[2J"}, "absurd_path"),
        ({"content": None}, "no_content"),
        ({"content": " \n"}, "empty"),
        ({"content": "x" * (MOST_BYTES + 1)}, "too_large"),
        ({"content": "é" * MOST_BYTES}, "too_large"),
        ({"content": "a\0b"}, "binary"),
        ({"content": "\x01\x02" * 50}, "binary"),
        ({"content": "\ud800 = 1"}, "not_utf8"),
        ({"quality_score": None}, "no_score"),
        ({"quality_score": -1}, "absurd_score"),
        ({"quality_score": 1e300}, "absurd_score"),
        ({"quality_score": math.nan}, "absurd_score"),
        ({"quality_score": True}, "absurd_score"),
    ],
)
def test_what_is_wrong_with_a_row_is_named(change: dict[str, Any], reason: str) -> None:
    assert refusal({**GOOD, **change}) == reason


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.dictionaries(st.sampled_from(sorted(GOOD)), ANYTHING))
def test_any_row_gets_an_answer(row: dict[str, Any]) -> None:
    assert refusal(row) is None or refusal(row) in set(Rejection)
