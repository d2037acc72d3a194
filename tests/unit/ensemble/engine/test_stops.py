"""Laws of stop strings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ensemble.engine.stops import StopScanner

TEXT = st.text("abc", max_size=40)
STOPS = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=4).map(tuple)


def scan(pieces: list[str], stops: tuple[str, ...]) -> tuple[list[str], bool]:
    """What is let through, piece by piece, and whether a stop string ended it."""
    scanner = StopScanner(stops)
    seen = []
    for piece in pieces:
        text, is_stopped = scanner.push(piece)
        seen.append(text)
        if is_stopped:
            return seen, True
    return [*seen, scanner.finish()], False


@given(TEXT, STOPS, st.data())
def test_the_cut_into_pieces_does_not_matter(text: str, stops: tuple[str, ...], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    seen, is_stopped = scan(pieces, stops)
    whole, was_stopped = scan(list(text), stops)
    assert ("".join(seen), is_stopped) == ("".join(whole), was_stopped)


@given(TEXT, STOPS)
def test_text_ends_where_the_first_complete_stop_string_begins(text: str, stops: tuple[str, ...]) -> None:
    seen, is_stopped = scan(list(text), stops)
    ends = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    assert is_stopped == bool(ends)
    assert "".join(seen) == (text[: min(ends)[1]] if ends else text)


@given(TEXT, STOPS)
def test_no_stop_string_is_let_through(text: str, stops: tuple[str, ...]) -> None:
    seen, is_stopped = scan(list(text), stops)
    if is_stopped:
        assert not any(stop in "".join(seen) for stop in stops)


def test_only_what_could_still_become_a_stop_string_is_held_back() -> None:
    scanner = StopScanner(("</code>",))
    assert scanner.push("x = 1 <") == ("x = 1 ", False)
    assert scanner.push("/c") == ("", False)
    assert scanner.push("at> ") == ("</cat> ", False)


def test_without_stop_strings_everything_passes_at_once() -> None:
    assert scan(["a", "b"], ()) == (["a", "b", ""], False)
