"""Word problems from templates: shopping, travel, ages, sharing, work, mixtures. The names and things vary."""

from __future__ import annotations

import random
from fractions import Fraction

from training.mini.arithmetic import decimal
from training.mini.problem import Kind, Problem, show

_NAMES = (
    "Anna", "Ben", "Clara", "David", "Emma", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kim", "Lea",
    "Marco", "Nina", "Omar", "Paula", "Ravi", "Sara", "Tom", "Yuki", "Aisha", "Bruno", "Carlos", "Dina",
    "Elif", "Fritz", "Gina", "Hana", "Ivan", "Julia", "Karl", "Lena", "Mia", "Noah", "Olga", "Peter",
    "Rosa", "Samir", "Tina", "Umar", "Vera", "Will", "Xenia", "Zoe", "Alex", "Maria", "John", "Lucy",
    "Max", "Eva", "Leo", "Nora", "Oscar", "Ruth", "Simon", "Tara", "Victor", "Wanda", "Adam", "Bella",
)  # fmt: skip
_THINGS = (
    "apples", "pens", "books", "marbles", "stamps", "cookies", "tickets", "stickers", "oranges", "cards", "pencils", "coins",
    "eggs", "balls", "shells", "flowers", "toys", "candies", "beads", "keys", "tiles", "bricks", "roses", "lemons",
    "cups", "plates", "badges", "photos", "chairs", "buttons", "magazines", "postcards", "muffins", "sandwiches", "notebooks", "candles",
    "bottles", "pears", "peaches", "nails", "screws", "sweets", "balloons", "crayons", "rulers", "shirts", "socks", "plums",
    "seeds", "stones", "bananas", "envelopes",
)  # fmt: skip
_MONEY = ("euros", "dollars", "pounds", "euros", "dollars", "francs", "crowns")


def _names(rng: random.Random) -> dict[str, str]:
    p, q = rng.sample(_NAMES, 2)
    return {"p": p, "q": q, "t": rng.choice(_THINGS), "x": rng.choice(_MONEY)}


def _shopping(rng: random.Random) -> Problem:
    n, price, paid_more = rng.randint(2, 12), rng.randint(1, 15), rng.randint(1, 30)
    cost = n * price
    asked = {**_names(rng), "n": str(n), "c": str(price), "m": str(cost + paid_more)}
    steps = (f"{n} * {price} = {cost}", f"{cost + paid_more} - {cost} = {paid_more}")
    return Problem(asked, steps, str(paid_more), f"{cost + paid_more}-{n}*{price}=={paid_more}")


def _total_cost(rng: random.Random) -> Problem:
    a, b, c, d = rng.randint(2, 9), rng.randint(1, 12), rng.randint(2, 9), rng.randint(1, 12)
    one, two = rng.sample(_THINGS, 2)
    asked = {**_names(rng), "a": str(a), "b": str(b), "c": str(c), "d": str(d), "s": one, "u": two}
    steps = (f"{a} * {b} = {a * b}", f"{c} * {d} = {c * d}", f"{a * b} + {c * d} = {a * b + c * d}")
    return Problem(asked, steps, str(a * b + c * d), f"{a}*{b}+{c}*{d}=={a * b + c * d}")


def _left(rng: random.Random) -> Problem:
    a, g, more = rng.randint(10, 90), rng.randint(1, 9), rng.randint(1, 40)
    value = a - g + more
    asked = {**_names(rng), "a": str(a), "g": str(g), "m": str(more)}
    return Problem(
        asked, (f"{a} - {g} = {a - g}", f"{a - g} + {more} = {value}"), str(value), f"{a}-{g}+{more}=={value}"
    )


def _sharing(rng: random.Random) -> Problem:
    n, each, rest = rng.randint(2, 12), rng.randint(2, 20), 0
    total = n * each + rest
    return Problem(
        {**_names(rng), "a": str(total), "n": str(n)},
        (f"{total} / {n} = {each}",),
        str(each),
        f"{total}=={n}*{each}",
    )


def _speed(rng: random.Random) -> Problem:
    v, hours = rng.randint(2, 24) * 5, rng.randint(1, 9)
    return Problem(
        {**_names(rng), "d": str(v * hours), "h": str(hours)},
        (f"speed = distance / time = {v * hours} / {hours} = {v}",),
        f"{v} km/h",
        f"{v * hours}=={v}*{hours}",
    )


def _distance(rng: random.Random) -> Problem:
    v, hours = rng.randint(2, 24) * 5, rng.randint(2, 9)
    return Problem(
        {**_names(rng), "v": str(v), "h": str(hours)},
        (f"distance = speed * time = {v} * {hours} = {v * hours}",),
        f"{v * hours} km",
        f"{v}*{hours}=={v * hours}",
    )


def _clock(rng: random.Random) -> Problem:
    start, minutes = rng.randint(5 * 12, 14 * 12) * 5, rng.randint(6, 60) * 5
    end = start + minutes
    distance = rng.randint(20, 400)
    speed = Fraction(distance * 60, minutes)
    tenths = int(speed * 10 + Fraction(1, 2))
    a, b = (f"{t // 60}:{t % 60:02}" for t in (start, end))
    hours, left = divmod(minutes, 60)
    steps = (
        f"From {a} to {b} are {hours} h {left} min = {hours} * 60 + {left} = {minutes} min.",
        f"speed = {distance} / {minutes} * 60 = {distance * 60} / {minutes} = {decimal(tenths, 1)} km/h, rounded to one decimal",
    )
    return Problem(
        {**_names(rng), "a": a, "b": b, "d": str(distance)},
        steps,
        f"{decimal(tenths, 1)} km/h",
        f"Abs(Rational({distance * 60},{minutes})-Rational({tenths},10))<=Rational(1,20)",
    )


def _ages(rng: random.Random) -> Problem:
    young, gap = rng.randint(2, 30), rng.randint(1, 30)
    total = 2 * young + gap
    asked = {**_names(rng), "g": str(gap), "s": str(total)}
    steps = (
        f"Let x be the age of {asked['q']}. Then x + (x + {gap}) = {total}.",
        f"2x = {total} - {gap} = {2 * young}",
        f"x = {2 * young}/2 = {young}",
        f"{asked['p']} is {young} + {gap} = {young + gap}.",
    )
    return Problem(
        asked, steps, f"{asked['p']} is {young + gap}, {asked['q']} is {young}", f"{young}+{young + gap}=={total}"
    )


def _discount(rng: random.Random) -> Problem:
    price, p = rng.randint(2, 50) * 10, rng.choice((5, 10, 15, 20, 25, 30, 40, 50))
    part, value = decimal(price * p, 2), decimal(100 * price - price * p, 2)
    steps = (f"{p}% of {price} = {p} * {price} / 100 = {price * p} / 100 = {part}", f"{price} - {part} = {value}")
    return Problem(
        {**_names(rng), "c": str(price), "r": str(p)},
        steps,
        value,
        f"{price}*(1-Rational({p},100))==Rational('{value}')",
    )


def _interest(rng: random.Random) -> Problem:
    money, rate, years = rng.randint(1, 50) * 100, rng.randint(1, 8), rng.randint(1, 10)
    interest = money * rate * years // 100
    steps = (f"interest = {money} * {rate} / 100 * {years} = {money * rate // 100} * {years} = {interest}",)
    return Problem(
        {**_names(rng), "m": str(money), "r": str(rate), "y": str(years)},
        steps,
        str(interest),
        f"{money}*{rate}*{years}=={interest}*100",
    )


def _work(rng: random.Random) -> Problem:
    a, b = rng.choice(
        (
            (2, 2),
            (3, 6),
            (4, 4),
            (4, 12),
            (6, 3),
            (6, 12),
            (10, 15),
            (12, 4),
            (20, 5),
            (8, 8),
            (5, 20),
            (9, 18),
            (15, 30),
            (2, 3),
            (2, 6),
            (3, 4),
        )
    )
    together = Fraction(a * b, a + b)
    rate = Fraction(1, a) + Fraction(1, b)
    steps = (
        f"In one hour they do 1/{a} + 1/{b} = {b}/{a * b} + {a}/{a * b} = {a + b}/{a * b} = {show(rate)} of the work.",
        f"The time is {a * b}/{a + b} = {show(together)} hours.",
    )
    return Problem(
        {**_names(rng), "a": str(a), "b": str(b)},
        steps,
        f"{show(together)} hours",
        f"1/Rational('{together}')==Rational(1,{a})+Rational(1,{b})",
    )


def _consecutive(rng: random.Random) -> Problem:
    n, count = rng.randint(1, 60), rng.choice((2, 3))
    total = sum(range(n, n + count))
    shift = count * (count - 1) // 2
    inside = "x + (x + 1)" if count == 2 else "x + (x + 1) + (x + 2)"
    answer = ", ".join(str(n + at) for at in range(count))
    steps = (
        f"{inside} = {total}",
        f"{count}x + {shift} = {total}",
        f"{count}x = {total - shift}",
        f"x = {total - shift}/{count} = {n}",
    )
    return Problem(
        {**_names(rng), "k": "two" if count == 2 else "three", "s": str(total)},
        steps,
        answer,
        f"sum(range({n},{n + count}))=={total}",
    )


def _recipe(rng: random.Random) -> Problem:
    people, grams, wanted = rng.choice((2, 4, 5, 6)), rng.randint(2, 20) * 10, rng.randint(3, 14)
    total = Fraction(grams * wanted)
    steps = (
        f"For one person: {grams * people} / {people} = {grams} g",
        f"For {wanted}: {grams} * {wanted} = {total} g",
    )
    return Problem(
        {
            **_names(rng),
            "n": str(people),
            "g": str(grams * people),
            "w": str(wanted),
            "i": rng.choice(
                ("flour", "rice", "sugar", "pasta", "butter", "meat", "cheese", "fish", "potatoes", "oats")
            ),
        },
        steps,
        f"{total} g",
        f"{grams}*{wanted}=={total}",
    )


KINDS = (
    Kind(name="shopping", make=_shopping, weight=0.4, phrasings=("{p} buys {n} {t} at {c} euros each and pays with {m} euros. How much change is given?", "{n} {t} cost {c} dollars each. {p} pays {m} dollars. How much does {p} get back?", "{p} has {m} euros and buys {n} {t} for {c} euros each. How much money is left?", "If one of the {t} costs {c} dollars, how much of {m} dollars remains after buying {n}?", "{p} pays {m} euros for {n} {t} that cost {c} euros each. How much change does {p} get?")),
    Kind(name="total costs", make=_total_cost, weight=0.4, phrasings=("{p} buys {a} {s} at {b} euros each and {c} {u} at {d} euros each. What is the total?", "How much do {a} {s} for {b} dollars each and {c} {u} for {d} dollars each cost together?", "{a} {s} cost {b} euros each, {c} {u} cost {d} euros each. How much does {p} pay for all?", "What does {p} pay for {a} {s} at {b} dollars and {c} {u} at {d} dollars each?", "{p} needs {a} {s} ({b} euros each) and {c} {u} ({d} euros each). How much is it in total?")),
    Kind(name="what is left", make=_left, weight=0.4, phrasings=("{p} has {a} {t}, gives {g} to {q} and then finds {m} more. How many {t} does {p} have now?", "{p} had {a} {t}. {q} took {g}, later {p} bought {m}. How many are there now?", "There are {a} {t} in a box. {p} takes out {g}, {q} puts in {m}. How many {t} are in the box?", "{p} collects {a} {t}, loses {g} and gets {m} from {q}. How many {t} has {p}?", "From {a} {t} {p} sells {g} and then buys {m} new ones. How many {t} are there?")),
    Kind(name="sharing", make=_sharing, weight=0.45, phrasings=("{a} {t} are shared equally among {n} children. How many does each get?", "{p} shares {a} {t} equally among {n} friends. How many does each friend get?", "If {n} people split {a} {t} evenly, how many does each have?", "{a} {t} are packed into {n} equal boxes. How many are in each box?", "Divide {a} {t} fairly among {n} children. How many are there for each?")),
    Kind(name="speeds", make=_speed, weight=0.45, phrasings=("A train travels {d} km in {h} hours. What is its average speed?", "{p} drives {d} km in {h} hours. What is the average speed in km/h?", "A car covers {d} km in {h} hours. Find its speed.", "How fast is a bus that needs {h} hours for {d} km?", "A cyclist rides {d} km in {h} hours. What is the speed?")),
    Kind(name="distances", make=_distance, weight=0.45, phrasings=("A train travels at {v} km/h for {h} hours. How far does it go?", "{p} drives {h} hours at {v} km/h. What distance is that?", "How far does a car get in {h} hours at {v} km/h?", "A bus goes {v} km/h. What distance does it cover in {h} hours?", "At {v} km/h, how many kilometres are travelled in {h} hours?")),
    Kind(name="timetables", make=_clock, weight=0.45, phrasings=("A train leaves at {a} and arrives at {b}, covering {d} km. What was its average speed in km/h, to one decimal place?", "A bus departs at {a} and arrives at {b} after {d} km. Find its average speed to one decimal place.", "A car starts at {a}, stops at {b} and has gone {d} km. What was the average speed in km/h, rounded to one decimal?", "Leaving at {a} and arriving at {b}, a train covers {d} km. How fast was it on average?", "What is the average speed of a train that leaves at {a}, arrives at {b} and covers {d} km?")),
    Kind(name="ages", make=_ages, weight=0.45, phrasings=("{p} is {g} years older than {q}. Together they are {s}. How old are they?", "The ages of {p} and {q} add up to {s}. {p} is {g} years older. How old is each?", "{p} and {q} are together {s} years old, and {p} is {g} years older than {q}. Find their ages.", "Together {p} and {q} are {s} years old. {q} is {g} years younger than {p}. How old are both?", "The sum of the ages of {p} and {q} is {s}; {p} is older by {g} years. What are their ages?")),
    Kind(name="discounts", make=_discount, weight=0.4, phrasings=("A jacket costs {c} euros. It is reduced by {r}%. What is the new price?", "{p} gets a discount of {r}% on a bicycle of {c} dollars. What does {p} pay?", "What is the price of a {c} dollar phone after a {r}% discount?", "A shop takes {r}% off a price of {c} euros. How much is left to pay?", "With a {r}% discount, how much does a {c} euro chair cost?")),
    Kind(name="interest", make=_interest, weight=0.45, phrasings=("How much simple interest do {m} euros earn at {r}% in {y} years?", "{p} saves {m} dollars at {r}% simple interest per year. How much interest is there after {y} years?", "Find the simple interest on {m} at {r}% for {y} years.", "Compute the simple interest for a principal of {m}, a rate of {r}% and {y} years.", "What is the simple interest on {m} dollars at {r}% per year after {y} years?")),
    Kind(name="working together", make=_work, weight=0.3, phrasings=("{p} paints a fence in {a} hours, {q} in {b} hours. How long do they need together?", "One pump fills a tank in {a} hours, another in {b} hours. How long do both need together?", "{p} needs {a} hours for a job, {q} needs {b} hours. How long does it take them together?", "If {p} can finish in {a} hours and {q} in {b} hours, how long do they take together?", "Two pipes fill a pool in {a} and {b} hours. How long do they need together?")),
    Kind(name="consecutive numbers", make=_consecutive, weight=0.45, phrasings=("The sum of {k} consecutive integers is {s}. Find them.", "Find {k} consecutive numbers whose sum is {s}.", "{k} consecutive whole numbers add up to {s}. What are they?", "Which {k} consecutive integers have the sum {s}?", "What {k} consecutive integers add up to {s}?")),
    Kind(name="recipes", make=_recipe, weight=0.45, phrasings=("A recipe for {n} people needs {g} g of {i}. How much {i} is needed for {w} people?", "For {n} people one takes {g} g of {i}. How many grams are needed for {w} people?", "{g} g of {i} are enough for {n} people. How much is needed for {w}?", "If {n} people need {g} g of {i}, how much do {w} people need?", "How much {i} do {w} people need if {n} people need {g} g?")),
)  # fmt: skip
