"""Which phrasings are held out, by construction: a list's every fifth is never trained."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum

HELD_OUT_EVERY = 5


class Split(StrEnum):
    """What an example is for."""

    TRAIN = "train"
    HELD_OUT = "held-out"


def phrasings_of(phrasings: Sequence[str], split: Split) -> list[str]:
    """The phrasings of `split`: both have some where there are five or more, else all are trained."""
    kept = [
        p
        for at, p in enumerate(phrasings)
        if (at % HELD_OUT_EVERY == HELD_OUT_EVERY - 1) == (split is Split.HELD_OUT)
    ]
    return kept or list(phrasings)


def seeded(seed: int, split: Split, name: str) -> random.Random:
    """Draws of one purpose; two splits never share a seed."""
    return random.Random(f"{seed}/{split}/{name}")


def roughened(text: str, rng: random.Random) -> str:
    """The same question as another writer types it: no full stop, small letters, a polite word."""
    if rng.random() < 0.08:
        text = text[0].lower() + text[1:]
    if rng.random() < 0.1:
        text = text.rstrip(".?!")
    if rng.random() < 0.05:
        text = rng.choice(("Please ", "Can you ", "Hi, ", "Could you please ")) + text[0].lower() + text[1:]
    if rng.random() < 0.04:
        text += rng.choice((" Show each step.", " Show your work.", " Explain.", " Thanks!"))
    return text
