"""Prompts of our own: topics of each class in the ways people ask, short and long. Deterministic for a seed."""

from __future__ import annotations

import random

from core.messages import RouteLabel
from ensemble.router_training import asking, lexicon


def _items(listing: str) -> tuple[str, ...]:
    return tuple(" ".join(item.split()) for item in listing.split(";"))


Example = tuple[str, RouteLabel]
_TOPICS = {
    RouteLabel.HYBRID: _items(lexicon.NUMERICAL),
    RouteLabel.MATH: _items(lexicon.MATHEMATICAL),
    RouteLabel.CODE: _items(lexicon.PROGRAMMING),
    RouteLabel.OTHER: _items(lexicon.GENERAL),
}
_LANGUAGES = _items(lexicon.LANGUAGES)
_TOOLS = _items(lexicon.TOOLS)
_GAPS = (" ", " ", "\n", "\n\n")


def generate(count: int, seed: int) -> list[Example]:
    """`count` prompts of each class."""
    chance = random.Random(seed)  # noqa: S311 (no secret)
    return [(_prompt(chance, label), label) for label in _TOPICS for _ in range(count)]


def augment(examples: list[Example], seed: int, share: float = 0.5) -> list[Example]:
    """The disturbed copy of a part of `examples`: prefix, suffix, typos, case, whitespace."""
    chance = random.Random(seed)  # noqa: S311 (no secret)
    return [(disturb(chance, prompt), label) for prompt, label in examples if chance.random() < share]


def disturb(chance: random.Random, prompt: str) -> str:
    kind = chance.randrange(6)
    if kind == 0:
        return chance.choice(asking.prefixes()) + chance.choice(_GAPS) + prompt
    if kind == 1:
        return prompt + chance.choice(_GAPS) + chance.choice(asking.suffixes())
    if kind == 2:
        return typos(chance, prompt)
    if kind == 3:
        return prompt.lower() if chance.random() < 0.6 else prompt.upper()
    if kind == 4:
        return "  " + prompt.replace(" ", "  ") + "\n\n"
    return " ".join((chance.choice(asking.prefixes()), typos(chance, prompt), chance.choice(asking.suffixes())))


def typos(chance: random.Random, prompt: str, share: float = 0.03) -> str:
    """`prompt` with this share of its letters swapped with the next, lost or doubled."""
    letters = list(prompt)
    for index in range(len(letters) - 1):
        if letters[index].isalpha() and chance.random() < share:
            kind = chance.randrange(3)
            if kind == 0:
                letters[index], letters[index + 1] = letters[index + 1], letters[index]
            else:
                letters[index] = "" if kind == 1 else letters[index] * 2
    return "".join(letters)


def _prompt(chance: random.Random, label: RouteLabel) -> str:
    text = chance.choice(asking.ways(label))
    if chance.random() < 0.35:
        text += "\n\n" + "\n".join(chance.sample(asking.details(label), k=chance.randint(1, 4)))
    if chance.random() < 0.12:
        text = f"{chance.choice(asking.openings())} {text}"
    return _filled(chance, text, label)


def _filled(chance: random.Random, text: str, label: RouteLabel) -> str:
    topic, language = chance.choice(_TOPICS[label]), chance.choice(_LANGUAGES)
    article, _, rest = topic.partition(" ")
    bare = rest if article in {"a", "an", "the"} else topic
    known = {
        "{t}": topic,
        "{T}": topic[0].upper() + topic[1:],
        "{b}": bare,
        "{l}": language,
        "{k}": chance.choice(_TOOLS),
        "{f}": "_".join(bare.lower().replace("'", "").split()[:3]),
        "{n}": str(chance.randint(2, 97)),
        "{m}": str(chance.randint(2, 900)),
    }
    for mark, value in known.items():
        text = text.replace(mark, value)
    return text
