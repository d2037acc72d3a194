"""What the learned router reads in a prompt: words, pairs of words, pieces of words and a few signs of form.

All of it is hashed into `BUCKETS` features. A word's own contribution never depends on its neighbours, so it is
computed once and remembered, and a person can be told which word spoke for what.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

from ensemble.routing.courtesy import without_courtesy
from ensemble.routing.keyword_router import KeywordRouter

BUCKETS = 1 << 16
HEAD_CHARACTERS = 3_072
TAIL_CHARACTERS = 1_024
LONGEST_WORD = 24
OPENING_WORDS = 12
SIGN_WEIGHT = 0.4

# Scripts without spaces between words are read four characters at a time.
_UNSPACED = r"\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff"
_TOKEN = re.compile(rf"[{_UNSPACED}]{{1,4}}|[^\W\d_{_UNSPACED}]+|\d+|[^\w\s]")

# Every repetition is bounded, so that hostile input costs no more than its length.
_SIGNS = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("a code fence", r"```"),
        ("indented code", r"(?m)^(?: {4}|\t)\S.{0,200}[;:({=\[]"),
        ("a function definition", r"\b(?:def|fn|func|function|void|int|public|static) \w{1,60} ?\("),
        ("an import", r"(?m)^ {0,20}(?:import|from|using|#include|require|use) ?[\w.<\"':]{2,80}"),
        ("a call", r"\b[a-z_]\w{1,60}\([^()\n]{0,80}\)"),
        ("a name with underscores", r"\b[a-z]{1,40}_[a-z_]{1,60}\b"),
        ("a name in camel case", r"\b[a-z]{2,30}[A-Z][a-z]{1,30}\b"),
        (
            "a file name",
            r"\b\w{1,60}\.(?:py|js|ts|java|cpp|c|h|cs|go|rs|rb|php|sh|sql|json|ya?ml|html|css|xml|txt)\b",
        ),
        ("a query", r"(?i)\bselect\b.{1,300}\bfrom\b"),
        ("a path", r"(?:^|\s)(?:/[\w.-]{1,60}){2}|[A-Z]:\\"),
        ("TeX", r"\\[a-zA-Z]{2,20}"),
        ("a formula between dollar signs", r"\$[^$\n]{1,200}\$"),
        ("an amount of money", r"[$€£] ?\d"),
        ("a percentage", r"\d ?%"),
        ("an equation", r"[\w)\]}] ?= ?[-(\w\\]"),
        ("a power", r"\^|\*\*"),
        ("several numbers", r"\d(?:\D{1,200}\d){3}"),
        ("a shape of an array", r"\b[nmN] ?(?:x|by|,|×) ?[nmN]\b"),
        ("numerical Python", r"\b(?:np|numpy|scipy|sympy|ndarray)\b"),
        ("a question", r"\?\s{0,20}$"),
    )
)
_FAMILIES = {
    "ask for code": "code function implement implementation program class script method return returns algorithm "
    "python numpy javascript java rust array parameter parameters input output def write solver simulate",
    "numerical words": "matrix matrices vector numerical convergence integral derivative equation equations "
    "gradient eigenvalue eigenvalues polynomial prime primes probability optimal optimization optimisation "
    "minimize minimise maximize maximise linear quadratic constraint constraints tolerance stiffness element "
    "nodes quadrature integration differential variance theorem proof prove graph complexity sequence factor "
    "modulo divisors digits sum triangular fibonacci factorial permutations discrete statistics regression",
    "craft words": "server database api file error string list html css docker git query table button user app "
    "web json test tests library install linux windows command dictionary object bug debug framework sql",
    "proof words": "find prove show determine solve compute calculate evaluate many much total value let real "
    "positive integer integers each sum number triangle angle probability",
    "talk words": "story poem email letter essay article people person history recipe travel advice write "
    "describe sentence words tone paragraph company food life book movie character customer business",
}
_KEYWORDS = KeywordRouter()
_LEAST_CONFIDENCE = 0.5
"""Of the keyword router, to be believed."""
_FAMILY_WORDS = {name: frozenset(words.split()) for name, words in _FAMILIES.items()}


@dataclass(frozen=True, slots=True)
class Reading:
    """One prompt as features; each part is scaled by the square root of its own length."""

    words: tuple[str, ...]
    pairs: tuple[str, ...]
    opening: tuple[str, ...]
    signs: tuple[tuple[str, float], ...]


def read(prompt: str) -> Reading:
    """Features of `prompt` without its courtesies; of a long one the first and the last characters are read."""
    prompt = without_courtesy(prompt)
    if len(prompt) > HEAD_CHARACTERS + TAIL_CHARACTERS:
        prompt = f"{prompt[:HEAD_CHARACTERS]}\n{prompt[-TAIL_CHARACTERS:]}"
    tokens = [_shape(token) for token in _TOKEN.findall(prompt.lower())]
    words = dict.fromkeys(tokens)
    pairs = dict.fromkeys(f"{left} {right}" for left, right in pairwise(tokens))
    return Reading(tuple(words), tuple(pairs), tuple(dict.fromkeys(tokens[:OPENING_WORDS])), _signs(prompt, words))


def _shape(token: str) -> str:
    return f"#{min(len(token), 4)}" if token.isdecimal() else token[:LONGEST_WORD]


def _signs(prompt: str, words: dict[str, None]) -> tuple[tuple[str, float], ...]:
    found = [(name, 1.0) for name, pattern in _SIGNS if pattern.search(prompt)]
    known = words.keys()
    hits = {name: min(len(family & known), 6) / 6 for name, family in _FAMILY_WORDS.items()}
    found += [(name, hit) for name, hit in hits.items() if hit]
    both = min(hits["ask for code"], hits["numerical words"])
    if both:
        found.append(("numerical words where code is asked for", both))
    keywords = _KEYWORDS.route(prompt)
    if keywords.confidence >= _LEAST_CONFIDENCE:
        found.append((f"keywords say {keywords.task_type}", keywords.confidence))
    return tuple(found)


def bucket(name: str) -> int:
    return crc32(name.encode(errors="replace")) % BUCKETS


def pieces(word: str) -> list[int]:
    """Buckets of the two to four neighbouring characters of `word`, its ends marked."""
    marked = f"<{word}>"
    length = len(marked)
    return [
        bucket(f"c{marked[start : start + size]}")
        for size in (2, 3, 4)
        for start in range(max(0, length - size + 1))
    ]


def features(prompt: str, *, piece_weight: float) -> dict[int, float]:
    """The sparse vector a classifier is fitted to."""
    reading = read(prompt)
    vector: dict[int, float] = {}

    def add(index: int, value: float) -> None:
        vector[index] = vector.get(index, 0.0) + value

    scale = max(1, len(reading.words)) ** -0.5
    for word in reading.words:
        add(bucket(f"w{word}"), scale)
        parts = pieces(word)
        for index in parts:
            add(index, scale * piece_weight * len(parts) ** -0.5)
    for pair in reading.pairs:
        add(bucket(f"p{pair}"), len(reading.pairs) ** -0.5)
    for word in reading.opening:
        add(bucket(f"o{word}"), len(reading.opening) ** -0.5)
    for name, value in reading.signs:
        add(bucket(f"s{name}"), value * SIGN_WEIGHT)
    return vector
