"""What a generator of mathematics gives: a question, worked steps, the answer, and a claim that sympy can check."""

from __future__ import annotations

import ast
import operator
import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

ANSWER = "Answer: "
"""Begins the last line of every worked solution."""

VARIABLES = "xxxxxxyztnm"


@dataclass(frozen=True, slots=True)
class Problem:
    """`asked` are the values of the phrasing's placeholders; `claim` is a Python expression over sympy that holds."""

    asked: dict[str, str]
    steps: tuple[str, ...]
    answer: str
    claim: str

    @property
    def solution(self) -> str:
        """The text that a model is trained to write."""
        return "\n".join([*self.steps, ANSWER + self.answer])


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of problem: its phrasings, of which every `HELD_OUT_EVERY`-th is never trained, and what makes it.

    `weight` is its share of the examples.
    """

    name: str
    phrasings: tuple[str, ...]
    make: Callable[[random.Random], Problem]
    weight: float = 1.0


def final_answer(text: str) -> str | None:
    """What stands after the last `Answer: ` of `text`, without its full stop; None where there is none."""
    at = text.rfind(ANSWER)
    if at < 0:
        return None
    return text[at + len(ANSWER) :].split("\n", maxsplit=1)[0].strip().rstrip(".")


def show(value: Fraction | int) -> str:
    """As `3`, `-1/2`."""
    return str(Fraction(value))


def braced(value: Fraction | int) -> str:
    """As `show`, a negative number in parentheses, for the right of an operator."""
    return f"({show(value)})" if value < 0 else show(value)


def term(coefficient: Fraction | int, symbol: str) -> str:
    """As `3x`, `-x`, `1/2*x`, or a bare number where there is no symbol."""
    if not symbol:
        return show(coefficient)
    if coefficient in (1, -1):
        return symbol if coefficient == 1 else f"-{symbol}"
    value = Fraction(coefficient)
    return f"{value}{symbol}" if value.denominator == 1 else f"({value}){symbol}"


def power(variable: str, exponent: int) -> str:
    """As `x^3`, `x`, or nothing for the exponent 0."""
    return "" if exponent == 0 else variable if exponent == 1 else f"{variable}^{exponent}"


def polynomial(coefficients: dict[int, Fraction | int], variable: str) -> str:
    """As `2x^2 - x + 1`, the greatest exponent first; `0` where nothing is left."""
    text = ""
    for exponent in sorted(coefficients, reverse=True):
        value = Fraction(coefficients[exponent])
        if value == 0:
            continue
        if not text:
            text = term(value, power(variable, exponent))
        else:
            text += f" {'-' if value < 0 else '+'} {term(abs(value), power(variable, exponent))}"
    return text or "0"


def for_sympy(coefficients: dict[int, Fraction | int], variable: str = "x") -> str:
    """The same as an expression for sympy."""
    terms = [f"Rational({Fraction(c)!s})*{variable}**{e}".replace("/", ",") for e, c in coefficients.items()]
    return "+".join(terms) or "0"


def nonzero(rng: random.Random, most: int) -> int:
    """A whole number from -most to most, but not 0."""
    return rng.choice((-1, 1)) * rng.randint(1, most)


_SIGNS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


def value_of(expression: str) -> int:
    """Of whole numbers, their sums, differences and products."""
    return _computed(ast.parse(expression, mode="eval").body)


def _computed(node: ast.expr) -> int:
    if isinstance(node, ast.BinOp):
        return _SIGNS[type(node.op)](_computed(node.left), _computed(node.right))
    return int(ast.literal_eval(node))
