"""Ways of asking, read from `ways/*.txt`, where a line of `%%` parts one from the next.

In them `{t}` stands for a topic ("a heap"), `{T}` for it at the start of a sentence, `{b}` without its article,
`{f}` as the name of a function, `{l}` for a programming language, `{k}` for a tool, `{n}` and `{m}` for numbers.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from core.messages import RouteLabel


@cache
def ways(label: RouteLabel) -> tuple[str, ...]:
    """How people ask for what is of this class."""
    return _read(label.value)


@cache
def details(label: RouteLabel) -> tuple[str, ...]:
    """What long prompts of this class add."""
    return _read(f"{label.value}_details")


@cache
def openings() -> tuple[str, ...]:
    """What is said before the question, whatever it is."""
    return _read("openings")


@cache
def prefixes() -> tuple[str, ...]:
    """Courtesies and marks before a prompt."""
    return _read("prefixes")


@cache
def suffixes() -> tuple[str, ...]:
    """The same behind it."""
    return _read("suffixes")


def _read(name: str) -> tuple[str, ...]:
    content = files("ensemble.router_training").joinpath("ways", f"{name}.txt").read_text(encoding="utf-8")
    return tuple(way.strip("\n") for way in content.split("\n%%\n"))
