"""Which specialists a prompt needs, decided by keywords and patterns alone: no model, no input or output.

Evidence is the set of different keywords and patterns a prompt shows, each counted once. *Telling* ones
("theorem", "implement") belong to one craft; *shared* ones ("calculate", "function") are at home in both and only
tip a balance.

1. A hybrid keyword makes the prompt HYBRID.
2. Telling evidence of both crafts makes it HYBRID: it asks for mathematics and for a program.
3. Otherwise the craft with more evidence wins.
4. No evidence, or a draw between shared words: the default.

Of a long prompt the beginning and the end are read (`ensemble.routing.keyword_search`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from core.messages import Route, TaskType
from ensemble.routing.keyword_search import KeywordSet, SearchedText
from ensemble.routing.keywords import (
    CODE_PATTERNS,
    CODE_SHARED,
    CODE_TELLING,
    HYBRID_KEYWORDS,
    MATH_SHARED,
    MATH_TELLING,
)

VERSION = "keywords"
TELLING = 3
SHARED = 1
HYBRID_CONFIDENCE = 0.9
DRAW_CONFIDENCE = 0.3
DEFAULT_CONFIDENCE = 0.1


class KeywordRouter:
    """Routes prompts; holds compiled rules only, so that one may serve all threads of a process.

    The keywords given count as telling; they add to the built-in ones, or stand alone.
    """

    version = VERSION
    alarm: str | None = None

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
        self._hybrid = KeywordSet([*kept(HYBRID_KEYWORDS), *hybrid_keywords])

    def route(self, prompt: str, forced: TaskType | None = None) -> Route:
        """Decide for `prompt`, wrapped in `[INST]` or not; `forced` wins over all evidence."""
        if forced is not None:
            return Route(task_type=forced, confidence=1.0, reasons=(f"{forced} was forced by the caller",))
        text = SearchedText.of(prompt)
        hybrid = tuple(f"hybrid keyword '{keyword}'" for keyword in self._hybrid.found_in(text))
        math, code = self._math.evidence_in(text), self._code.evidence_in(text)
        reasons = hybrid + math.reasons + code.reasons + text.remarks
        if hybrid:
            return Route(task_type=TaskType.HYBRID, confidence=HYBRID_CONFIDENCE, reasons=reasons)
        return self._weigh(math, code, reasons)

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


class _Craft:
    """The keywords and patterns of one kind of work."""

    def __init__(
        self, name: str, telling: Iterable[str], shared: Iterable[str], patterns: Iterable[tuple[str, str]] = ()
    ) -> None:
        self._name = name
        self._telling = KeywordSet(telling)
        self._shared = KeywordSet(shared)
        self._patterns = tuple((label, re.compile(pattern)) for label, pattern in patterns)

    def evidence_in(self, text: SearchedText) -> _Evidence:
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
