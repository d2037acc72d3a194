"""Derivatives, integrals and values of polynomials, with worked steps."""

from __future__ import annotations

import random
from fractions import Fraction

from training.mini.problem import Kind, Problem, braced, for_sympy, nonzero, polynomial, power, show, term

_DERIVATIVES = (
    "Compute the derivative of {e}.", "Find the derivative of {e}.", "Differentiate {e}.", "What is the derivative of {e}?",
    "Find f'({v}) for f({v}) = {e}.", "d/d{v} ({e})", "Compute the derivative of f({v}) = {e}.", "Differentiate f({v}) = {e} with respect to {v}.",
    "Let f({v}) = {e}. Find f'({v}).", "Calculate the first derivative of {e}", "Determine the derivative of the function f({v}) = {e}.",
    "If f({v}) = {e}, what is f'({v})?", "Derive {e} with respect to {v}.", "Give the derivative of {e}.", "Find dy/d{v} if y = {e}.",
)  # fmt: skip
_INTEGRALS = (
    "Find the integral of {e}.", "Integrate {e}.", "Compute the antiderivative of {e}.", "What is the indefinite integral of {e}?",
    "Find an antiderivative of f({v}) = {e}.", "∫ ({e}) d{v}", "Integrate {e} with respect to {v}.", "Compute the integral of {e} d{v}.",
    "Determine the indefinite integral of {e}", "Find F({v}) with F'({v}) = {e}.",
)  # fmt: skip
_DEFINITE = (
    "Compute the integral of {e} from {a} to {b}.", "Evaluate the integral of {e} from {v} = {a} to {v} = {b}.", "Integrate {e} from {a} to {b}.",
    "Find the definite integral of {e} between {a} and {b}.", "What is the integral of {e} from {a} to {b}?", "∫_{a}^{b} ({e}) d{v}",
)  # fmt: skip
_VALUES = (
    "Evaluate {e} at {v} = {a}.", "What is f({a}) if f({v}) = {e}?", "Let f({v}) = {e}. Compute f({a}).", "Find the value of {e} for {v} = {a}.",
    "Compute {e} when {v} = {a}.", "If {v} = {a}, what is {e}?",
)  # fmt: skip


def _polynomial(rng: random.Random, degree: int, most: int) -> dict[int, Fraction | int]:
    exponents = rng.sample(range(degree + 1), rng.randint(1, min(4, degree + 1)))
    if max(exponents) == 0:
        exponents = [rng.randint(1, degree)]
    return {exponent: nonzero(rng, most) for exponent in sorted(exponents, reverse=True)}


def _derivative(rng: random.Random) -> Problem:
    v, f = rng.choice("xxxxxxxtyz"), _polynomial(rng, rng.choice((2, 3, 4, 6)), rng.choice((5, 9, 12)))
    steps, slope = ["Differentiate term by term: (a*x^n)' = a*n*x^(n-1)."], {}
    for exponent, a in f.items():
        if exponent == 0:
            steps.append(f"({show(a)})' = 0")
        else:
            slope[exponent - 1] = a * exponent
            steps.append(
                f"({term(a, power(v, exponent))})' = {braced(a)}*{exponent}{'*' + power(v, exponent - 1) if exponent > 1 else ''} = {term(a * exponent, power(v, exponent - 1))}"
            )
    claim = f"diff({for_sympy(f)},x)-({for_sympy(slope)})==0"
    return Problem({"e": polynomial(f, v), "v": v}, tuple(steps), polynomial(slope, v), claim)


def _product_rule(rng: random.Random) -> Problem:
    v, n, k = rng.choice("xxxxt"), rng.randint(1, 5), rng.choice((1, 1, 1, 2, 3))
    inner = term(k, v)
    name, slope = rng.choice((("sin", f"cos({inner})"), ("cos", f"-sin({inner})"), ("exp", f"exp({inner})")))
    f, g = power(v, n), f"{name}({inner})"
    if name == "exp":
        g, slope = f"e^({inner})" if k > 1 else f"e^{v}", f"e^({inner})" if k > 1 else f"e^{v}"
    negative = slope.startswith("-")
    bare = slope.lstrip("-")
    df = term(n, power(v, n - 1))
    dg = f"{'-' if negative else ''}{f'{k}*' if k > 1 else ''}{bare}"
    head = g if df == "1" else f"{df} * {g}"
    answer = f"{head} {'-' if negative else '+'} {f'{k}*' if k > 1 else ''}{f} * {bare}"
    steps = ("Use the product rule: (u*v)' = u'*v + u*v'.", f"u = {f}, u' = {df}", f"v = {g}, v' = {dg}")
    sp = {"sin": f"sin({k}*x)", "cos": f"cos({k}*x)", "exp": f"exp({k}*x)"}[name]
    sd = {"sin": f"cos({k}*x)*{k}", "cos": f"-sin({k}*x)*{k}", "exp": f"exp({k}*x)*{k}"}[name]
    claim = f"simplify(diff(x**{n}*{sp},x)-({n}*x**{n - 1}*{sp}+x**{n}*({sd})))==0"
    return Problem({"e": f"{f} * {g}", "v": v}, steps, answer, claim)


def _primitive(f: dict[int, Fraction | int], v: str) -> tuple[dict[int, Fraction | int], list[str]]:
    whole: dict[int, Fraction | int] = {}
    steps = []
    for exponent, a in f.items():
        whole[exponent + 1] = Fraction(a) / (exponent + 1)
        steps.append(
            f"The integral of {term(a, power(v, exponent))} is {show(a)}/{exponent + 1}*{power(v, exponent + 1)} = {term(whole[exponent + 1], power(v, exponent + 1))}"
            if exponent
            else f"The integral of {show(a)} is {term(a, v)}"
        )
    return whole, steps


def _integral(rng: random.Random) -> Problem:
    v, f = rng.choice("xxxxxxtyz"), _polynomial(rng, rng.choice((1, 2, 3, 4)), 12)
    whole, steps = _primitive(f, v)
    claim = f"diff({for_sympy(whole)},x)-({for_sympy(f)})==0"
    return Problem({"e": polynomial(f, v), "v": v}, tuple(steps), polynomial(whole, v) + " + C", claim)


def _definite(rng: random.Random) -> Problem:
    v, f = rng.choice("xxxxt"), _polynomial(rng, rng.choice((1, 2, 2, 3)), 6)
    a = rng.choice((0, 0, 0, 1, -1))
    b = a + rng.randint(1, 3)
    whole, steps = _primitive(f, v)
    high, low = (sum((c * x**e for e, c in whole.items()), Fraction(0)) for x in (b, a))
    steps += [
        f"F({v}) = {polynomial(whole, v)}",
        f"F({b}) = {show(high)}, F({a}) = {show(low)}",
        f"F({b}) - F({a}) = {show(high)} - {braced(low)} = {show(high - low)}",
    ]
    claim = f"integrate({for_sympy(f)},(x,{a},{b}))==Rational('{high - low}')"
    return Problem(
        {"e": polynomial(f, v), "v": v, "a": str(a), "b": str(b)}, tuple(steps), show(high - low), claim
    )


def _evaluate(rng: random.Random) -> Problem:
    v, f, a = rng.choice("xxxt"), _polynomial(rng, rng.choice((1, 2, 3)), 9), rng.randint(-5, 6)
    steps, total = [], 0
    for exponent, c in f.items():
        value = int(c) * a**exponent
        if exponent:
            squared = f"{braced(a)}^{exponent} = " if exponent > 1 else ""
            steps.append(
                f"{term(c, power(v, exponent))}: {show(c)}*{(squared and f'{braced(a)}^{exponent}') or braced(a)} = "
                + (f"{show(c)}*{braced(a**exponent)} = {value}" if exponent > 1 else f"{value}")
            )
        total += value
    parts = [int(c) * a**e for e, c in f.items()]
    if len(parts) > 1:
        steps.append(" + ".join([str(parts[0]), *(braced(p) for p in parts[1:])]) + f" = {total}")
    return Problem(
        {"e": polynomial(f, v), "v": v, "a": str(a)},
        tuple(steps),
        str(total),
        f"({for_sympy(f)}).subs(x,{a})=={total}",
    )


KINDS = (
    Kind(name="derivatives", phrasings=_DERIVATIVES, make=_derivative, weight=2.0),
    Kind(name="derivatives by the product rule", phrasings=_DERIVATIVES, make=_product_rule, weight=0.5),
    Kind(name="integrals", phrasings=_INTEGRALS, make=_integral, weight=1.2),
    Kind(name="definite integrals", phrasings=_DEFINITE, make=_definite, weight=1.0),
    Kind(name="values of polynomials", phrasings=_VALUES, make=_evaluate, weight=0.8),
)
