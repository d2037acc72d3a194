"""Basics of number theory, series, statistics and geometry, with worked steps."""

from __future__ import annotations

import random
from fractions import Fraction
from math import comb, factorial, gcd

from training.mini.problem import Kind, Problem, show


def gcd_steps(a: int, b: int) -> tuple[str, ...]:
    """Euclid's divisions."""
    steps, (p, q) = [], (max(a, b), min(a, b))
    while q:
        steps.append(f"{p} = {q} * {p // q} + {p % q}")
        p, q = q, p % q
    return tuple(steps)


def factors_of(n: int) -> list[int]:
    """Prime factors of n >= 2, the least first."""
    found, p = [], 2
    while n > 1:
        while n % p == 0:
            found.append(p)
            n //= p
        p += 1
    return found


def _gcd(rng: random.Random) -> Problem:
    shared = rng.randint(1, 24)
    a, b = shared * rng.randint(1, 24), shared * rng.randint(1, 24)
    steps = (*gcd_steps(a, b), "The last remainder that is not 0 is the greatest common divisor.")
    return Problem({"a": str(a), "b": str(b)}, steps, str(gcd(a, b)), f"igcd({a},{b})=={gcd(a, b)}")


def _lcm(rng: random.Random) -> Problem:
    a, b = rng.randint(2, 40), rng.randint(2, 40)
    d = gcd(a, b)
    steps = (*gcd_steps(a, b), f"gcd({a}, {b}) = {d}", f"lcm = {a} * {b} / {d} = {a * b} / {d} = {a * b // d}")
    return Problem({"a": str(a), "b": str(b)}, steps, str(a * b // d), f"ilcm({a},{b})=={a * b // d}")


def _factors(rng: random.Random) -> Problem:
    n = rng.randint(2, 300)
    if rng.random() < 0.6:
        n = min(2000, max(2, rng.randint(2, 12) * rng.randint(1, 12) * rng.randint(1, 12)))
    steps, rest = [], n
    for p in factors_of(n)[:-1]:
        steps.append(f"{rest} / {p} = {rest // p}")
        rest //= p
    steps.append(f"{rest} is prime.")
    powers = {p: factors_of(n).count(p) for p in factors_of(n)}
    answer = " * ".join(f"{p}^{k}" if k > 1 else str(p) for p, k in powers.items())
    return Problem({"n": str(n)}, tuple(steps), answer, f"factorint({n})=={powers}")


def _prime(rng: random.Random) -> Problem:
    n = rng.choice(
        (
            rng.randint(2, 200),
            rng.randint(2, 400),
            rng.choice((97, 101, 127, 131, 149, 167, 181, 191, 199, 211, 223)),
        )
    )
    steps, p = [], 2
    while p * p <= n:
        if n % p == 0:
            steps.append(f"{n} = {p} * {n // p}")
            break
        steps.append(f"{n} = {p} * {n // p} + {n % p}")
        p += 1 if p == 2 else 2
        while len(factors_of(p)) > 1:
            p += 2
    is_prime = p * p > n
    if is_prime:
        steps.append(f"{p}^2 = {p * p} is greater than {n}, so no smaller divisor exists.")
    answer = f"yes, {n} is prime" if is_prime else f"no, {n} is not prime"
    return Problem({"n": str(n)}, tuple(steps), answer, f"isprime({n})=={is_prime}")


def _remainder(rng: random.Random) -> Problem:
    b = rng.randint(2, 30)
    a = rng.randint(1, 999)
    steps = (f"{a} = {b} * {a // b} + {a % b}",)
    return Problem({"a": str(a), "b": str(b)}, steps, str(a % b), f"{a}%{b}=={a % b}")


def _factorial(rng: random.Random) -> Problem:
    n = rng.randint(2, 10)
    steps, value = [], 1
    for k in range(2, n + 1):
        steps.append(f"{k}! = {k} * {value} = {k * value}")
        value *= k
    return Problem({"n": str(n)}, tuple(steps), str(value), f"factorial({n})=={value}")


def _binomial(rng: random.Random) -> Problem:
    n = rng.randint(2, 12)
    k = rng.randint(1, min(4, n - 1))
    top, bottom = factorial(n) // factorial(n - k), factorial(k)
    product, below = " * ".join(str(n - i) for i in range(k)), " * ".join(str(i) for i in range(k, 0, -1))
    steps = (f"C({n}, {k}) = ({product}) / ({below}) = {top} / {bottom} = {comb(n, k)}",)
    return Problem({"n": str(n), "k": str(k)}, steps, str(comb(n, k)), f"binomial({n},{k})=={comb(n, k)}")


def _series(rng: random.Random) -> Problem:
    first, step, count = rng.randint(1, 12), rng.randint(1, 9), rng.randint(4, 30)
    last = first + (count - 1) * step
    total = count * (first + last) // 2
    shown = ", ".join(str(first + step * at) for at in range(4))
    steps = (
        f"The common difference is {step}.",
        f"The last term is {first} + {count - 1}*{step} = {first} + {(count - 1) * step} = {last}",
        f"S = {count} * ({first} + {last}) / 2 = {count} * {first + last} / 2 = {count * (first + last)} / 2 = {total}",
    )
    return Problem(
        {"s": shown, "n": str(count)}, steps, str(total), f"sum({first}+{step}*k for k in range({count}))=={total}"
    )


def _first_numbers(rng: random.Random) -> Problem:
    n = rng.choice((rng.randint(3, 30), rng.randint(1, 20) * 5, 100))
    steps = ("1 + 2 + ... + n = n(n + 1)/2", f"{n} * {n + 1} / 2 = {n * (n + 1)} / 2 = {n * (n + 1) // 2}")
    return Problem({"n": str(n)}, steps, str(n * (n + 1) // 2), f"sum(range({n + 1}))=={n * (n + 1) // 2}")


def _mean(rng: random.Random) -> Problem:
    values = [rng.randint(1, 30) for _ in range(rng.randint(3, 6))]
    total, count = sum(values), len(values)
    mean = Fraction(total, count)
    running, steps = values[0], []
    for value in values[1:]:
        steps.append(f"{running} + {value} = {running + value}")
        running += value
    steps.append(f"{total} / {count} = {show(mean)}")
    return Problem(
        {"l": ", ".join(map(str, values))},
        tuple(steps),
        show(mean),
        f"Rational({total},{count})==Rational('{mean}')",
    )


def _median(rng: random.Random) -> Problem:
    values = [rng.randint(1, 40) for _ in range(rng.choice((3, 5, 7)))]
    ordered = sorted(values)
    middle = ordered[len(values) // 2]
    steps = (
        f"In order: {', '.join(map(str, ordered))}",
        f"The middle one of {len(values)} numbers is number {len(values) // 2 + 1}.",
    )
    return Problem(
        {"l": ", ".join(map(str, values))}, steps, str(middle), f"sorted({values})[{len(values) // 2}]=={middle}"
    )


def _area(rng: random.Random) -> Problem:
    a, b = rng.randint(2, 40), rng.randint(2, 40)
    shape = rng.choice(("rectangle", "triangle", "square"))
    if shape == "rectangle":
        return Problem(
            {"q": f"the area of a rectangle with sides {a} and {b}"},
            (f"Area = {a} * {b} = {a * b}",),
            str(a * b),
            f"{a}*{b}=={a * b}",
        )
    if shape == "square":
        return Problem(
            {"q": f"the area of a square with side {a}"},
            (f"Area = {a} * {a} = {a * a}",),
            str(a * a),
            f"{a}**2=={a * a}",
        )
    value = Fraction(a * b, 2)
    return Problem(
        {"q": f"the area of a triangle with base {a} and height {b}"},
        (f"Area = base * height / 2 = {a} * {b} / 2 = {a * b} / 2 = {show(value)}",), show(value), f"Rational({a * b},2)==Rational('{value}')",
    )  # fmt: skip


_TRIPLES = ((3, 4, 5), (5, 12, 13), (8, 15, 17), (7, 24, 25), (9, 40, 41), (20, 21, 29))


def _pythagoras(rng: random.Random) -> Problem:
    a, b, c = (side * rng.randint(1, 1) for side in rng.choice(_TRIPLES))
    k = rng.randint(1, 4)
    a, b, c = a * k, b * k, c * k
    steps = (f"c^2 = a^2 + b^2 = {a}^2 + {b}^2 = {a * a} + {b * b} = {c * c}", f"c = sqrt({c * c}) = {c}")
    return Problem({"a": str(a), "b": str(b)}, steps, str(c), f"sqrt({a}**2+{b}**2)=={c}")


_MATRICES = (
    *("[[{}, {}], [{}, {}]]",) * 5, "[[{},{}],[{},{}]]", "[{}, {}; {}, {}]", "(({}, {}), ({}, {}))", "[{} {}; {} {}]", "[[{} {}] [{} {}]]", "({}, {}; {}, {})",
)  # fmt: skip


def _matrix(a: int, b: int, c: int, d: int, rng: random.Random) -> str:
    """As one of many writers notes it."""
    return rng.choice(_MATRICES).format(a, b, c, d)


def _eigenvalues(rng: random.Random) -> Problem:
    p, q = rng.randint(-4, 6), rng.randint(-4, 6)
    k = rng.randint(-3, 3)
    a, b, c, d = p, k, 0, q
    if rng.random() < 0.6:
        a, b, c, d = p + k, k, q - p - k, q - k  # the same eigenvalues p and q, where it is so
        if a + d != p + q or a * d - b * c != p * q:
            a, b, c, d = p, k, 0, q
    trace, det = a + d, a * d - b * c
    steps = (
        f"trace = {a} + {d} = {trace}, determinant = {a}*{d} - {b}*{c} = {det}",
        f"The eigenvalues solve t^2 - ({trace})t + ({det}) = 0.",
        f"D = {trace}^2 - 4*({det}) = {trace**2 - 4 * det}, sqrt(D) = {abs(p - q)}",
        f"t = ({trace} ± {abs(p - q)})/2",
    )
    high, low = max(p, q), min(p, q)
    answer = f"{high} and {low}" if high != low else f"{high} (double)"
    return Problem(
        {"m": _matrix(a, b, c, d, rng)},
        steps,
        answer,
        f"set(Matrix([[{a},{b}],[{c},{d}]]).eigenvals())=={{{high},{low}}}",
    )


def _determinant(rng: random.Random) -> Problem:
    a, b, c, d = (rng.randint(-9, 9) for _ in range(4))
    steps = (f"det = ad - bc = ({a})*({d}) - ({b})*({c}) = {a * d} - ({b * c}) = {a * d - b * c}",)
    return Problem(
        {"m": _matrix(a, b, c, d, rng)},
        steps,
        str(a * d - b * c),
        f"Matrix([[{a},{b}],[{c},{d}]]).det()=={a * d - b * c}",
    )


def _pair(*forms: str) -> tuple[str, ...]:
    return forms


KINDS = (
    Kind(name="greatest common divisors", make=_gcd, weight=0.7, phrasings=_pair("What is the greatest common divisor of {a} and {b}?", "Compute gcd({a}, {b}).", "Find the gcd of {a} and {b}.", "gcd({a}, {b})", "Find the greatest common divisor of {a} and {b}.", "What is gcd({a}, {b})?", "Determine the greatest common factor of {a} and {b}.", "Use Euclid's algorithm to find gcd({a}, {b}).")),
    Kind(name="least common multiples", make=_lcm, weight=0.5, phrasings=_pair("What is the least common multiple of {a} and {b}?", "Compute lcm({a}, {b}).", "Find the lcm of {a} and {b}.", "lcm({a}, {b})", "Find the least common multiple of {a} and {b}.", "What is lcm({a}, {b})?")),
    Kind(name="prime factors", make=_factors, weight=0.7, phrasings=_pair("Find the prime factorization of {n}.", "Factor {n} into primes.", "What are the prime factors of {n}?", "Write {n} as a product of primes.", "Compute the prime factorization of {n}.", "Decompose {n} into prime factors.", "Prime factorisation of {n}")),
    Kind(name="primality", make=_prime, weight=0.5, phrasings=_pair("Is {n} prime?", "Is {n} a prime number?", "Determine whether {n} is prime.", "Check if {n} is a prime number.", "Tell me whether {n} is prime.", "Prove or disprove: {n} is prime.")),
    Kind(name="remainders", make=_remainder, weight=0.4, phrasings=_pair("What is {a} mod {b}?", "Find the remainder of {a} divided by {b}.", "Compute {a} modulo {b}.", "What is the remainder when {a} is divided by {b}?", "{a} mod {b}", "Calculate {a} mod {b}.")),
    Kind(name="factorials", make=_factorial, weight=0.2, phrasings=_pair("What is {n}!?", "Compute {n} factorial.", "Calculate {n}!", "Find {n}!.", "Evaluate {n}!.", "What is the factorial of {n}?", "In how many ways can {n} people stand in a row?")),
    Kind(name="binomials", make=_binomial, weight=0.4, phrasings=_pair("How many ways are there to choose {k} of {n}?", "Compute C({n}, {k}).", "What is {n} choose {k}?", "In how many ways can {k} people be chosen from {n}?", "Evaluate the binomial coefficient ({n} choose {k}).", "How many subsets of {k} elements has a set of {n} elements?")),
    Kind(name="arithmetic series", make=_series, weight=0.5, phrasings=_pair("Find the sum of the first {n} terms of {s}, ...", "What is the sum of the first {n} terms of the arithmetic sequence {s}, ...?", "Add the first {n} terms of {s}, ...", "Compute the sum of {n} terms: {s}, ...", "Calculate the sum of the first {n} terms of the series {s}, ...")),
    Kind(name="sums of first numbers", make=_first_numbers, weight=0.3, phrasings=_pair("What is the sum of the first {n} natural numbers?", "Compute 1 + 2 + ... + {n}.", "Add all whole numbers from 1 to {n}.", "Find the sum of the integers from 1 to {n}.", "What is 1 + 2 + 3 + ... + {n}?", "Sum up the numbers from 1 to {n}.")),
    Kind(name="means", make=_mean, weight=0.4, phrasings=_pair("What is the mean of {l}?", "Find the average of {l}.", "Compute the mean of {l}.", "Calculate the average of the numbers {l}.", "Determine the arithmetic mean of {l}.", "What is the average of {l}?")),
    Kind(name="medians", make=_median, weight=0.3, phrasings=_pair("What is the median of {l}?", "Find the median of {l}.", "Compute the median of {l}.", "Determine the median of the numbers {l}.", "Calculate the median: {l}")),
    Kind(name="areas", make=_area, weight=0.4, phrasings=_pair("What is {q}?", "Find {q}.", "Compute {q}.", "Calculate {q}.", "Determine {q}.", "Work out {q}.")),
    Kind(name="right triangles", make=_pythagoras, weight=0.3, phrasings=_pair("A right triangle has legs {a} and {b}. How long is the hypotenuse?", "Find the hypotenuse of a right triangle with legs {a} and {b}.", "What is the hypotenuse of a right triangle with sides {a} and {b}?", "Compute the length of the hypotenuse for legs {a} and {b}.", "The legs of a right triangle are {a} and {b}. Find the hypotenuse.")),
    Kind(name="eigenvalues", make=_eigenvalues, weight=0.4, phrasings=_pair("Find the eigenvalues of the matrix {m}.", "Compute the eigenvalues of {m}.", "What are the eigenvalues of {m}?", "Determine the eigenvalues of {m}.", "Calculate the eigenvalues of the 2x2 matrix {m}.")),
    Kind(name="determinants", make=_determinant, weight=0.4, phrasings=_pair("Find the determinant of {m}.", "Compute the determinant of the matrix {m}.", "What is the determinant of {m}?", "det {m}", "Calculate det({m}).", "Determine the determinant of {m}.")),
)  # fmt: skip
