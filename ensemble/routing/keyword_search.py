"""Finds keywords in prompts, in time linear in the text however many there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ensemble.prompting import unwrap

HEAD_CHARACTERS = 8_192
TAIL_CHARACTERS = 4_096

# Letters of scripts that put spaces between words; Chinese, Japanese and Thai do not, and `\b` fails beside them.
_LETTER = r"a-z0-9_\u00aa-\u024f\u0370-\u052f"
_WORD = re.compile(f"[{_LETTER}]+")
_PHRASE = re.compile(rf"[{_LETTER}]+(?:[\s-]+[{_LETTER}]+)*")


@dataclass(frozen=True, slots=True)
class SearchedText:
    """A prompt as the rules read it: unwrapped, clipped, in lower case, and as words."""

    lower: str
    words: tuple[str, ...]
    remarks: tuple[str, ...]

    @classmethod
    def of(cls, prompt: str) -> SearchedText:
        inner = unwrap(prompt)
        if len(inner) <= HEAD_CHARACTERS + TAIL_CHARACTERS:
            return cls._read(inner)
        remark = f"long prompt: read its first {HEAD_CHARACTERS} and last {TAIL_CHARACTERS} characters"
        return cls._read(f"{inner[:HEAD_CHARACTERS]}\n{inner[-TAIL_CHARACTERS:]}", remark)

    @classmethod
    def _read(cls, text: str, *remarks: str) -> SearchedText:
        lower = text.lower()
        return cls(lower, tuple(_WORD.findall(lower)), remarks)


class KeywordSet:
    """Keywords that are looked for together.

    Words and phrases are looked up word by word, with their regular English endings ("solves", "solving").
    Keywords with other characters ("c++", "矩阵") are one precompiled alternation, bounded only where they end in
    a letter.
    """

    def __init__(self, keywords: Iterable[str]) -> None:
        cleaned = dict.fromkeys(keyword.strip().lower() for keyword in keywords if keyword.strip())
        literal = [keyword for keyword in cleaned if not _PHRASE.fullmatch(keyword)]
        self._phrases: dict[tuple[str, ...], str] = {}
        self._lengths: dict[str, set[int]] = {}  # of the phrases that begin with a word
        for keyword in cleaned:
            if _PHRASE.fullmatch(keyword):
                self._learn(keyword)
        alternatives = "|".join(_bounded(keyword) for keyword in sorted(literal, key=len, reverse=True))
        self._literals = re.compile(alternatives) if alternatives else None

    def __bool__(self) -> bool:
        return bool(self._phrases) or self._literals is not None

    def _learn(self, keyword: str) -> None:
        *head, last = _WORD.findall(keyword)
        for form in _inflections(last):
            phrase = (*head, form)
            self._phrases.setdefault(phrase, keyword)
            self._lengths.setdefault(phrase[0], set()).add(len(phrase))

    def found_in(self, text: SearchedText) -> tuple[str, ...]:
        """The different keywords in `text`, in order of first appearance (literal ones last)."""
        found = dict.fromkeys(self._spoken(text.words))
        if self._literals is not None:
            found.update(dict.fromkeys(self._literals.findall(text.lower)))
        return tuple(found)

    def _spoken(self, words: tuple[str, ...]) -> Iterator[str]:
        lengths, phrases = self._lengths, self._phrases
        for position in [position for position, word in enumerate(words) if word in lengths]:
            for length in sorted(lengths[words[position]]):
                keyword = phrases.get(words[position : position + length])
                if keyword is not None:
                    yield keyword


def _inflections(word: str) -> tuple[str, ...]:
    """`word` with its regular English endings; short and non-English words have none."""
    if len(word) < 4 or not (word.isascii() and word.isalpha()):
        return (word,)
    stem = word.removesuffix("e")
    plural = (f"{word[:-1]}ies",) if word.endswith("y") else ()
    return (word, f"{word}s", f"{word}es", f"{stem}ed", f"{stem}ing", *plural)


def _bounded(keyword: str) -> str:
    before = rf"(?<![{_LETTER}])" if _WORD.match(keyword) else ""
    after = rf"(?![{_LETTER}])" if _WORD.match(keyword[-1]) else ""
    return f"{before}{re.escape(keyword)}{after}"
