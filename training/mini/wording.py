"""Which phrasings are held out, by construction: a list's every fifth is never trained."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from itertools import product
from pathlib import Path

HELD_OUT_EVERY = 5
_FOLDER = Path(__file__).with_name("phrasings")
_MARKS = re.compile(r"[:;,.?`$]")
_CHOICE = re.compile(r"<([^<>]*)>")


class Split(StrEnum):
    """What an example is for."""

    TRAIN = "train"
    HELD_OUT = "held-out"


@cache
def phrasings_of(phrasings: tuple[str, ...], split: Split) -> tuple[str, ...]:
    """The phrasings of `split`: both have some where there are five or more, else all are trained."""
    kept = tuple(
        p
        for at, p in enumerate(phrasings)
        if (at % HELD_OUT_EVERY == HELD_OUT_EVERY - 1) == (split is Split.HELD_OUT)
    )
    return kept or phrasings


def drawn(phrasings: tuple[str, ...], rng: random.Random, split: Split) -> str:
    """One of the phrasings of `split`, each `<this|that>` in it decided.

    What is trained is never what a held-out phrasing can become, wherever a choice would make it so.
    """
    chosen = phrasings_of(phrasings, split)
    forbidden = _held_out_forms(phrasings) if split is Split.TRAIN else frozenset()
    while True:
        parts = _parts(rng.choice(chosen))
        text = "".join([part[0] if len(part) == 1 else rng.choice(part) for part in parts])
        if form_of(text) not in forbidden:
            return text


@cache
def form_of(phrasing: str) -> str:
    """`phrasing` without capitals, marks and politeness: two of one form are the same question."""
    bare = " ".join(_MARKS.sub(" ", phrasing).lower().split())
    return bare.removeprefix("could you ").removeprefix("can you ").removeprefix("please ")


@cache
def _held_out_forms(phrasings: tuple[str, ...]) -> frozenset[str]:
    if len(phrasings) < HELD_OUT_EVERY:
        return frozenset()
    return frozenset(form_of(v) for p in phrasings_of(phrasings, Split.HELD_OUT) for v in variants(p))


def variants(phrasing: str) -> Iterator[str]:
    """All that `drawn` can make of a phrasing."""
    return map("".join, product(*_parts(phrasing)))


@cache
def _parts(phrasing: str) -> tuple[tuple[str, ...], ...]:
    pieces = _CHOICE.split(phrasing)  # the alternatives stand at odd positions
    return tuple(tuple(piece.split("|")) if at % 2 else (piece,) for at, piece in enumerate(pieces))


def further(name: str) -> tuple[str, ...]:
    """The phrasings of the files under the headings that contain `name`, in order.

    A heading is `# one kind, another kind`; each other line is a phrasing.
    """
    return tuple(_written().get(name, ()))


@cache
def _written() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted(_FOLDER.glob("*.txt")):
        names: list[str] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("# "):
                names = line[2:].split(", ")
            elif line:
                for name in names:
                    found.setdefault(name, []).append(line.replace("\\n", "\n"))
    return found


def seeded(seed: int, split: Split, name: str) -> random.Random:
    """Draws of one purpose; two splits never share a seed."""
    return random.Random(f"{seed}/{split}/{name}")


_QUESTIONS = ("What", "How", "Which", "Is ", "In ", "If ", "For ", "Where", "I ", "Can ", "Could ", "Please ")
_POLITE = ("Please ", "Can you ", "Hi, ", "Could you please ")
_LEADS = ("Question: ", "Q: ", "Task: ", "Solve this: ", "Exercise: ", "Problem: ", "Quick question: ", "Homework: ", "1) ", "Hello! ", "User: ")  # fmt: skip


def roughened(text: str, rng: random.Random) -> str:
    """The same question as another writer types it: no full stop, small letters, a polite word, a heading."""
    if rng.random() < 0.08:
        text = text[0].lower() + text[1:]
    if rng.random() < 0.1:
        text = text.rstrip(".?!") if "!" not in text[-2:] else text
    if rng.random() < 0.05:
        polite = ("Hi, ", "Hello, ") if text.startswith(_QUESTIONS) else _POLITE
        text = rng.choice(polite) + text[0].lower() + text[1:]
    if rng.random() < 0.04:
        text = rng.choice(_LEADS) + text
    if rng.random() < 0.04:
        text += rng.choice((" Show each step.", " Show your work.", " Explain.", " Thanks!"))
    return text


_POWER = re.compile(r"\^(\d+)")
_FACTOR = re.compile(r"(?<![\w.^])(\d+)([a-z(])(?![a-z\d])")


def respelled(text: str, rng: random.Random) -> str:
    """The same mathematics with other spaces and signs, now and then."""
    draw = rng.random()
    if draw > 0.14:
        return text
    if draw < 0.05:
        for sign in "+-*=" if rng.random() < 0.7 else "=":
            text = text.replace(f" {sign} ", sign)
    elif draw < 0.07:
        text = text.replace(" = ", "  =  " if rng.random() < 0.3 else "= ").replace(" + ", " +")
    elif draw < 0.095:
        text = text.replace(" * ", rng.choice((" · ", " × ", "*")))
    elif draw < 0.115:
        text = _FACTOR.sub(r"\1*\2", text)
    elif "∫" not in text:
        text = _POWER.sub(r"**\1" if rng.random() < 0.6 else _superscript, text)
    return text


def _superscript(found: re.Match[str]) -> str:
    return {"2": "²", "3": "³"}.get(found[1], found[0])
