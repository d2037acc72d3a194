"""Which specialists a prompt needs, decided by keywords and patterns alone: no model, no input or output.

Evidence is the set of different keywords and patterns a prompt shows, each counted once. *Telling* ones
("theorem", "implement") belong to one craft; *shared* ones ("calculate", "function") are at home in both and only
tip a balance.

1. A hybrid keyword makes the prompt HYBRID.
2. Telling evidence of both crafts makes it HYBRID: it asks for mathematics and for a program.
3. Otherwise the craft with more evidence wins.
4. No evidence, or a draw between shared words: the default.

Only the first `HEAD_CHARACTERS` and the last `TAIL_CHARACTERS` of a long prompt are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from core.messages import Route, TaskType
from ensemble.keywords import (
    CODE_PATTERNS,
    CODE_SHARED,
    CODE_TELLING,
    HYBRID_KEYWORDS,
    MATH_SHARED,
    MATH_TELLING,
)
from ensemble.prompting import unwrap

HEAD_CHARACTERS = 8_192
TAIL_CHARACTERS = 4_096

TELLING = 3
SHARED = 1
HYBRID_CONFIDENCE = 0.9
DRAW_CONFIDENCE = 0.3
DEFAULT_CONFIDENCE = 0.1

# Letters of scripts that put spaces between words; Chinese, Japanese and Thai do not, and `\b` fails beside them.
_LETTER = r"a-z0-9_\u00aa-\u024f\u0370-\u052f"
_WORD = re.compile(f"[{_LETTER}]+")
_PHRASE = re.compile(rf"[{_LETTER}]+(?:[\s-]+[{_LETTER}]+)*")


class Router:
    """Routes prompts; holds compiled rules only, so that one may serve all threads of a process.

    Further keywords add to the built-in ones and count as telling.
    """

    def __init__(
        self,
        math_keywords: Iterable[str] = (),
        code_keywords: Iterable[str] = (),
        hybrid_keywords: Iterable[str] = (),
        default: TaskType = TaskType.MATH,
        *,
        has_built_in: bool = True,
    ) -> None:
        self._default = default
        kept = _words if has_built_in else _nothing
        self._math = _Craft("math", [*kept(MATH_TELLING), *math_keywords], kept(MATH_SHARED))
        self._code = _Craft("code", [*kept(CODE_TELLING), *code_keywords], kept(CODE_SHARED), CODE_PATTERNS)
        self._hybrid = _Keywords([*kept(HYBRID_KEYWORDS), *hybrid_keywords])

    def route(self, prompt: str, forced: TaskType | None = None) -> Route:
        """Decide for `prompt`, wrapped in `[INST]` or not; `forced` wins over all evidence."""
        if forced is not None:
            return Route(task_type=forced, confidence=1.0, reasons=(f"{forced} was forced by the caller",))
        text = _Text.of(prompt)
        hybrid = tuple(f"hybrid keyword '{keyword}'" for keyword in self._hybrid.found_in(text))
        math, code = self._math.evidence_in(text), self._code.evidence_in(text)
        reasons = hybrid + math.reasons + code.reasons + text.remarks
        if hybrid:
            return Route(task_type=TaskType.HYBRID, confidence=HYBRID_CONFIDENCE, reasons=reasons)
        return self._weigh(math, code, reasons)

    def own_evidence(self, prompt: str) -> Route | None:
        """The decision if a keyword speaks, or None: patterns of code alone say nothing here."""
        route = self.route(prompt)
        return route if any(" keyword '" in reason for reason in route.reasons) else None

    def _weigh(self, math: _Evidence, code: _Evidence, reasons: tuple[str, ...]) -> Route:
        total = math.weight + code.weight
        if math.is_telling and code.is_telling:
            lesser = min(math.weight, code.weight)
            why = "telling evidence of both kinds: mathematics and a program are asked for"
            return Route(task_type=TaskType.HYBRID, confidence=_share(2 * lesser, total), reasons=(*reasons, why))
        if math.weight == code.weight:
            why = (
                f"draw between shared words: default {self._default}" if total else f"no keyword: {self._default}"
            )
            confidence = DRAW_CONFIDENCE if total else DEFAULT_CONFIDENCE
            return Route(task_type=self._default, confidence=confidence, reasons=(*reasons, why))
        winner = TaskType.MATH if math.weight > code.weight else TaskType.CODE
        weight = max(math.weight, code.weight)
        return Route(task_type=winner, confidence=_share(weight, total), reasons=reasons)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What one craft can show for itself in one prompt."""

    weight: int
    is_telling: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Text:
    """A prompt as the rules read it: unwrapped, clipped, in lower case, and as words."""

    lower: str
    words: tuple[str, ...]
    remarks: tuple[str, ...]

    @classmethod
    def of(cls, prompt: str) -> _Text:
        inner = unwrap(prompt)
        if len(inner) <= HEAD_CHARACTERS + TAIL_CHARACTERS:
            return cls._read(inner)
        remark = f"long prompt: read its first {HEAD_CHARACTERS} and last {TAIL_CHARACTERS} characters"
        return cls._read(f"{inner[:HEAD_CHARACTERS]}\n{inner[-TAIL_CHARACTERS:]}", remark)

    @classmethod
    def _read(cls, text: str, *remarks: str) -> _Text:
        lower = text.lower()
        return cls(lower, tuple(_WORD.findall(lower)), remarks)


class _Keywords:
    """Finds keywords in time linear in the text, however many there are.

    Words and phrases are looked up word by word, with their regular English endings ("solves", "solving").
    Keywords with other characters ("c++", "矩阵") are one precompiled alternation, bounded only where they end in
    a letter.
    """

    def __init__(self, keywords: Iterable[str]) -> None:
        cleaned = dict.fromkeys(keyword.strip().lower() for keyword in keywords if keyword.strip())
        literal = [keyword for keyword in cleaned if not _PHRASE.fullmatch(keyword)]
        self._phrases: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for keyword in cleaned:
            if _PHRASE.fullmatch(keyword):
                self._learn(keyword)
        alternatives = "|".join(_bounded(keyword) for keyword in sorted(literal, key=len, reverse=True))
        self._literals = re.compile(alternatives) if alternatives else None

    def _learn(self, keyword: str) -> None:
        *head, last = _WORD.findall(keyword)
        for form in _inflections(last):
            phrase = (*head, form)
            self._phrases.setdefault(phrase[0], []).append((phrase, keyword))

    def found_in(self, text: _Text) -> tuple[str, ...]:
        """The different keywords in `text`, in order of first appearance (literal ones last)."""
        found = dict.fromkeys(self._spoken(text.words))
        if self._literals is not None:
            found.update(dict.fromkeys(self._literals.findall(text.lower)))
        return tuple(found)

    def _spoken(self, words: tuple[str, ...]) -> Iterator[str]:
        known = self._phrases
        for position in [position for position, word in enumerate(words) if word in known]:
            for phrase, keyword in known[words[position]]:
                if len(phrase) == 1 or words[position : position + len(phrase)] == phrase:
                    yield keyword


class _Craft:
    """The keywords and patterns of one kind of work."""

    def __init__(
        self, name: str, telling: Iterable[str], shared: Iterable[str], patterns: Iterable[tuple[str, str]] = ()
    ) -> None:
        self._name = name
        self._telling = _Keywords(telling)
        self._shared = _Keywords(shared)
        self._patterns = tuple((label, re.compile(pattern)) for label, pattern in patterns)

    def evidence_in(self, text: _Text) -> _Evidence:
        shown = [label for label, pattern in self._patterns if pattern.search(text.lower)]
        telling = self._telling.found_in(text)
        shared = tuple(keyword for keyword in self._shared.found_in(text) if keyword not in telling)
        reasons = (
            *(f"{self._name} pattern {label}" for label in shown),
            *(f"{self._name} keyword '{keyword}'" for keyword in telling),
            *(f"{self._name} keyword '{keyword}' (shared)" for keyword in shared),
        )
        strong = len(shown) + len(telling)
        return _Evidence(TELLING * strong + SHARED * len(shared), strong > 0, reasons)


def _nothing(listing: str) -> list[str]:
    return []


def _words(listing: str) -> list[str]:
    return [" ".join(keyword.split()) for keyword in listing.split(",")]


def _share(part: int, total: int) -> float:
    """`part / total` drawn towards a half while there is little evidence."""
    return round((part + 1) / (total + 2), 3)


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
