"""The quality score of a file, 0 to 100, with what each signal gave or took. Pure; `docs/corpus.md` has the table.

A file begins with 80. It gains by documentation, tests and a clean lint, and loses by what makes a text poor to
learn from. Nothing here rejects a file: a score below MATHCODE_MIN_QUALITY only keeps it out of training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from training.ingest.byte_classes import ByteClasses
from training.ingest.lint import Lint

BEGIN = 80

_HASH = frozenset(
    ("python", "cython", "shell", "fish", "ruby", "perl", "r", "julia", "crystal", "elixir", "nim", "cmake")
).union(("makefile", "nix", "awk", "powershell"))
_DASHES = frozenset({"sql", "lua", "luau", "haskell", "elm", "vhdl", "lean", "purescript"})
_DEFINITIONS = {
    "python": ("def ", "class ", "async def "),
    "cython": ("def ", "class ", "cdef ", "cpdef "),
    "go": ("func ", "type "),
    "rust": ("fn ", "pub fn ", "impl ", "pub struct ", "struct ", "pub enum ", "trait ", "pub trait "),
    "ruby": ("def ", "class ", "module "),
}


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
    def lines(self) -> list[str]:
        """Without indentation, blank ones left out."""
        return [line for line in map(str.strip, self.text.split("\n")) if line]

    @cached_property
    def comments(self) -> int:
        marks = _comment_marks(self.language)
        return sum(map(lambda line: line.startswith(marks), self.lines))  # noqa: C417 -- a third faster

    @cached_property
    def definitions(self) -> list[int]:
        """Which lines begin a function or a class, where the language shows that by its first word."""
        words = _DEFINITIONS.get(self.language)
        return [] if words is None else [at for at, line in enumerate(self.lines) if line.startswith(words)]


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


def _comment_marks(language: str) -> tuple[str, ...]:
    if language in _HASH:
        return ("#",)
    return ("--",) if language in _DASHES else ("//", "/*", "*")


def _length(subject: Subject) -> Signal | None:
    count = len(subject.lines) - subject.comments
    if count < 5:
        return Signal("length", -40, f"{count} lines of code")
    if count < 12:
        return Signal("length", -15, f"{count} lines of code")
    return Signal("length", -5, f"{count} lines of code") if count > 3000 else None


def _line_length(subject: Subject) -> Signal | None:
    lengths = subject.classes.line_lengths
    longest, mean = int(lengths.max()), float(lengths.mean())
    if longest > 2000 or mean > 100:
        return Signal("line_length", -25, f"longest line {longest}, mean {mean:.0f} bytes")
    if longest > 300 or mean > 70:
        return Signal("line_length", -8, f"longest line {longest}, mean {mean:.0f} bytes")
    return None


def _alphabet(subject: Subject) -> Signal | None:
    """Text that is mostly digits or signs is data; text without spaces is encoded."""
    classes, size = subject.classes, len(subject.classes.data)
    for share, least, what in (
        (classes.letters / size, 0.3, "letters"),
        (classes.spaces / size, 0.04, "spaces"),
    ):
        if share < least:
            return Signal("alphabet", -30, f"{share:.0%} {what}")
    digits = classes.digits / size
    if digits > 0.15:
        return Signal("alphabet", -35 if digits > 0.25 else -20, f"{digits:.0%} digits")
    return None


def _entropy(subject: Subject) -> Signal | None:
    bits = subject.classes.entropy_bits
    if bits < 3.2 or bits > 5.7:
        return Signal("entropy", -30, f"{bits:.1f} bits per byte, code has 4 to 5.5")
    return None


def _documentation(subject: Subject) -> Signal | None:
    """Docstrings of Python, comments of everything."""
    lines, definitions = subject.lines, subject.definitions
    comments = subject.comments / max(1, len(lines))
    if comments > 0.6:
        return Signal("documentation", -20, f"{comments:.0%} of the lines are comments")
    documented = _documented(lines, definitions) if subject.language == "python" else 0
    share = max(documented / len(definitions) if definitions else 0.0, min(1.0, comments / 0.15))
    words = f"{documented} of {len(definitions)} definitions documented, {comments:.0%} comment lines"
    if share < 0.05 and len(lines) > 40:
        return Signal("documentation", -8, words)
    return Signal("documentation", round(10 * min(1.0, share / 0.6), 1), words)


def _documented(lines: Sequence[str], definitions: Sequence[int]) -> int:
    return sum(_is_documented(lines, at) for at in definitions)


def _is_documented(lines: Sequence[str], at: int) -> bool:
    """Whether the first line after a head, which may be several lines long, begins a string."""
    for line in range(at, min(at + 12, len(lines) - 1)):
        if lines[line].endswith(":"):
            return lines[line + 1].startswith(('"', "'", 'r"', "r'"))
    return False


def _repetition(subject: Subject) -> Signal | None:
    """Lines that occur again, of those long enough to say something."""
    telling = [line for line in subject.lines if len(line) > 15]
    share = 1 - len(set(telling)) / len(telling) if len(telling) >= 20 else 0.0
    if share > 0.25:
        return Signal("repetition", -25 if share > 0.5 else -10, f"{share:.0%} of the lines are repeated")
    return None


def _lint(subject: Subject) -> Signal | None:
    if subject.lint is None:
        return None
    findings, lines = subject.lint.findings, max(1, len(subject.lines))
    if findings == 0:
        return Signal("lint", 5, "no findings")
    density = 100 * findings / lines
    points = -min(25.0, 3 * density)
    return Signal("lint", round(points, 1), f"{findings} findings in {lines} lines")


def _structure(subject: Subject) -> Signal | None:
    if subject.language in _DEFINITIONS and len(subject.lines) > 60 and not subject.definitions:
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
