"""Trims Mistral's v3 tokenizer: `python -m training.mini.vocabulary`, from which `tokenizer.model.v3` here came.

The file format, the control tokens in use, all byte tokens, all printable ASCII characters and the way of merging
stay as they are; of the other pieces the most frequent in our own text are kept, and those they are merged from.
A text without kept pieces is spelled in bytes, so anything can still be said.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from core.messages import ModelName
from ensemble.engine.tokenizer import TOKENIZER_FILE, packaged_tokenizer_file
from training.mini.examples import tasks, write
from training.mini.mixture import MAKERS
from training.mini.sentencepieces import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    Piece,
    merge_tree,
    read_pieces,
    write_pieces,
)
from training.mini.sources import source_texts
from training.mini.wording import Split

TRIMMED = Path(__file__).with_name(TOKENIZER_FILE)
SIZE = 4096
_EXAMPLES, _FREQUENT, _SOURCES = 30_000, 15, 1500
_CONTROLS = (
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[TOOL_CALLS]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
)


def main() -> None:
    pieces, rest = read_pieces(packaged_tokenizer_file().read_bytes())
    kept = _choose(pieces)
    TRIMMED.write_bytes(write_pieces([piece for piece in pieces if _stays(piece, kept)], rest))
    print(f"{TRIMMED}: {len(read_pieces(TRIMMED.read_bytes())[0])} tokens")


def _stays(piece: Piece, kept: set[str]) -> bool:
    return (
        piece.kind in (BYTE, UNKNOWN) or piece.text in _CONTROLS or (piece.kind == NORMAL and piece.text in kept)
    )


def _choose(pieces: list[Piece]) -> set[str]:
    scores = {piece.text: piece.score for piece in pieces if piece.kind == NORMAL}
    fixed = sum(
        piece.kind in (BYTE, UNKNOWN) or (piece.kind == CONTROL and piece.text in _CONTROLS) for piece in pieces
    )
    kept = {text for text in scores if len(text) == 1 and (" " < text <= "~" or text in "▁±×÷√∫²³éöüä")}
    own, source = _count(_own_texts()), _count(_source_texts())
    wanted = [text for text, count in own.most_common() if count >= _FREQUENT]
    for text in [*wanted, *(text for text, _ in source.most_common())]:
        if text in scores:
            grown = kept | merge_tree(text, scores)
            if len(grown) > SIZE - fixed:
                break
            kept = grown
    return kept


def _count(texts: Iterator[str]) -> Counter[str]:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_file=str(packaged_tokenizer_file()))
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(processor.encode(text, out_type=str))
    return counts


def _own_texts() -> Iterator[str]:
    rng = random.Random(0)
    for model in ModelName:
        for _ in range(_EXAMPLES):
            example = MAKERS[model](rng, Split.TRAIN)
            yield "\n".join([*(message.content for message in example.shown), example.written])
    for held_out in (False, True):  # so that no task is spelled in bytes
        for task in tasks(held_out=held_out):
            for _ in range(_FREQUENT):
                yield write(task, rng, Split.TRAIN).written


def _source_texts() -> Iterator[str]:
    texts = sorted(source_texts())
    random.Random(0).shuffle(texts)
    yield from texts[:_SOURCES]


if __name__ == "__main__":
    main()
