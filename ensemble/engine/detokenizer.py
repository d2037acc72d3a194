"""Tokens to text, piece by piece: never half a character, and the pieces joined equal the whole."""

from __future__ import annotations

from collections.abc import Sequence

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

Piece = str | bytes
"""What one token adds: text, or one raw byte of a UTF-8 sequence. Control tokens add the empty text."""


class Detokenizer:
    """Follows one sequence of tokens.

    Raw bytes are held back until they form a character; bytes that cannot are shown as U+FFFD, one each, as
    sentencepiece does. So is NUL, which PostgreSQL cannot store. One space that opens the text is dropped, being
    the tokenizer's own mark of a word's start, unless the text `continues` another one.
    """

    __slots__ = ("_at_start", "_pending", "_pieces")

    def __init__(self, pieces: Sequence[Piece], *, continues: bool = False) -> None:
        self._pieces = pieces
        self._pending = b""
        self._at_start = not continues

    def push(self, token: int) -> str:
        """The text that becomes certain with `token`; may be empty."""
        piece = self._pieces[token]
        if isinstance(piece, bytes):
            text, self._pending = _decode(self._pending + piece, is_final=False)
            return self._begin(text)
        return self.finish() + self._begin(self._trim(piece))

    def finish(self) -> str:
        """What is still held back when no token follows."""
        text, self._pending = _decode(self._pending, is_final=True)
        return self._begin(text)

    def _trim(self, piece: str) -> str:
        if self._at_start and piece.startswith(" "):
            self._at_start = False
            return piece[1:]
        return piece

    def _begin(self, text: str) -> str:
        if text:
            self._at_start = False
        return text.replace("\0", REPLACEMENT)


def spell(piece: Piece, *, name: str) -> tuple[str, bytes]:
    """The text and the bytes of one token alone; `name` is shown for one without."""
    if isinstance(piece, bytes):
        return piece.decode(errors="replace").replace("\0", REPLACEMENT), piece
    return (piece, piece.encode()) if piece else (name, b"")


def _decode(raw: bytes, *, is_final: bool) -> tuple[str, bytes]:
    """Decode as far as possible: the text, and the bytes that may still become a character."""
    text: list[str] = []
    while raw:
        try:
            text.append(raw.decode())
            break
        except UnicodeDecodeError as error:
            text.append(raw[: error.start].decode())
            raw = raw[error.start :]
            if error.reason == "unexpected end of data" and not is_final:
                return "".join(text), raw
            text.append(REPLACEMENT)
            raw = raw[1:]
    return "".join(text), b""
