"""Arithmetic with worked steps: whole numbers, decimals, fractions, percentages."""

from __future__ import annotations

import random
from fractions import Fraction
from math import gcd

from training.mini.problem import Kind, Problem, braced, show, value_of

_EVALUATE = (
    "What is {e}?", "Compute {e}.", "Calculate {e}", "{e}", "Evaluate {e}.", "{e} = ?", "Work out {e}.",
    "How much is {e}?", "Find the value of {e}.", "Tell me the result of {e}.", "What does {e} equal?",
    "Determine {e}.", "Can you calculate {e}?", "I need the result of {e}.", "Give the value of {e}.",
    "Please compute {e}", "Solve {e}.", "{e} is what?",
)  # fmt: skip


def _size(rng: random.Random, digits: int) -> int:
    return rng.randint(0, 10 ** rng.randint(1, digits) - 1)


def add_steps(a: int, b: int) -> tuple[str, ...]:
    """Column by column from the right."""
    columns, carry, steps = max(len(str(a)), len(str(b))), 0, []
    for at in range(columns):
        x, y = a // 10**at % 10, b // 10**at % 10
        total = x + y + carry
        given = f"{x} + {y}" + (f" + {carry}" if carry else "")
        carry = total // 10
        steps.append(f"{given} = {total}: write {total % 10}" + (f", carry {carry}" if carry else ""))
    return (*steps, f"carry {carry}: write {carry}") if carry else tuple(steps)


def subtract_steps(a: int, b: int) -> tuple[str, ...]:
    """Column by column from the right, a >= b >= 0."""
    borrow, steps = 0, []
    for at in range(len(str(a))):
        x, y = a // 10**at % 10 - borrow, b // 10**at % 10
        lent = x < y
        shown = f"{x + 10 * lent} - {y}"
        steps.append(f"{shown} = {x + 10 * lent - y}: write {x + 10 * lent - y}" + (", borrow 1" if lent else ""))
        borrow = int(lent)
    return tuple(steps)


def _plus(rng: random.Random) -> Problem:
    a, b = _size(rng, 6), _size(rng, 6)
    steps = add_steps(a, b) if max(a, b) > 20 else ()
    return Problem({"e": f"{a} + {b}"}, (*steps, f"{a} + {b} = {a + b}"), str(a + b), f"{a}+{b}=={a + b}")


def _minus(rng: random.Random) -> Problem:
    a, b = _size(rng, 6), _size(rng, 6)
    high, low = max(a, b), min(a, b)
    steps = subtract_steps(high, low) if high > 20 else ()
    first = (f"{a} is less than {b}, so the result is negative.",) if a < b else ()
    middle = (f"{high} - {low} = {high - low}",)
    last = (f"{a} - {b} = {a - b}",) if a < b else ()
    return Problem({"e": f"{a} - {b}"}, (*first, *steps, *middle, *last), str(a - b), f"{a}-{b}=={a - b}")


BY_COLUMNS = 2000
"""From here on the sums of partial products are written column by column."""


def times_steps(a: int, b: int) -> tuple[str, ...]:
    """Split the second factor into its digits, each partial product into the first one's; great sums by columns."""
    if min(a, b) < 10 and max(a, b) < 13:
        return ()
    long, short = (a, b) if a >= b else (b, a)
    partial, steps = [], []
    for at, digit in reversed(list(enumerate(reversed(str(short))))):
        if digit != "0":
            partial.append((int(digit) * 10**at, long * int(digit) * 10**at))
            steps.append(_by_digit(long, int(digit), 10**at))
    running = partial[0][1] if partial else 0
    for _, value in partial[1:]:
        steps += add_steps(running, value) if running + value >= BY_COLUMNS else ()
        steps.append(f"{running} + {value} = {running + value}")
        running += value
    return tuple(steps)


def _by_digit(long: int, digit: int, scale: int) -> str:
    places = [int(d) * 10**at for at, d in reversed(list(enumerate(reversed(str(long))))) if d != "0"]
    parts = [place * digit for place in places]
    shown = [f"{long} * {digit}"]
    if len(parts) > 1:
        shown.append(" + ".join(f"{place}*{digit}" for place in places))
        for at in range(1, len(parts)):
            shown.append(" + ".join(map(str, [sum(parts[:at]), *parts[at:]])))
    text = " = ".join([*shown, str(long * digit)])
    return text if scale == 1 else f"{text}, so {long} * {digit * scale} = {long * digit * scale}"


def _times(rng: random.Random) -> Problem:
    a, b = rng.choice(((2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (3, 3), (1, 1)))
    x, y = _size(rng, a), _size(rng, b)
    if rng.random() < 0.5:
        x, y = y, x
    sign = rng.choice((" * ", " * ", " × ", " x ", " times "))
    steps = (*times_steps(x, y), f"{x} * {y} = {x * y}")
    return Problem({"e": f"{x}{sign}{y}"}, steps, str(x * y), f"{x}*{y}=={x * y}")


def _divide(rng: random.Random) -> Problem:
    b = rng.randint(2, rng.choice((9, 12, 25, 99)))
    a = b * rng.randint(1, rng.choice((12, 99, 999))) + (rng.randint(1, b - 1) if rng.random() < 0.3 else 0)
    steps, rest, digits = [], 0, ""
    for digit in str(a):
        rest = rest * 10 + int(digit)
        if rest >= b or digits:
            steps.append(f"{rest} / {b} = {rest // b}, rest {rest} - {rest // b * b} = {rest % b}")
            digits += str(rest // b)
            rest %= b
    quotient, left = divmod(a, b)
    answer = str(quotient) if left == 0 else f"{quotient} remainder {left}"
    sign = rng.choice((" / ", " / ", " ÷ ", " divided by "))
    steps.append(f"{a} = {b} * {quotient}" + (f" + {left}" if left else ""))
    return Problem({"e": f"{a}{sign}{b}"}, tuple(steps), answer, f"{a}=={b}*{quotient}+{left}")


def _chain(rng: random.Random) -> Problem:
    a, b, c, d = (rng.randint(1, 20) for _ in range(4))
    first, second = rng.choice("+-"), rng.choice("+-")
    form = rng.randrange(4)
    if form == 0:
        e, steps = f"{a} {first} {b} * {c}", [f"{b} * {c} = {b * c}", f"{a} {first} {b * c}"]
    elif form == 1:
        inner = a + b if first == "+" else a - b
        e, steps = f"({a} {first} {b}) * {c}", [f"{a} {first} {b} = {inner}", f"{inner} * {c}"]
    elif form == 2:
        e = f"{a} * {b} {second} {c} * {d}"
        steps = [f"{a} * {b} = {a * b}", f"{c} * {d} = {c * d}", f"{a * b} {second} {c * d}"]
    else:
        inner = a + b if first == "+" else a - b
        e, steps = f"{a} {first} {b} {second} {c}", [f"{a} {first} {b} = {inner}", f"{inner} {second} {c}"]
    value = value_of(e)
    steps[-1] += f" = {value}"
    return Problem({"e": e}, tuple(steps), str(value), f"{e}=={value}")


def _decimal(rng: random.Random) -> Problem:
    places = rng.choice((1, 2))
    a, b = rng.randint(1, 999), rng.randint(1, 999)
    sign = rng.choice("+-")
    if sign == "-" and a < b:
        a, b = b, a
    total = a + b if sign == "+" else a - b
    shown = [decimal(n, places) for n in (a, b, total)]
    unit = "tenths" if places == 1 else "hundredths"
    steps = (f"In {unit}: {a} {sign} {b} = {total}", f"{shown[0]} {sign} {shown[1]} = {shown[2]}")
    claim = f"Rational({a},{10**places}){sign}Rational({b},{10**places})==Rational('{shown[2]}')"
    return Problem({"e": f"{shown[0]} {sign} {shown[1]}"}, steps, shown[2], claim)


def decimal(number: int, places: int) -> str:
    """`number` units of 10**-places, without zeros at the end."""
    sign, digits = ("-" if number < 0 else ""), str(abs(number)).rjust(places + 1, "0")
    return (sign + digits[:-places] + "." + digits[-places:]).rstrip("0").rstrip(".")


def _fractions(rng: random.Random) -> Problem:
    a, b = (Fraction(rng.randint(1, 12), rng.randint(2, 12)) for _ in range(2))
    sign = rng.choice("+-*/")
    p, q, r, s = a.numerator, a.denominator, b.numerator, b.denominator
    if sign in "+-":
        common = q * s // gcd(q, s)
        x, y = p * common // q, r * common // s
        total = x + y if sign == "+" else x - y
        steps = [f"The common denominator is {common}.", f"{a} = {x}/{common} and {b} = {y}/{common}"]
        steps.append(f"{x}/{common} {sign} {y}/{common} = {total}/{common}")
        value, raw = (a + b if sign == "+" else a - b), f"{total}/{common}"
    elif sign == "*":
        steps = [f"{p}/{q} * {r}/{s} = ({p} * {r})/({q} * {s}) = {p * r}/{q * s}"]
        value, raw = a * b, f"{p * r}/{q * s}"
    else:
        steps = [f"Dividing by {b} is multiplying by {s}/{r}.", f"{p}/{q} * {s}/{r} = {p * s}/{q * r}"]
        value, raw = a / b, f"{p * s}/{q * r}"
    if raw != show(value):
        steps.append(f"{raw} = {show(value)}")
    e = f"({a}) / ({b})" if sign == "/" else f"{a} {sign} {b}"
    claim = f"Rational({p},{q}){sign}Rational({r},{s})==Rational({value.numerator},{value.denominator})"
    return Problem({"e": e}, tuple(steps), show(value), claim)


def _simplify(rng: random.Random) -> Problem:
    value, factor = Fraction(rng.randint(1, 20), rng.randint(2, 20)), rng.randint(2, 12)
    p, q = value.numerator * factor, value.denominator * factor
    d = gcd(p, q)
    steps = (f"gcd({p}, {q}) = {d}", f"{p} / {d} = {p // d} and {q} / {d} = {q // d}")
    return Problem({"e": f"{p}/{q}"}, steps, show(value), f"Rational({p},{q})==Rational({p // d},{q // d})")


def _percent(rng: random.Random) -> Problem:
    p = rng.choice((5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 80, 90, rng.randint(1, 99), rng.randint(1, 99)))
    n = rng.choice(
        (rng.randint(1, 40) * 10, rng.randint(1, 300), rng.randint(1, 50) * 100, rng.randint(100, 3000))
    )
    product = p * n
    value = decimal(product, 2)
    steps = (
        f"{p}% of {n} = {p} * {n} / 100",
        *times_steps(n, p),
        f"{n} * {p} = {product}",
        f"{product} / 100 = {value}",
    )
    shown = f"{n:,}" if rng.random() < 0.3 else str(n)
    return Problem({"p": str(p), "n": shown}, steps, value, f"Rational({p},100)*{n}==Rational('{value}')")


def _change(rng: random.Random) -> Problem:
    n, p = rng.randint(1, 60) * 10, rng.choice((5, 10, 15, 20, 25, 30, 40, 50, 60, 75))
    up = rng.random() < 0.5
    part = decimal(p * n, 2)
    total = decimal(100 * n + (p * n if up else -p * n), 2)
    word, sign = ("increased", "+") if up else ("decreased", "-")
    steps = (f"{p}% of {n} = {p} * {n} / 100 = {p * n} / 100 = {part}", f"{n} {sign} {part} = {total}")
    claim = f"{n}*(1{sign}Rational({p},100))==Rational('{total}')"
    return Problem({"n": str(n), "p": str(p), "w": word, "v": word[:-1].removesuffix("d")}, steps, total, claim)


def _power(rng: random.Random) -> Problem:
    base, exponent = rng.choice(
        (
            (rng.randint(2, 30), 2),
            (rng.randint(2, 10), 3),
            (2, rng.randint(2, 12)),
            (3, rng.randint(2, 6)),
            (10, rng.randint(2, 6)),
        )
    )
    value, steps, running = base**exponent, [], base
    for _ in range(exponent - 1):
        steps.append(f"{running} * {base} = {running * base}")
        running *= base
    return Problem({"e": f"{base}^{exponent}"}, tuple(steps), str(value), f"{base}**{exponent}=={value}")


def _root(rng: random.Random) -> Problem:
    n = rng.randint(1, 40)
    steps = (f"{n} * {n} = {n * n}",)
    return Problem({"n": str(n * n)}, steps, str(n), f"sqrt({n * n})=={n}")


def _negative(rng: random.Random) -> Problem:
    a, b = rng.randint(-50, 50), rng.randint(-50, 50)
    sign = rng.choice("+-*")
    value = {"+": a + b, "-": a - b, "*": a * b}[sign]
    e = f"{a} {sign} {braced(b)}"
    steps = [f"{e} = {a} {'+' if (b < 0) == (sign == '-') else '-'} {abs(b)} = {value}"] if sign != "*" else []
    if sign == "*":
        steps = [*times_steps(abs(a), abs(b)), f"{abs(a)} * {abs(b)} = {abs(a * b)}", f"{e} = {value}"]
    return Problem({"e": e}, tuple(steps), str(value), f"{e}=={value}")


_OF = (
    "What is {p}% of {n}?", "Compute {p}% of {n}.", "Find {p} percent of {n}.", "{p}% of {n}", "How much is {p}% of {n}?",
    "Calculate {p} percent of {n}", "What is {p} percent of {n}?", "Work out {p}% of {n}.", "{p} % of {n} = ?", "Determine {p}% of {n}.",
)  # fmt: skip
_CHANGED = (
    "{n} is {w} by {p}%. What is the result?", "What is {n} {w} by {p}%?", "A price of {n} is {w} by {p} percent. What is the new price?",
    "What do you get when {n} is {w} by {p}%?", "The value {n} was {w} by {p}%. Find the new value.",
    "Find the value of {n} after it is {w} by {p}%.", "If {n} is {w} by {p}%, what is it then?",
)  # fmt: skip
_ROOTS = (
    "What is the square root of {n}?", "Compute sqrt({n}).", "Find the square root of {n}.", "sqrt({n}) = ?",
    "Evaluate sqrt({n}).", "Calculate the square root of {n}", "What number squared gives {n}?", "√{n}",
)  # fmt: skip
_SIMPLER = (
    "Simplify {e}.", "Simplify the fraction {e}.", "Reduce {e} to lowest terms.", "Write {e} in lowest terms.",
    "Reduce the fraction {e}.", "Cancel {e} as far as possible.", "What is {e} in simplest form?",
)  # fmt: skip

KINDS = (
    Kind(name="addition", phrasings=_EVALUATE, make=_plus, weight=1.5),
    Kind(name="subtraction", phrasings=_EVALUATE, make=_minus, weight=1.5),
    Kind(name="multiplication", phrasings=_EVALUATE, make=_times, weight=3.5),
    Kind(name="division", phrasings=_EVALUATE, make=_divide, weight=1.5),
    Kind(name="chains", phrasings=_EVALUATE, make=_chain, weight=1.0),
    Kind(name="negative numbers", phrasings=_EVALUATE, make=_negative, weight=0.7),
    Kind(name="decimals", phrasings=_EVALUATE, make=_decimal, weight=0.7),
    Kind(name="fractions", phrasings=_EVALUATE, make=_fractions, weight=1.2),
    Kind(name="powers", phrasings=_EVALUATE, make=_power, weight=0.5),
    Kind(name="percentages", phrasings=_OF, make=_percent, weight=1.2),
    Kind(name="changes by percentages", phrasings=_CHANGED, make=_change, weight=0.6),
    Kind(name="square roots", phrasings=_ROOTS, make=_root, weight=0.3),
    Kind(name="simplifying fractions", phrasings=_SIMPLER, make=_simplify, weight=0.4),
)
