"""How often each kind of example is drawn."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from itertools import accumulate

from core.messages import ModelName, TaskType
from training.mini.examples import (
    KINDS,
    Example,
    continue_docstring,
    hybrid,
    proof,
    solve,
    talk,
    tasks,
    write,
    write_tests,
)
from training.mini.families import all_tasks
from training.mini.tasks import Task
from training.mini.wording import Split


@cache
def _weights() -> list[float]:
    return list(accumulate(kind.weight for kind in KINDS))


def math_example(rng: random.Random, split: Split) -> Example:
    draw = rng.random()
    if draw < 0.03:
        return proof(rng, split)
    if draw < 0.12:
        return hybrid(ModelName.MATHSTRAL, rng, split)
    if draw < 0.14:
        return talk(ModelName.MATHSTRAL, rng)
    return solve(rng.choices(KINDS, cum_weights=_weights())[0], rng, split)


def code_example(rng: random.Random, split: Split) -> Example:
    draw = rng.random()
    if draw < 0.14:
        return hybrid(ModelName.CODESTRAL, rng, split)
    if draw < 0.16:
        return talk(ModelName.CODESTRAL, rng)
    task = choose_task(rng, held_out=False)
    if draw < 0.19:
        return write_tests(task, rng)
    if draw < 0.36 and (example := continue_docstring(task, rng, split)) is not None:
        return example
    if draw < 0.42:  # asked for a proof as well, of what has no topic
        suffix = rng.choice(
            (" Prove that it is correct.", " Explain the mathematics.", " Analyse its complexity.")
        )
        return write(task, rng, split, suffix=suffix, task_type=TaskType.HYBRID)
    return write(task, rng, split)


@cache
def _groups(*, held_out: bool) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    combined = ("pipelines", "records", "texts", "units", "sequences", "plain classes", "dataclasses")
    every = tasks(held_out=held_out)
    return tuple(t for t in every if t.family in combined), tuple(t for t in every if t.family not in combined)


def choose_task(rng: random.Random, *, held_out: bool) -> Task:
    """Combined families have many members; the written tasks get two draws of three all the same."""
    return rng.choice(_groups(held_out=held_out)[rng.random() < 0.67])


Maker = Callable[[random.Random, Split], Example]
MAKERS: dict[ModelName, Maker] = {ModelName.MATHSTRAL: math_example, ModelName.CODESTRAL: code_example}


def maker_of(model: ModelName, only: tuple[str, ...] = ()) -> Maker:
    """What makes the examples of `model`: all, or those of the kinds or tasks named `only`, to try things out."""
    if not only:
        return MAKERS[model]
    if model is ModelName.MATHSTRAL:
        kinds = [kind for kind in KINDS if kind.name in only]
        return lambda rng, split: solve(rng.choice(kinds), rng, split)
    chosen = [task for task in all_tasks() if task.name in only]
    return lambda rng, split: write(rng.choice(chosen), rng, split)
