"""Lines of a content that arrives in pieces, each with its number and where the next one begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_MARK = b"\xef\xbb\xbf"
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}


@dataclass(frozen=True, slots=True)
class RawLine:
    """`content` is None for a line that is longer than allowed; `end` is the byte at which the next one begins."""

    number: int
    content: bytes | None
    end: int

    @property
    def is_blank(self) -> bool:
        return self.content is not None and not self.content.strip()


def one_line(text: str) -> str:
    """JSON as it must be written where lines count: some readers (`str.splitlines`, httpx) end one at these."""
    return text if text.isascii() else text.translate(_LINE_ENDS)


def split_lines(pieces: Iterable[bytes], *, longest: int, number: int = 0, position: int = 0) -> Iterator[RawLine]:
    """Every line, blank ones too, without its end; the first has the number after `number`.

    `longest` bounds, in bytes, a line and with it what is held. `position` is where `pieces` begin.
    """
    rest: list[bytes] = []  # of the line that has begun, which has `length` bytes until now
    length = 0
    for piece in pieces:
        *whole, last = piece.split(b"\n")
        for part in whole:
            length += len(part)
            content = b"".join((*rest, part)) if length <= longest else None
            number, position = number + 1, position + length + 1
            yield RawLine(number, _unmarked(content, number), position)
            rest, length = [], 0
        length += len(last)
        rest = [*rest, last] if length <= longest else []
    if length:
        content = b"".join(rest) if length <= longest else None
        yield RawLine(number + 1, _unmarked(content, number + 1), position + length)


def _unmarked(content: bytes | None, number: int) -> bytes | None:
    """Without the mark that some editors begin a file with."""
    return content.removeprefix(_MARK) if content is not None and number == 1 else content
