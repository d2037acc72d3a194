"""Reads and writes sentencepiece's model file, as far as trimming a vocabulary needs it.

The format is protobuf: message ModelProto has the repeated field 1 (pieces); a piece has 1 (text), 2 (score, a
little-endian float) and 3 (type). Everything else is kept byte by byte.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
_PIECE_FIELD = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Piece:
    """One token; of two possible merges the one with the greater score is made first."""

    text: str
    score: float
    kind: int


def read_pieces(model: bytes) -> tuple[list[Piece], bytes]:
    """The pieces in order of their tokens, and the bytes of all other fields."""
    pieces, rest = [], b""
    for field, value, raw in _fields(model):
        if field == _PIECE_FIELD and isinstance(value, bytes):
            pieces.append(_read_piece(value))
        else:
            rest += raw
    return pieces, rest


def write_pieces(pieces: Sequence[Piece], rest: bytes) -> bytes:
    """A model file of `pieces`, the other fields as in the file they were read from."""
    return b"".join(_tagged(_PIECE_FIELD, _piece_bytes(piece)) for piece in pieces) + rest


def merge_tree(text: str, scores: dict[str, float]) -> set[str]:
    """All pieces that arise on the way from the characters of `text` to it, by byte-pair encoding."""
    parts, seen = list(text), set(text)
    while len(parts) > 1:
        pairs = [(scores.get(a + b), -at) for at, (a, b) in enumerate(pairwise(parts))]
        known = [(score, at) for score, at in pairs if score is not None]
        if not known:
            break
        at = -max(known)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
        seen.add(parts[at])
    return seen


def _read_piece(message: bytes) -> Piece:
    text, score, kind = "", 0.0, NORMAL
    for field, value, _ in _fields(message):
        if field == 1 and isinstance(value, bytes):
            text = value.decode()
        elif field == 2 and isinstance(value, bytes):
            (score,) = struct.unpack("<f", value)
        elif field == 3 and isinstance(value, int):
            kind = value
    return Piece(text, score, kind)


def _piece_bytes(piece: Piece) -> bytes:
    score = bytes([2 << 3 | _FIXED32]) + struct.pack("<f", piece.score)
    kind = bytes([3 << 3 | _VARINT]) + _varint(piece.kind)
    return _tagged(1, piece.text.encode()) + score + kind


def _tagged(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes, bytes]]:
    """(field, value, the bytes of both) one after another."""
    at = 0
    while at < len(message):
        begin = at
        key, at = _read_varint(message, at)
        value: int | bytes
        if key & 7 == _VARINT:
            value, at = _read_varint(message, at)
        else:
            length = {_FIXED64: 8, _FIXED32: 4}.get(key & 7)
            if length is None:
                length, at = _read_varint(message, at)
            value, at = message[at : at + length], at + length
        yield key >> 3, value, message[begin:at]


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
