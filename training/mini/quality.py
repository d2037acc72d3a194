"""Held-out problems and how answers to them are graded; whoever asks the model uses this."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from core.messages import ModelName, TaskType
from training.exercises import body_of
from training.mini.examples import KINDS, Example, continue_docstring, hybrid, renamed, shown, solve, tasks, write
from training.mini.mixture import choose_task
from training.mini.problem import final_answer
from training.mini.wording import Split, seeded
from training.sandbox import passes

SEED = 7_001
_BLOCK = re.compile(r"```(?:python)?\n(.*?)```", re.DOTALL)
ARITHMETIC = ("addition", "subtraction", "multiplication", "division", "chains", "negative numbers")
GOALS = {
    "linear equations": ("linear equations", "linear equations with the unknown on both sides", "linear equations with brackets", "linear equations with a fraction"),
    "quadratic equations": ("quadratic equations",),
    "arithmetic": ARITHMETIC,
    "derivatives": ("derivatives", "derivatives by the product rule"),
}  # fmt: skip
"""What the figures of the goals are made of: kinds of equal weight."""


@dataclass(frozen=True, slots=True)
class Graded:
    """One answer: whether it is right and, of code, whether it parses."""

    kind: str
    is_right: bool
    parses: bool


def problems(model: ModelName, count: int) -> list[Example]:
    """Held-out examples: `count` of each kind of mathematics, or ten times `count` for each kind of code request."""
    if model is ModelName.MATHSTRAL:
        return [
            solve(kind, seeded(SEED, Split.HELD_OUT, f"{kind.name}/{number}"), Split.HELD_OUT)
            for kind in KINDS
            for number in range(count)
        ]
    found: list[Example] = []
    for number in range(10 * count):
        rng = seeded(SEED, Split.HELD_OUT, f"code/{number}")
        found.append(
            _as(write(choose_task(rng, held_out=False), rng, Split.HELD_OUT), "known tasks, held-out words")
        )
    of_a_family = [task for task in tasks(held_out=True) if task.family in _FAMILIES]
    of_none = [task for task in tasks(held_out=True) if task.family not in _FAMILIES]
    for number in range(5 * count):
        rng = seeded(SEED, Split.HELD_OUT, f"new/{number}")
        fresh = of_none if number % 4 == 3 else of_a_family
        task = fresh[number // 4 % len(fresh)] if number % 4 == 3 else fresh[number % len(fresh)]
        kind = "held-out tasks of a family" if task.family in _FAMILIES else "held-out tasks of none"
        found.append(_as(write(task, rng, Split.TRAIN), kind))
        if (example := continue_docstring(choose_task(rng, held_out=False), rng, Split.HELD_OUT)) is not None:
            found.append(
                _as(example, "docstrings to continue" if example.kind == "docstrings" else "functions to complete")
            )
        found.append(_as(hybrid(model, rng, Split.HELD_OUT), "hybrid requests"))
    return found


_FAMILIES = (
    "pipelines",
    "records",
    "texts",
    "units",
    "sequences",
    "sorting",
    "shapes",
    "plain classes",
    "dataclasses",
)


def _as(example: Example, kind: str) -> Example:
    return Example(kind, example.shown, example.written, example.expected, example.task, example.name)


def grade(examples: Sequence[Example], answers: Sequence[str], *, workers: int = 8) -> list[Graded]:
    """Programs run in the sandbox, several at once."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(_grade, examples, answers))


def _grade(example: Example, answer: str) -> Graded:
    if example.task is None:
        return Graded(example.kind, final_answer(answer) == example.expected, True)
    code = code_of(example, answer)
    if not parses(code):
        return Graded(example.kind, False, False)
    task = example.task
    program = task.program(code)
    if example.name != task.name:
        program = f"{code}\n\n{task.name} = {example.name}\n" + "\n".join(task.checks)
    return Graded(example.kind, passes(program), True)


def code_of(example: Example, answer: str) -> str:
    """The program in an answer: its first block of code, or the continued text."""
    if example.shown[-1].role == "text":
        return example.shown[-1].content + body_of(answer)
    found = _BLOCK.search(answer)
    return found.group(1) if found is not None else answer


def parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return True


def table(graded: Sequence[Graded]) -> list[dict[str, Any]]:
    """One row per kind, and one per goal."""
    rows = []
    for kind in dict.fromkeys(each.kind for each in graded):
        rows.append(_row(kind, [each for each in graded if each.kind == kind]))
    by_kind = {row["kind"]: row for row in rows}
    for goal, kinds in GOALS.items():
        if all(kind in by_kind for kind in kinds):
            right = sum(by_kind[kind]["right"] for kind in kinds) / len(kinds)
            rows.append(
                {"kind": f"= {goal}", "count": sum(by_kind[kind]["count"] for kind in kinds), "right": right}
            )
    code = [each for each in graded if "held-out tasks" in each.kind]
    if code:
        rows.append(_row("= held-out tasks", code))
        rows.append(_row("= all code", list(graded)))
    return rows


def _row(kind: str, graded: Sequence[Graded]) -> dict[str, Any]:
    count = len(graded)
    return {
        "kind": kind,
        "count": count,
        "right": sum(each.is_right for each in graded) / count,
        "parses": sum(each.parses for each in graded) / count,
    }


def seed_prompts(model: ModelName) -> list[Example]:
    """The three prompts that this project began with, as serving shows them to `model`."""
    asked = {
        ModelName.MATHSTRAL: [("Solve the equation: 2x^2 + 5x - 3 = 0", TaskType.MATH)],
        ModelName.CODESTRAL: [("Implement a binary search tree in Python", TaskType.CODE)],
    }[model]
    both = ("Implement a numerical gradient descent algorithm with mathematical proof", TaskType.HYBRID)
    return [Example("seed", shown(prompt, model, kind), "") for prompt, kind in [*asked, both]]


def reference(example: Example) -> str:
    """What a perfect model would answer."""
    if example.task is not None and example.shown[-1].role != "text":
        return f"```python\n{renamed(example.task, example.name)}\n```"
    return example.written
