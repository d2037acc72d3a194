"""Laws of what a client is sent of a text that may begin again."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core.dialects.openai_chunks import SentText

TEXTS = st.text(alphabet="ab", max_size=12)


def pieces(text: str, cuts: list[int]) -> list[str]:
    bounds = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[begin:end] for begin, end in pairwise(bounds)]


@given(TEXTS, st.lists(st.tuples(st.integers(0, 12), st.lists(st.integers(0, 20))), min_size=1, max_size=4))
def test_a_text_that_begins_again_alike_is_sent_once(text: str, attempts: list[tuple[int, list[int]]]) -> None:
    sent, received = SentText(), ""
    for number, (said, cuts) in enumerate(attempts, 1):
        for piece in pieces(text[:said], cuts):
            new = sent.take(piece, attempt=number)
            assert new is not None
            received += new
    rest = sent.finish(text)
    assert rest is not None
    assert received + rest == text


@given(TEXTS, TEXTS)
def test_what_differs_from_what_was_sent_is_never_sent(first: str, second: str) -> None:
    sent = SentText()
    assert sent.take(first, attempt=1) == first
    new, rest = sent.take(second, attempt=2), sent.finish(second)
    if second.startswith(first):
        assert (new, rest) == (second[len(first) :], "")
    else:
        assert rest is None


def test_pieces_that_were_lost_are_noticed_at_the_end() -> None:
    sent = SentText()
    sent.take("one ", attempt=1)
    sent.take("three", attempt=1)
    assert sent.finish("one two three") is None
