"""Families of code tasks: each combines parts, so that some combinations can be held out for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

from training.mini.parts import FIELDS, NOUNS, RECORD_ACTIONS, SHAPES, UNITS
from training.mini.tasks import Task, written_tasks

_NUMBERS = ([3, -1, 4, 0, -5, 9, 2, 6], [1, 2, 3, 12, 15], [-2, -7, 8])
_WORDS = (["pear", "fig", "banana", "kiwi"], ["Zoe", "al", "Maria"])
_TEXTS = ("Hello, World 42!", "aB c3", "xyz")
HELD_OUT_ONE_IN = 10

_PREDICATES = (
    ("", "numbers", ""), ("even", "even numbers", "x % 2 == 0"), ("odd", "odd numbers", "x % 2 == 1"),
    ("positive", "positive numbers", "x > 0"), ("negative", "negative numbers", "x < 0"),
    ("multiples_of_three", "multiples of three", "x % 3 == 0"), ("greater_than_two", "numbers greater than 2", "x > 2"),
    ("below_five", "numbers below 5", "x < 5"), ("multiples_of_five", "multiples of 5", "x % 5 == 0"),
    ("greater_than_ten", "numbers greater than 10", "x > 10"), ("multiples_of_four", "multiples of 4", "x % 4 == 0"), ("nonzero", "numbers other than 0", "x != 0"),
)  # fmt: skip
_MAPS = (
    ("", "", "x"), ("squares", "squares of the ", "x * x"), ("cubes", "cubes of the ", "x ** 3"),
    ("doubles", "doubles of the ", "2 * x"), ("absolute_values", "absolute values of the ", "abs(x)"),
    ("negatives", "negatives of the ", "-x"), ("halves", "halves of the ", "x / 2"), ("triples", "triples of the ", "3 * x"),
)  # fmt: skip
_AGGREGATES = (
    ("sum", "returns the sum of the {m}{p} in a list", "adds up the {m}{p} of a list", "return sum({e})"),
    ("list", "returns a list of the {m}{p} in a list", "lists the {m}{p} of a list", "return [{e}]"),
    ("max", "returns the greatest of the {m}{p} in a list, or None if there is none", "finds the maximum of the {m}{p} of a list", "return max(({e}), default=None)"),
    ("min", "returns the smallest of the {m}{p} in a list, or None if there is none", "finds the minimum of the {m}{p} of a list", "return min(({e}), default=None)"),
    ("product", "returns the product of the {m}{p} in a list", "multiplies the {m}{p} of a list", "result = 1\n    for x in numbers:{c}\n{i}result *= {x}\n    return result"),
    ("count", "counts the {p} in a list", "returns how many {p} a list has", "return sum(1 for x in numbers{f})"),
)  # fmt: skip
_CLASSES = (
    ("vowels", "vowels", 'c.lower() in "aeiou"'), ("digits", "digits", "c.isdigit()"), ("letters", "letters", "c.isalpha()"),
    ("uppercase", "capital letters", "c.isupper()"), ("lowercase", "lowercase letters", "c.islower()"), ("spaces", "spaces", "c.isspace()"),
    ("punctuation", "punctuation marks", "not c.isalnum() and not c.isspace()"), ("consonants", "consonants", 'c.isalpha() and c.lower() not in "aeiou"'),
)  # fmt: skip
_TEXT_ACTIONS = (
    ("keep", "returns only the {c} of a string", "keeps the {c} of a text and drops everything else", 'return "".join(c for c in text if {e})'),
    ("drop", "removes all {c} from a string", "deletes the {c} of a text", 'return "".join(c for c in text if not ({e}))'),
    ("count", "counts the {c} in a string", "returns how many {c} a text contains", "return sum(1 for c in text if {e})"),
    ("has", "checks whether a string contains {c}", "tells if there are {c} in a text", "return any({e} for c in text)"),
    ("positions", "returns the positions of the {c} in a string", "lists the indices at which a text has {c}", "return [i for i, c in enumerate(text) if {e}]"),
)  # fmt: skip
_SEQUENCES = (
    ("squares", "square numbers", "i * i"), ("cubes", "cubes", "i ** 3"), ("even_numbers", "positive even numbers", "2 * i"), ("odd_numbers", "odd numbers", "2 * i - 1"),
    ("powers_of_two", "powers of two, starting with 2", "2 ** i"), ("powers_of_three", "powers of three, starting with 3", "3 ** i"), ("triangular_numbers", "triangular numbers", "i * (i + 1) // 2"),
    ("multiples_of_three", "multiples of three", "3 * i"), ("multiples_of_seven", "multiples of seven", "7 * i"), ("reciprocals", "reciprocals of the natural numbers", "1 / i"),
)  # fmt: skip
_KEYS = (
    ("length", "their length", "len(word)"), ("last_letter", "their last letter", "word[-1]"), ("lowercase", "the alphabet, ignoring case", "word.lower()"),
    ("vowels", "their number of vowels", 'sum(c in "aeiou" for c in word.lower())'), ("first_letter", "their first letter", "word[0]"), ("reversed", "their letters from the end", "word[::-1]"),
)  # fmt: skip


@cache
def all_tasks() -> tuple[Task, ...]:
    """The written tasks and those of all families; names are unique."""
    named = {task.name: task for task in _combined()}
    named.update({task.name: task for task in written_tasks()})
    return tuple(named.values())


def _combined() -> Iterator[Task]:
    yield from _pipelines()
    yield from _texts()
    for a, b, e in UNITS:
        yield _task(
            "units",
            f"{a}_to_{b}",
            a,
            f"return {e}",
            (
                f"converts {a} to {b}",
                f"turns a value in {a} into {b}",
                f"changes {a} into {b}",
                f"computes {b} from {a}",
                f"gives the {b} for a number of {a}",
                f"expresses {a} in {b}",
                f"takes {a} and returns {b}",
            ),
            ([20.0], [0.0], [100.0]),
        )
    for what, shape, parameters, e in SHAPES:
        count = parameters.count(",") + 1
        says = (
            f"computes the {what} of a {shape}",
            f"returns the {what} of a {shape}",
            f"finds the {what} of a given {shape}",
            f"takes the sizes of a {shape} and gives its {what}",
            f"calculates a {shape}'s {what}",
        )
        yield _task(
            "shapes",
            f"{shape.replace(' ', '_')}_{what}",
            parameters,
            f"return {e}",
            says,
            ([3.0, 4.0, 5.0][:count], [1.0, 2.0, 2.5][:count]),
        )
    for name, words, e in _SEQUENCES:
        yield _task(
            "sequences",
            f"first_{name}",
            "n",
            f"return [{e} for i in range(1, n + 1)]",
            (
                f"returns the first n {words}",
                f"lists the first n {words}",
                f"gives a list of the first n {words}",
                f"makes a list with n {words}",
                f"generates n {words}",
            ),
            ([4], [0]),
        )
        yield _task(
            "sequences",
            f"sum_of_{name}",
            "n",
            f"return sum({e} for i in range(1, n + 1))",
            (
                f"returns the sum of the first n {words}",
                f"adds up the first n {words}",
                f"sums the first n {words}",
                f"gives the sum of n {words}, from the first on",
                f"computes the total of the first n {words}",
            ),
            ([4], [0]),
        )
    yield from _sorting()
    yield from _records()
    yield from _plain_classes()


def _pipelines() -> Iterator[Task]:
    for (p, p_words, condition), (m, m_words, e), (a, says, also, body) in product(
        _PREDICATES, _MAPS, _AGGREGATES
    ):
        if (a == "count" and m) or (a in ("list", "sum", "max", "min", "product", "count") and not (p or m)):
            continue
        where = f" if {condition}" if condition else ""
        each = f"{e} for x in numbers{where}"
        lines = body.format(
            e=each,
            x=e,
            f=where,
            c=f"\n        if {condition}:" if condition else "",
            i=" " * (12 if condition else 8),
        )
        name = "_".join(part for part in (a if a != "list" else "", m and f"{m}_of" if p else m, p) if part)
        name = name if a != "list" else f"list_{name}"
        words = tuple(text.format(m=m_words, p=p_words) for text in (says, also))
        yield _task("pipelines", name, "numbers", lines, words, tuple([numbers] for numbers in _NUMBERS))


def _texts() -> Iterator[Task]:
    for (name, words, e), (a, says, also, body) in product(_CLASSES, _TEXT_ACTIONS):
        texts = (says.format(c=words), also.format(c=words))
        yield _task("texts", f"{a}_{name}", "text", body.format(e=e), texts, tuple([text] for text in _TEXTS))


def _sorting() -> Iterator[Task]:
    for (key, words, e), is_down in product(_KEYS, (False, True)):
        down, name = (
            (", reverse=True" if is_down else ""),
            f"sort_words_by_{key}{'_descending' if is_down else ''}",
        )
        order = " in descending order" if is_down else ""
        says = (
            f"sorts a list of words by {words}{order}",
            f"orders words by {words}{order}",
            f"puts a list of words in the order of {words}{order}",
            f"arranges words by {words}{order}",
            f"returns the words sorted by {words}{order}",
        )
        yield _task(
            "sorting",
            name,
            "words",
            f"return sorted(words, key=lambda word: {e}{down})",
            says,
            tuple([words] for words in _WORDS),
        )


def _records() -> Iterator[Task]:
    for field, (action, says, body) in product(FIELDS, RECORD_ACTIONS):
        records = [{"name": "a", field: 3}, {"name": "b", field: 1}, {"name": "c", field: 3}]
        text = says.format(f=field)
        yield _task(
            "records",
            f"{action}_{field}",
            "records",
            body.format(f=field),
            (text, text.replace("a list of dictionaries", "records").replace("the dictionary", "the record")),
            ([records],),
        )


def _plain_classes() -> Iterator[Task]:
    values = ("'a'", "'b'", "3")
    for noun, *fields in NOUNS:
        listed = ", ".join(fields)
        spoken = f"{fields[0]}, {fields[1]} and {fields[2]}"
        assigned = "\n".join(f"        self.{field} = {field}" for field in fields)
        shown = ", ".join(f"{{self.{field}!r}}" for field in fields)
        code = f'class {noun}:\n    def __init__(self, {listed}):\n{assigned}\n\n    def __repr__(self):\n        return f"{noun}({shown})"'
        check = (
            f"thing = {noun}({', '.join(values)})",
            *(f"assert thing.{field} == {value}" for field, value in zip(fields, values, strict=True)),
        )
        says: tuple[str, ...] = (
            f"has a {spoken}",
            f"models a {noun.lower()} with {spoken}",
            f"represents a {noun.lower()} by its {spoken}",
            f"holds the {spoken} of a {noun.lower()}",
            f"describes a {noun.lower()} and has the attributes {spoken}",
            f"is a {noun.lower()} with {spoken}",
            f"stores the {spoken} of a {noun.lower()}",
        )
        yield Task(
            noun,
            f"a class {noun} with {spoken}",
            says,
            code,
            (*check, f"assert repr(thing) == \"{noun}('a', 'b', 3)\""),
            _is_held_out(noun),
            "plain classes",
        )
        lines = "\n".join(f"    {field}: {'int' if at == 2 else 'str'}" for at, field in enumerate(fields))
        data = f"from dataclasses import dataclass\n\n\n@dataclass\nclass {noun}Data:\n{lines}"
        says = (
            f"is a dataclass with {spoken}",
            f"stores {spoken} as a dataclass",
            f"is a dataclass for a {noun.lower()} with the fields {spoken}",
            f"is a data class that describes a {noun.lower()} by {spoken}",
            f"represents a {noun.lower()} with {spoken} as a data class",
            f"holds the {spoken} of a {noun.lower()} and is a dataclass",
            f"is decorated with @dataclass and describes a {noun.lower()} with {spoken}",
            f"is a data class of a {noun.lower()} with {spoken}",
        )
        yield Task(
            f"{noun}Data",
            f"a dataclass of a {noun.lower()} with {spoken}",
            says,
            data,
            (
                f"thing = {noun}Data({', '.join(values)})",
                f"assert thing == {noun}Data({', '.join(values)})",
                f"assert thing.{fields[0]} == 'a'",
            ),
            _is_held_out(f"{noun}Data"),
            "dataclasses",
        )


def _task(
    family: str, name: str, parameters: str, body: str, says: tuple[str, ...], inputs: tuple[list[Any], ...]
) -> Task:
    code = f"def {name}({parameters}):\n    {body}"
    space: dict[str, Any] = {}
    exec(code, space)  # noqa: S102 - written above
    checks = tuple(_check(name, arguments, space[name](*arguments)) for arguments in inputs)
    topic = name.replace("_", " ")
    return Task(name, topic, says, code, checks, _is_held_out(name), family)


def _check(name: str, arguments: list[Any], value: Any) -> str:
    call = f"{name}({', '.join(map(repr, arguments))})"
    return f"assert abs({call} - {value!r}) < 1e-6" if isinstance(value, float) else f"assert {call} == {value!r}"


def _is_held_out(name: str) -> bool:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % HELD_OUT_ONE_IN == 0
