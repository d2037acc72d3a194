"""How a code task is asked for: many frames around its descriptions and its topic."""

from __future__ import annotations

import random
import re
from functools import cache

from training.mini.tasks import Task
from training.mini.wording import Split, drawn, further, roughened

_FUNCTION = (
    "Write a Python function that {d}.", "Write a function that {d}.", "Implement a function that {d}", "Create a Python function that {d}.", "Is there a short way in Python to get code that {d}?",
    "I need a function that {d}.", "Python function that {d}", "Define a function that {d}.", "Give me Python code that {d}.", "How do I write a function that {d}?",
    "Write a function in Python which {d}.", "Show me a function that {d}.", "Code a function that {d}.", "Help me write a Python function that {d}.", "What would a Python function look like that {d}?",
    "Implement a Python function which {d}.", "Write code that {d}.", "Write a short Python function that {d}.", "Develop a function that {d}.", "I want a Python function that {d}.",
    "Write a method that {d}.", "Write a Python program that {d}.",
    *further("code: function"),
)  # fmt: skip
_IMPERATIVE = (
    "{i} in Python.", "Write code to {i}.", "How can I {i} in Python?", "Write a Python function to {i}.", "Write a program to {i}.",
    "Implement a function to {i}.", "How do you {i} in Python?", "In Python, {i}.", "Create a function to {i}", "Show Python code to {i}.",
    *further("code: imperative"),
)  # fmt: skip
_TOPIC = (
    "Implement {t} in Python", "Implement {t}.", "Write {t} in Python.", "Python code for {t}", "Write a Python implementation of {t}.", "Show an implementation of {t} in Python.",
    "Code {t} in Python.", "How is {t} implemented in Python?", "Give me an example of {t} in Python.", "Write code for {t}.", "I need {t} in Python.", "Implement {t} in Python 3.",
    *further("code: topic"),
)  # fmt: skip
_CLASS = (
    "Write a Python class that {d}.", "Implement a class that {d}.", "Create a class that {d}.", "Write a class {n} that {d}.", "Define a Python class {n} which {d}.",
    "I need a class that {d}.", "Give me a Python class that {d}.", "Implement a Python class {n} that {d}", "Write a class in Python that {d}.", "Show me a class that {d}.",
    *further("code: class"),
)  # fmt: skip
_NAMED = (
    " Call it `{n}`.",
    " Name it `{n}`.",
    " Name the function {n}.",
    " The signature is `{s}`.",
    " Use the signature `{s}`.",
    " It should be called {n}.",
)
_OTHER_NAMES = (
    "solve",
    "f",
    "compute",
    "run",
    "calculate",
    "process",
    "my_function",
    "solution",
    "answer",
    "transform",
    "work",
    "handle",
    "evaluate",
    "helper",
)
_ARTICLE = re.compile(r"\b([Aa]) (?=array|item|entry|element|integer|average)")
_SWAPS = (
    ("computes", "calculates"), ("checks whether", "tests if"), ("checks whether", "determines whether"), ("a string", "a text"), ("a list", "an array"), ("returns", "gives back"),
    ("finds", "determines"), ("a number", "an integer"), ("removes", "deletes"), ("counts", "returns the number of times for"), ("a list of numbers", "some numbers"), ("dictionary", "dict"),
    ("greatest", "largest"), ("smallest", "lowest"), ("a list", "a given list"), ("a string", "a given string"), ("returns", "outputs"), ("numbers", "values"),
    ("finds", "computes"), ("finds", "searches for"), ("returns", "gets"), ("returns", "gives"), ("returns", "produces"), ("computes", "determines"), ("computes", "works out"), ("computes", "finds"),
    ("greatest", "biggest"), ("greatest", "maximum"), ("smallest", "minimum"), ("smallest", "least"), ("largest", "greatest"), ("a list", "a Python list"), ("list", "array"),
    ("element", "item"), ("elements", "items"), ("elements", "entries"), ("elements", "values"), ("element", "entry"), ("numbers", "integers"), ("string", "text"), ("text", "string"),
    ("strings", "texts"), ("words", "strings"), ("letters", "characters"), ("characters", "letters"), ("character", "letter"), ("checks", "tests"), ("checks whether", "tells if"), ("checks whether", "checks if"),
    ("checks whether", "says whether"), ("checks whether", "decides if"), ("removes", "drops"), ("removes", "takes out"), ("counts", "counts up"), ("converts", "transforms"), ("converts", "changes"), ("sorts", "orders"),
    ("sorts", "puts in order"), ("adds", "sums"), ("the sum", "the total"), ("dictionary", "mapping"), ("dictionaries", "dicts"), ("dictionaries", "records"), ("index", "position"), ("position", "index"), ("average", "mean"),
    ("mean", "average"), ("maximum", "largest value"), ("minimum", "smallest value"), ("splits", "divides"), ("joins", "combines"), ("merges", "combines"), ("implements", "uses"), ("how often", "how many times"), ("both", "the two"),
    ("capital", "uppercase"), ("small", "lowercase"), ("reverses", "turns around"), ("in ascending order", "from small to large"), ("stores", "keeps"), ("stores", "holds"), ("models", "represents"), ("models", "describes"),
    ("has a", "has"), ("given as", "that is"), ("square numbers", "squares"), ("matrix", "2D list"), ("duplicates", "repeated elements"), ("creates", "makes"), ("builds", "makes"), ("generates", "yields"), ("lists", "collects"),
)  # fmt: skip


def ask_for(task: Task, rng: random.Random, split: Split) -> tuple[str, str]:
    """A prompt for `task`, and the name that the answer must use.

    Held out is either the frame or the description, or both.
    """
    descriptions, frames_split = _descriptions(task, rng, split)
    says = rng.choice(descriptions)
    if split is Split.TRAIN:
        says = paraphrased(task, says, rng)
    frames = _frames(task, rng, says, with_topic=frames_split is split)
    frame, name = drawn(frames, rng, frames_split), task.name
    is_named = "{n}" in frame or "{s}" in frame
    if _can_be_renamed(task) and rng.random() < 0.25:
        name = rng.choice((task.name, task.name, rng.choice(_OTHER_NAMES)))
        if not is_named:
            frame = frame.rstrip(".?") + "." + rng.choice(_NAMED)
    text = frame.format(d=says, i=imperative(says), t=task.topic, n=name, s=_signature(task, name))
    return roughened(text[0].upper() + text[1:], rng), name


def _can_be_renamed(task: Task) -> bool:
    return not task.is_class and f"def {task.name}(" in task.code and task.code.count("def ") == 1


def paraphrased(task: Task, says: str, rng: random.Random) -> str:
    """A description of `task` in other words, often; never in those of its held-out one."""
    held_out = task.descriptions[-1] if len(task.descriptions) > 2 else ""
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        others = [other for other in _swapped(says) if other != held_out]
        says = rng.choice(others) if others else says
    return says


@cache
def _swapped(says: str) -> tuple[str, ...]:
    """`says` with one pair of words exchanged, each way that there is."""
    fitting = [(old, new) for old, new in _SWAPS if old in says]
    made = (re.sub(rf"\b{old}\b", new, says, count=1) for old, new in fitting)
    return tuple(_ARTICLE.sub(r"\1n ", other) for other in made if other != says)


def _descriptions(task: Task, rng: random.Random, split: Split) -> tuple[tuple[str, ...], Split]:
    has_held_out = len(task.descriptions) > 2
    if split is Split.TRAIN:
        return (task.descriptions[:-1] if has_held_out else task.descriptions), split
    if has_held_out and rng.random() < 0.5:
        return task.descriptions[-1:], rng.choice((Split.TRAIN, Split.HELD_OUT))
    return (task.descriptions[:-1] if has_held_out else task.descriptions), Split.HELD_OUT


def _frames(task: Task, rng: random.Random, says: str, *, with_topic: bool) -> tuple[str, ...]:
    """Frames of a topic do not show the description, so they are no place for a held-out one."""
    if with_topic and rng.random() < 0.3:
        return _TOPIC
    if task.is_class:
        return _CLASS
    return _IMPERATIVE if rng.random() < 0.4 and imperative(says) != says else _FUNCTION


def _signature(task: Task, name: str) -> str:
    head = next((line for line in task.code.split("\n") if line.startswith(f"def {task.name}(")), name)
    return head.removeprefix("def ").rstrip(":").replace(task.name, name, 1)


def imperative(says: str) -> str:
    """`returns the sum` as `return the sum`; unchanged where it begins with `is` or `has`."""
    verb, _, rest = says.partition(" ")
    if verb in ("is", "has") or not verb.endswith("s"):
        return says
    if verb.endswith("ies"):
        verb = verb[:-3] + "y"
    elif verb.endswith(("ches", "shes", "sses", "xes", "does")):
        verb = verb[:-2]
    else:
        verb = verb[:-1]
    return f"{verb} {rest}"
