"""Prompts of our own: topics of each class in the ways people ask, short and long. Deterministic for a seed."""

from __future__ import annotations

import random

from ensemble.router_training import asking, lexicon

Example = tuple[str, str]
_TOPICS = {
    "HYBRID": lexicon.NUMERICAL,
    "MATH": lexicon.MATHEMATICAL,
    "CODE": lexicon.PROGRAMMING,
    "OTHER": lexicon.GENERAL,
}
_PREFIXES = (
    "please ",
    "Hello, could you help me? ",
    "Hi! ",
    "I would like your help. ",
    "Bitte: ",
    "Por favor, ",
    "S'il vous plaît, ",
    "请 ",
    "You are a helpful assistant. ",
    "[INST] ",
    "Question: ",
    "Task: ",
)
_SUFFIXES = (
    " Thank you!",
    " Thanks in advance.",
    " Be brief.",
    " Explain your answer.",
    " [/INST]",
    " Danke!",
    " Merci.",
    " 谢谢",
    " Take your time.",
    "\n\nAnswer:",
)


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
        return chance.choice(_PREFIXES) + prompt
    if kind == 1:
        return prompt + chance.choice(_SUFFIXES)
    if kind == 2:
        return typos(chance, prompt)
    if kind == 3:
        return prompt.lower() if chance.random() < 0.6 else prompt.upper()
    if kind == 4:
        return "  " + prompt.replace(" ", "  ") + "\n\n"
    return chance.choice(_PREFIXES) + typos(chance, prompt) + chance.choice(_SUFFIXES)


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


def _prompt(chance: random.Random, label: str) -> str:
    text = chance.choice(asking.WAYS[label])
    if chance.random() < 0.35:
        text += "\n\n" + "\n".join(chance.sample(asking.DETAILS[label], k=chance.randint(1, 4)))
    if chance.random() < 0.12:
        text = chance.choice(asking.OPENINGS) + text
    return _filled(chance, text, label)


def _filled(chance: random.Random, text: str, label: str) -> str:
    topics = [" ".join(topic.split()) for topic in _TOPICS[label].split(";")]
    languages = [language.strip() for language in lexicon.LANGUAGES.split(";")]
    topic, language = chance.choice(topics), chance.choice(languages)
    bare = topic.split(" ", 1)[1] if topic.split(" ", 1)[0] in {"a", "an", "the"} else topic
    known = {
        "{t}": topic,
        "{T}": topic[0].upper() + topic[1:],
        "{b}": bare,
        "{l}": language,
        "{f}": "_".join(bare.lower().replace("'", "").split()[:3]),
        "{n}": str(chance.randint(2, 97)),
        "{m}": str(chance.randint(2, 900)),
    }
    for mark, value in known.items():
        text = text.replace(mark, value)
    return text
