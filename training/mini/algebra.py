"""Equations with worked steps: linear, quadratic, systems of two; expanding and factoring."""

from __future__ import annotations

import random
from fractions import Fraction
from math import gcd, isqrt

from training.mini.problem import (
    VARIABLES,
    Kind,
    Problem,
    braced,
    for_sympy,
    nonzero,
    polynomial,
    power,
    show,
    term,
)

_SOLVE = (
    "Solve the equation: {e}", "Solve {e}.", "Solve {e} for {v}.", "Find {v} if {e}.", "Find all solutions of {e}.",
    "Solve for {v}: {e}", "What is {v} if {e}?", "{e}", "Determine {v} such that {e}.", "Find the solutions of the equation {e}.",
    "Solve the equation {e} and show each step.", "For which {v} is {e}?", "Find the value of {v}: {e}", "Please solve {e}",
    "What are the solutions to {e}?", "Work out {v} from {e}.", "Given {e}, find {v}.", "Compute {v} where {e}.",
    "{e}, what is {v}?", "Which values of {v} satisfy {e}?",
)  # fmt: skip
_QUADRATIC = (
    *_SOLVE, "Solve the quadratic equation {e}.", "Find the roots of {e}.", "What are the roots of {e}?", "Find both solutions: {e}",
    "Use the quadratic formula to solve {e}.", "Solve the quadratic {e}", "Find the zeros given by {e}.",
)  # fmt: skip


def linear_steps(a: int, b: int, c: int, v: str) -> tuple[tuple[str, ...], Fraction]:
    """a v + b = c, in the usual two moves."""
    steps = []
    if b:
        move = "Subtract" if b > 0 else "Add"
        steps.append(
            f"{move} {abs(b)} {'from' if b > 0 else 'on'} both sides: {term(a, v)} = {c} {'-' if b > 0 else '+'} {abs(b)} = {c - b}"
        )
    value = Fraction(c - b, a)
    if a != 1:
        steps.append(f"Divide both sides by {a}: {v} = {c - b}/{braced(a)} = {show(value)}")
    return tuple(steps), value


def _linear(rng: random.Random) -> Problem:
    v, a = rng.choice(VARIABLES), nonzero(rng, rng.choice((9, 12, 20)))
    if rng.random() < 0.75:
        root = Fraction(rng.randint(-15, 15))
        b = rng.randint(-30, 30)
        c = int(a * root) + b
    else:
        b, c = rng.randint(-20, 20), rng.randint(-20, 20)
    steps, value = linear_steps(a, b, c, v)
    left = polynomial({1: a, 0: b}, v)
    e = f"{left} = {c}" if rng.random() < 0.85 else f"{c} = {left}"
    return Problem({"e": e, "v": v}, steps, f"{v} = {show(value)}", f"{a}*Rational('{value}')+{b}=={c}")


def _both_sides(rng: random.Random) -> Problem:
    v = rng.choice(VARIABLES)
    a, c, b = nonzero(rng, 12), nonzero(rng, 12), rng.randint(-20, 20)
    if a == c:
        a += 1 if a != -1 else 2
    root = rng.randint(-12, 12)
    d = (a - c) * root + b
    move = "Subtract" if c > 0 else "Add"
    shown = term(abs(c), v)
    first = f"{move} {shown} {'from' if c > 0 else 'on'} both sides: {polynomial({1: a - c, 0: b}, v)} = {d}"
    rest, value = linear_steps(a - c, b, d, v)
    e = f"{polynomial({1: a, 0: b}, v)} = {polynomial({1: c, 0: d}, v)}"
    claim = f"{a}*{root}+{b}=={c}*{root}+({d})"
    return Problem({"e": e, "v": v}, (first, *rest), f"{v} = {show(value)}", claim)


def _bracket(rng: random.Random) -> Problem:
    v, k, a, b = (
        rng.choice(VARIABLES),
        rng.choice((2, 3, 4, 5, 6, -2, -3)),
        rng.choice((1, 1, 2, 3)),
        nonzero(rng, 9),
    )
    root = rng.randint(-10, 10)
    c = k * (a * root + b)
    inner = polynomial({1: a, 0: b}, v)
    expanded = polynomial({1: k * a, 0: k * b}, v)
    rest, value = linear_steps(k * a, k * b, c, v)
    claim = f"{k}*({a}*{root}+({b}))=={c}"
    return Problem(
        {"e": f"{k}({inner}) = {c}", "v": v}, (f"Expand: {expanded} = {c}", *rest), f"{v} = {show(value)}", claim
    )


def _fraction_equation(rng: random.Random) -> Problem:
    v, q, b, root = rng.choice(VARIABLES), rng.randint(2, 9), rng.randint(-12, 12), rng.randint(-9, 9)
    c = root + b
    e = f"{v}/{q} {'+' if b >= 0 else '-'} {abs(b)} = {c}" if b else f"{v}/{q} = {c}"
    steps = []
    if b:
        steps.append(
            f"{'Subtract' if b > 0 else 'Add'} {abs(b)} {'from' if b > 0 else 'on'} both sides: {v}/{q} = {c} {'-' if b > 0 else '+'} {abs(b)} = {root}"
        )
    steps.append(f"Multiply both sides by {q}: {v} = {root} * {q} = {root * q}")
    return Problem({"e": e, "v": v}, tuple(steps), f"{v} = {root * q}", f"Rational({root * q},{q})+({b})=={c}")


def _quadratic(rng: random.Random) -> Problem:
    v = rng.choice("xxxxxxxyzt")
    a, b, c = _coefficients(rng)
    left = polynomial({2: a, 1: b, 0: c}, v)
    d = b * b - 4 * a * c
    product = 4 * a * c
    steps = [
        f"a = {a}, b = {b}, c = {c}",
        f"D = b^2 - 4ac = {braced(b)}^2 - 4*{braced(a)}*{braced(c)} = {b * b} {'-' if product >= 0 else '+'} {abs(product)} = {d}",
    ]
    more, answer, roots = _roots(a, b, d, v)
    claim = (
        f"set(solve({for_sympy({2: a, 1: b, 0: c})},x))=={{{','.join(roots)}}}"
        if roots
        else f"{b}**2-4*({a})*({c})<0"
    )
    e = f"{left} = 0"
    if c and rng.random() < 0.12:
        e = f"{polynomial({2: a, 1: b}, v)} = {-c}"
        steps = [f"Bring all terms to one side: {left} = 0", *steps]
    return Problem({"e": e, "v": v}, (*steps, *more), answer, claim)


def _coefficients(rng: random.Random) -> tuple[int, int, int]:
    draw = rng.random()
    if draw < 0.6:  # whole roots, mostly
        k, p, q = rng.choice((1, 1, 1, 2, 3, -1)), rng.randint(-12, 12), rng.randint(-12, 12)
        return k, -k * (p + q), k * p * q
    if draw < 0.85:  # rational ones
        r, s, p, q = rng.randint(1, 4), rng.randint(1, 3), rng.randint(-9, 9), rng.randint(-9, 9)
        return r * s, -(r * q + s * p), p * q
    return rng.randint(1, 4), rng.randint(-10, 10), rng.randint(-8, 8)


def _roots(a: int, b: int, d: int, v: str) -> tuple[tuple[str, ...], str, list[str]]:
    if d < 0:
        return (f"D = {d} is negative, so there is no real solution.",), "no real solution", []
    root = isqrt(d)
    if d == 0:
        value = Fraction(-b, 2 * a)
        return (
            (f"D = 0, so there is one solution: {v} = -b/(2a) = {-b}/{braced(2 * a)} = {show(value)}",),
            f"{v} = {show(value)}",
            [f"Rational('{value}')"],
        )
    if root * root == d:
        one, two = Fraction(-b + root, 2 * a), Fraction(-b - root, 2 * a)
        steps = (
            f"sqrt(D) = {root}",
            f"{v}1 = ({-b} + {root})/{braced(2 * a)} = {-b + root}/{braced(2 * a)} = {show(one)}",
            f"{v}2 = ({-b} - {root})/{braced(2 * a)} = {-b - root}/{braced(2 * a)} = {show(two)}",
        )
        return steps, f"{v} = {show(one)} or {v} = {show(two)}", [f"Rational('{one}')", f"Rational('{two}')"]
    return _surds(a, b, d, v)


def _surds(a: int, b: int, d: int, v: str) -> tuple[tuple[str, ...], str, list[str]]:
    square = max(k for k in range(1, isqrt(d) + 1) if d % (k * k) == 0)
    rest, below, top = d // square**2, 2 * a, -b
    shared = gcd(gcd(top, square), below)
    p, k, q = top // shared, square // shared, below // shared
    root = f"sqrt({rest})" if k == 1 else f"{k}*sqrt({rest})"

    def written(sign: str) -> str:
        whole = f"{p} {sign} {root}" if p else (root if sign == "+" else f"-{root}")
        return whole if q == 1 else f"({whole})/{q}"

    full = f"sqrt({d})" if square == 1 else f"sqrt({d}) = {square}*sqrt({rest})"
    steps = (f"sqrt(D) = {full}", f"{v} = ({top} ± {f'{square}*' if square > 1 else ''}sqrt({rest}))/{below}")
    roots = [f"simplify({written(sign)})" for sign in "+-"]
    return steps, f"{v} = {written('+')} or {v} = {written('-')}", [f"({r})" for r in roots]


def _system(rng: random.Random) -> Problem:
    x, y = rng.randint(-8, 8), rng.randint(-8, 8)
    while True:
        a, b, c, d = (nonzero(rng, 6) for _ in range(4))
        if a * d - b * c:
            break
    one, two = a * x + b * y, c * x + d * y
    m = a * d - b * c
    p, q = rng.choice((("x", "y"), ("x", "y"), ("x", "y"), ("a", "b"), ("u", "v"), ("s", "t")))
    first, second = f"{_two(a, b, p, q)} = {one}", f"{_two(c, d, p, q)} = {two}"
    top, bottom = d * one - b * two, a * two - c * one
    steps = (
        f"Eliminate {q}: multiply the first equation by {d} and the second by {b}, and subtract.",
        f"{d}*{braced(one)} - {braced(b)}*{braced(two)} = {d * one} - {braced(b * two)} = {top}",
        f"({d}*{braced(a)} - {braced(b)}*{braced(c)}){p} = ({d * a} - {braced(b * c)}){p} = {term(m, p)}",
        f"{term(m, p)} = {top}, so {p} = {x}",
        f"Insert it into the first equation: {term(b, q)} = {one} - {braced(a)}*{braced(x)} = {one} - {braced(a * x)} = {one - a * x}, so {q} = {y}",
    )
    claim = f"solve([{a}*x+({b})*y-({one}),{c}*x+({d})*y-({two})],[x,y])=={{x:{x},y:{y}}}"
    del bottom
    return Problem({"e": first, "f": second, "p": p, "q": q}, steps, f"{p} = {x}, {q} = {y}", claim)


def _two(a: int, b: int, p: str, q: str) -> str:
    return f"{term(a, p)} {'-' if b < 0 else '+'} {term(abs(b), q)}"


def _expand(rng: random.Random) -> Problem:
    v = rng.choice(VARIABLES)
    a, c, b, d = rng.choice((1, 1, 2, 3, 4)), rng.choice((1, 1, 2, 3, 5)), nonzero(rng, 9), nonzero(rng, 9)
    if rng.random() < 0.25:
        c, d = a, b
        e = f"({polynomial({1: a, 0: b}, v)})^2"
    else:
        e = f"({polynomial({1: a, 0: b}, v)})({polynomial({1: c, 0: d}, v)})"
    squared = power(v, 2)
    steps = (
        f"{term(a, v)} * {term(c, v)} = {term(a * c, squared)}",
        f"{term(a, v)} * {braced(d)} + {braced(b)} * {term(c, v)} = {term(a * d, v)} + {term(b * c, v)} = {term(a * d + b * c, v) if a * d + b * c else 0}",
        f"{braced(b)} * {braced(d)} = {b * d}",
    )
    answer = polynomial({2: a * c, 1: a * d + b * c, 0: b * d}, v)
    claim = f"expand(({a}*x+({b}))*({c}*x+({d})))-({for_sympy({2: a * c, 1: a * d + b * c, 0: b * d})})==0"
    return Problem({"e": e}, steps, answer, claim)


def _factor(rng: random.Random) -> Problem:
    v, p, q = rng.choice("xxxxyzt"), nonzero(rng, 12), nonzero(rng, 12)
    p, q = max(p, q), min(p, q)
    e = polynomial({2: 1, 1: p + q, 0: p * q}, v)
    one, two = polynomial({1: 1, 0: p}, v), polynomial({1: 1, 0: q}, v)
    steps = (
        f"We need two numbers with product {p * q} and sum {p + q}: {p} and {q}.",
        f"{p} * {braced(q)} = {p * q} and {p} + {braced(q)} = {p + q}",
    )
    answer = f"({one})^2" if p == q else f"({one})({two})"
    return Problem(
        {"e": e}, steps, answer, f"expand((x+({p}))*(x+({q})))==expand({for_sympy({2: 1, 1: p + q, 0: p * q})})"
    )


_SYSTEMS = (
    "Solve the system: {e}, {f}", "Solve {e} and {f}.", "Find {p} and {q} if {e} and {f}.", "Solve the system of equations\n{e}\n{f}",
    "Solve the simultaneous equations {e} and {f}.", "Find the solution of the system {e}; {f}.", "{e}\n{f}", "Solve for {p} and {q}: {e}, {f}",
    "Determine {p} and {q} from {e} and {f}.", "What are {p} and {q} when {e} and {f}?",
)  # fmt: skip
_EXPANDED = (
    "Expand {e}.",
    "Multiply out {e}.",
    "Expand and simplify {e}.",
    "Write {e} without brackets.",
    "Remove the brackets: {e}",
    "Expand the product {e}",
)
_FACTORED = (
    "Factor {e}.",
    "Factorise {e}.",
    "Write {e} as a product.",
    "Factor the polynomial {e}.",
    "Find the factors of {e}.",
    "Factorize the quadratic {e}",
)

KINDS = (
    Kind(name="linear equations", phrasings=_SOLVE, make=_linear, weight=2.0),
    Kind(name="linear equations with the unknown on both sides", phrasings=_SOLVE, make=_both_sides, weight=1.2),
    Kind(name="linear equations with brackets", phrasings=_SOLVE, make=_bracket, weight=0.7),
    Kind(name="linear equations with a fraction", phrasings=_SOLVE, make=_fraction_equation, weight=0.5),
    Kind(name="quadratic equations", phrasings=_QUADRATIC, make=_quadratic, weight=3.5),
    Kind(name="systems of equations", phrasings=_SYSTEMS, make=_system, weight=1.5),
    Kind(name="expanding", phrasings=_EXPANDED, make=_expand, weight=0.6),
    Kind(name="factoring", phrasings=_FACTORED, make=_factor, weight=0.8),
)
