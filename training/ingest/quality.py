"""The quality score of a file, 0 to 100, with what each signal gave or took. Pure; `docs/corpus.md` has the table.

A file begins with 80. It gains by documentation, tests and a clean lint, and loses by what makes a text poor to
learn from. Nothing here rejects a file: a score below MATHCODE_MIN_QUALITY only keeps it out of training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.ingest.byte_classes import ByteClasses
from training.ingest.lint import Lint

BEGIN = 80
SAMPLE_BYTES = 32 * 1024
LARGE_BYTES = 150_000

_HASH = frozenset(
    (
        *("python", "cython", "shell", "fish", "ruby", "perl", "r", "julia", "crystal", "elixir", "nim", "cmake"),
        *("makefile", "nix", "awk", "powershell"),
    )
)
_DASHES = frozenset({"sql", "lua", "luau", "haskell", "elm", "vhdl", "lean", "purescript"})
_DEFINITIONS = {
    "python": (b"def ", b"class ", b"async def "),
    "cython": (b"def ", b"class ", b"cdef ", b"cpdef "),
    "go": (b"func ", b"type "),
    "rust": (b"fn ", b"pub fn ", b"impl ", b"pub struct ", b"struct ", b"pub enum ", b"trait ", b"pub trait "),
    "ruby": (b"def ", b"class ", b"module "),
}
_INITIALS = {
    language: np.isin(np.arange(256), [word[0] for word in words]) for language, words in _DEFINITIONS.items()
}
_STRINGS = (b'"', b"'", b'r"', b"r'")
_HEAD_BYTES = 2000  # of a function, up to its docstring


@dataclass(frozen=True, slots=True)
class Signal:
    """What one look at a file came to."""

    name: str
    points: float
    because: str


@dataclass(frozen=True, slots=True)
class Score:
    """`value` is BEGIN plus all points, kept between 0 and 100."""

    value: float
    signals: tuple[Signal, ...]

    @property
    def reasons(self) -> dict[str, object]:
        """As stored: the points and the words of every signal that spoke."""
        return {signal.name: {"points": signal.points, "because": signal.because} for signal in self.signals}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One file as the signals see it. `repository_has_tests` is of the whole repository."""

    path: str
    language: str
    text: str
    classes: ByteClasses
    lint: Lint | None = None  # None: there is no linter for this language
    repository_has_tests: bool = False

    @cached_property
    def sample(self) -> ByteClasses:
        """The first SAMPLE_BYTES, which most signals are content with."""
        data = self.classes.data
        return self.classes if len(data) <= SAMPLE_BYTES else ByteClasses(data[:SAMPLE_BYTES])

    @cached_property
    def lines(self) -> int:
        """How many of the sample are not blank."""
        return len(self.sample.line_begins)

    @cached_property
    def comments(self) -> int:
        """How many lines begin as a comment."""
        codes, begins = self.sample.codes, self.sample.line_begins
        first, *rest = _comment_mark(self.language)
        is_comment = codes[begins] == first
        if rest:
            is_comment &= codes[np.minimum(begins + 1, len(codes) - 1)] == rest[0]
        return int(is_comment.sum())

    @cached_property
    def definitions(self) -> list[int]:
        """Where functions and classes begin, in languages that show that by a line's first word."""
        words = _DEFINITIONS.get(self.language)
        if words is None:
            return []
        begins, data = self.sample.line_begins, self.sample.data
        is_likely = _INITIALS[self.language][self.sample.codes[begins]]
        return [begin for begin in begins[is_likely].tolist() if data.startswith(words, begin)]


def score(subject: Subject) -> Score:
    """Judge one file that parses and that somebody wrote."""
    signals = tuple(signal for look in _SIGNALS if (signal := look(subject)) is not None)
    value = BEGIN + sum(signal.points for signal in signals)
    return Score(value=round(min(100.0, max(0.0, value)), 1), signals=signals)


def is_test(path: str) -> bool:
    """Whether a path is one of tests, by the names that test runners look for."""
    *folders, name = path.lower().split("/")
    is_named = name.startswith("test_") or "_test." in name or ".test." in name or ".spec." in name
    return is_named or bool({"test", "tests", "__tests__", "spec"} & set(folders))


def _comment_mark(language: str) -> bytes:
    if language in _HASH:
        return b"#"
    return b"--" if language in _DASHES else b"//"


def _length(subject: Subject) -> Signal | None:
    count = subject.lines - subject.comments
    if count < 5:
        return Signal("length", -40, f"{count} lines of code")
    if count < 12:
        return Signal("length", -15, f"{count} lines of code")
    size = len(subject.classes.data)
    return Signal("length", -5, f"{size} bytes") if size > LARGE_BYTES else None


def _line_length(subject: Subject) -> Signal | None:
    longest, mean = subject.classes.longest_line, subject.classes.mean_line
    if longest > 2000 or mean > 100:
        return Signal("line_length", -25, f"longest line {longest}, mean {mean:.0f} bytes")
    if longest > 300 or mean > 70:
        return Signal("line_length", -8, f"longest line {longest}, mean {mean:.0f} bytes")
    return None


def _alphabet(subject: Subject) -> Signal | None:
    """Text that is mostly digits or signs is data; text without spaces is encoded."""
    for what, least in (("letters", 0.3), ("spaces", 0.04)):
        if (share := subject.sample.share(what)) < least:
            return Signal("alphabet", -30, f"{share:.0%} {what}")
    digits = subject.sample.share("digits")
    if digits > 0.15:
        return Signal("alphabet", -35 if digits > 0.25 else -20, f"{digits:.0%} digits")
    return None


def _entropy(subject: Subject) -> Signal | None:
    bits = subject.sample.entropy_bits
    if bits < 3.2 or bits > 5.7:
        return Signal("entropy", -30, f"{bits:.1f} bits per byte, code has 4 to 5.5")
    return None


def _documentation(subject: Subject) -> Signal | None:
    """Docstrings of Python, comments of everything."""
    lines, definitions = subject.lines, subject.definitions
    comments = subject.comments / max(1, lines)
    if comments > 0.6:
        return Signal("documentation", -20, f"{comments:.0%} of the lines are comments")
    documented = 0
    if subject.language == "python":
        documented = sum(_is_documented(subject.sample.data, begin) for begin in definitions)
    share = max(documented / len(definitions) if definitions else 0.0, min(1.0, comments / 0.15))
    words = f"{documented} of {len(definitions)} definitions documented, {comments:.0%} comment lines"
    if share < 0.05 and lines > 40:
        return Signal("documentation", -8, words)
    return Signal("documentation", round(10 * min(1.0, share / 0.6), 1), words)


def _is_documented(data: bytes, begin: int) -> bool:
    """Whether the first line after a head, which may be several lines long, begins a string."""
    end = data.find(b":\n", begin, begin + _HEAD_BYTES)
    return end >= 0 and data[end + 2 : end + 120].lstrip().startswith(_STRINGS)


def _repetition(subject: Subject) -> Signal | None:
    """Lines that occur again, of those long enough to say something."""
    telling = [line for line in subject.text[:SAMPLE_BYTES].split("\n") if len(line) > 20]
    share = 1 - len(set(telling)) / len(telling) if len(telling) >= 20 else 0.0
    if share > 0.25:
        return Signal("repetition", -25 if share > 0.5 else -10, f"{share:.0%} of the lines are repeated")
    return None


def _lint(subject: Subject) -> Signal | None:
    if subject.lint is None:
        return None
    found = subject.lint.findings
    is_package = subject.path.endswith("__init__.py")  # imports names for others to find
    findings = found.total() - (found["F401"] + found["F403"] if is_package else 0)
    lines = len(subject.classes.line_ends)
    if findings == 0:
        return Signal("lint", 5, "no findings")
    density = 100 * findings / lines
    points = -min(25.0, 3 * density)
    return Signal("lint", round(points, 1), f"{findings} findings in {lines} lines")


def _structure(subject: Subject) -> Signal | None:
    if subject.language in _DEFINITIONS and subject.lines > 60 and not subject.definitions:
        return Signal("structure", -15, "no function or class in a long file")
    return None


def _tests(subject: Subject) -> Signal | None:
    if is_test(subject.path):
        return Signal("tests", 3, "is a test")
    return Signal("tests", 5, "its repository has tests") if subject.repository_has_tests else None


_SIGNALS: tuple[Callable[[Subject], Signal | None], ...] = (
    _length,
    _line_length,
    _alphabet,
    _entropy,
    _documentation,
    _repetition,
    _lint,
    _structure,
    _tests,
)
