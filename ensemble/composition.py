"""One document from the mathematics and the implementation of a hybrid answer; pure and deterministic.

What it does to the two texts, outside of blocks of code alone: a repetition of the question at their start is left
out, headings of their own sink below ours, and the line with the final answer moves to the end, where it stands
once. Symbols that the mathematics explains and the program uses are listed. Results that differ are pointed out
and never settled: the texts themselves are in the job's completions, word for word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MATHEMATICS = "## Mathematics"
IMPLEMENTATION = "## Implementation"
NOTATION = "## Notation"
ANSWER = "## Answer"
REPEATED_SHARE = 0.8
"""Of the words of a first paragraph, how many must be the question's, and the other way round, in their order."""
MOST_SYMBOLS = 12
MOST_CHARACTERS = 200_000

_FENCE = re.compile(r"(?ms)^ {0,3}(`{3,}+|~{3,}+)[^\n]*+\n.*?(?:^ {0,3}\1[`~]* *$|\Z)")
_WORD = re.compile(r"[^\W_]+")
_HEADING = re.compile(r"(?m)^(#{1,5}) +(?=\S)")
_LABEL = re.compile(r"(?i)^(?:\*\*)?(?:question|problem|task|request)(?:\*\*)?\s*:(?:\*\*)?\s*")
_FINAL = re.compile(
    r"(?im)^[ \t>*_-]{0,8}(?:so |thus |hence |therefore,? |finally,? )?(?:the )?(?:final )?(?:answer|result)"
    r"(?: is|:|\*\*:| =)[ \t]*(?:\*\*)?[ \t]*(?P<value>\S[^\n]{0,200})$"
)
_BOXED = re.compile(r"\\boxed\{(?P<value>[^{}\n]{1,100}(?:\{[^{}\n]{0,60}\}[^{}\n]{0,60}){0,4})\}")
_NUMBER = re.compile(r"(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w]|\.\d)")
_ORDER = re.compile(r"\bO\((?P<what>[^()\n]{1,40}(?:\([^()\n]{0,30}\)[^()\n]{0,20})?)\)")
_EXPLAINED = re.compile(
    r"(?i:\b(?:let|where|here|with|and)\s+)?\$(?P<symbol>\\?[A-Za-z]{1,12})\$\s+(?:is|be|denotes?|are)\s+"
    r"(?P<meaning>(?:the|a|an)\s[^.,;:\n$]{3,60})"
)


@dataclass(frozen=True, slots=True)
class _Part:
    """A text without its question and without its final answer, which stands beside it."""

    text: str
    final: str | None


def compose_document(*, question: str, mathematics: str, implementation: str) -> str:
    """The hybrid answer to `question` from the two texts; either may be empty."""
    maths, program = _read(mathematics, question), _read(implementation, question)
    sections = [
        *_notation(maths.text, program.text),
        f"{MATHEMATICS}\n\n{maths.text}",
        f"{IMPLEMENTATION}\n\n{program.text}",
        *_warnings(maths, program),
        *_answer(maths.final or program.final),
    ]
    return "\n\n".join(section.rstrip() for section in sections)


def _read(text: str, question: str) -> _Part:
    if len(text) > MOST_CHARACTERS:
        return _Part(text.strip(), None)
    kept = _without_question(text.strip(), question)
    final = _final_line(kept)
    if final is None:
        boxed = [match["value"].strip() for match in _outside(_BOXED, kept)]
        return _Part(_sink_headings(kept), f"${boxed[-1]}$" if boxed else None)
    rest = f"{kept[: final.start()].rstrip()}\n\n{kept[final.end() :].lstrip()}".strip()
    value = final["value"].strip().strip("*").strip()
    if not rest:  # the answer is all there is: leave it where it is
        return _Part(_sink_headings(kept), None)
    return _Part(_sink_headings(rest), value)


def _final_line(text: str) -> re.Match[str] | None:
    found = list(_outside(_FINAL, text))
    return found[-1] if found else None


def _outside(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Matches that lie in no block of code."""
    blocks = [block.span() for block in _FENCE.finditer(text)]
    for match in pattern.finditer(text):
        if not any(start <= match.start() < end for start, end in blocks):
            yield match


def _without_question(text: str, question: str) -> str:
    first, gap, rest = text.partition("\n\n")
    return rest.lstrip() if gap and rest.strip() and _repeats(first, question) else text


def _repeats(paragraph: str, question: str) -> bool:
    said = _WORD.findall(_LABEL.sub("", paragraph.lstrip("#> ")).lower())
    asked = _WORD.findall(question.lower())
    if not said or not asked:
        return False
    shared = len(set(said) & set(asked))
    return shared >= REPEATED_SHARE * len(set(said)) and shared >= REPEATED_SHARE * len(set(asked))


def _sink_headings(text: str) -> str:
    """Headings two levels deeper, so that they stand below ours; those in blocks of code are comments."""
    pieces, at = [], 0
    for match in _outside(_HEADING, text):
        level = min(6, len(match[1]) + 2)
        pieces += [text[at : match.start()], "#" * level + " "]
        at = match.end()
    return "".join([*pieces, text[at:]])


def _notation(mathematics: str, program: str) -> Iterator[str]:
    """A table of the symbols that the one explains and the other uses."""
    names = set(re.findall(r"[A-Za-z_]\w*", "\n".join(block[0] for block in _FENCE.finditer(program))))
    rows: dict[str, str] = {}
    for match in _outside(_EXPLAINED, mathematics):
        symbol = match["symbol"]
        name = symbol.removeprefix("\\")
        known = next((each for each in (name, f"{name}_", name.lower()) if each in names), None)
        if known is not None and len(rows) < MOST_SYMBOLS:
            rows.setdefault(symbol, f"| ${symbol}$ | `{known}` | {' '.join(match['meaning'].split())} |")
    if rows:
        head = "| in the mathematics | in the program | meaning |\n|---|---|---|"
        yield "\n".join([NOTATION, "", head, *rows.values()])


def _warnings(maths: _Part, program: _Part) -> Iterator[str]:
    """What the two say differently, side by side."""
    if maths.final and program.final and _differ(maths.final, program.final):
        yield (
            f"> **The two parts disagree.** The mathematics gives {maths.final}, "
            f"the implementation {program.final}. Check both before you rely on either."
        )
    orders = [{_plain(match["what"]) for match in _outside(_ORDER, part.text)} for part in (maths, program)]
    if all(len(each) == 1 for each in orders) and orders[0] != orders[1]:
        first, second = (f"O({each.pop()})" for each in orders)
        yield (
            f"> **The two parts disagree on the cost.** The mathematics says {first}, "
            f"the implementation {second}. Check both before you rely on either."
        )


def _plain(order: str) -> str:
    return re.sub(r"[\s\\{}$*]", "", order).lower()


def _differ(first: str, second: str) -> bool:
    """Whether both end in a number, and these are not the same after rounding to the fewer digits."""
    numbers = [_NUMBER.findall(text.replace("−", "-")) for text in (first, second)]
    if not all(numbers):
        return False
    one, other = (found[-1].replace(",", "") for found in numbers)
    digits = min(_decimals(one), _decimals(other))
    a, b = float(one), float(other)
    return abs(a - b) > 0.5000001 * 10.0**-digits and abs(a - b) > 1e-9 * max(abs(a), abs(b))


def _decimals(number: str) -> int:
    mantissa, _, exponent = number.lower().partition("e")
    return len(mantissa.partition(".")[2]) - int(exponent or 0)


def _answer(final: str | None) -> Iterator[str]:
    if final is not None:
        yield f"{ANSWER}\n\n{final}"
