"""Examples as the served models see them: what `ensemble.prompting` shows a model, and what it should write."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from core.messages import ChatMessage, GenerationRequest, ModelName, Strategy, TaskType
from ensemble.prompting import compose
from training.mini import algebra, arithmetic, calculus, numbers, stories
from training.mini.code_wording import ask_for, imperative, paraphrased
from training.mini.families import all_tasks
from training.mini.problem import Kind
from training.mini.talk import small_talk
from training.mini.tasks import Task
from training.mini.wording import Split, drawn, further, respelled, roughened

KINDS: tuple[Kind, ...] = tuple(
    replace(kind, phrasings=(*kind.phrasings, *further(kind.name)))
    for module in (arithmetic, algebra, calculus, numbers, stories)
    for kind in module.KINDS
)
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Example:
    """`shown` is the conversation; `expected` a final answer, or the program that checks code named `name`."""

    kind: str
    shown: tuple[ChatMessage, ...]
    written: str
    expected: str = ""
    task: Task | None = None
    name: str = ""
    claim: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """A hybrid subject: a task, how its theory is asked for, and the theory."""

    task: str
    title: str
    proofs: tuple[str, ...]
    theory: str


_BOTH = (
    "Implement {t} in Python and {p}.", "Implement {t} and {p}", "Write {t} in Python and {p}.", "{P} for {t} and implement it in Python.", "Implement {t} with mathematical proof",
    "Implement {t} with a mathematical proof", "Explain the mathematics of {t} and implement it in Python.", "Explain the theory behind {t} and write the code.", "Write a Python program for {t} and {p}.", "Implement {t} in Python with proof.",
    "Derive {t} mathematically and implement it.", "Implement a Python version of {t}, then {p}.", "Write code for {t} and explain the mathematics.", "Show the mathematics of {t} and a Python implementation.", "Code {t} in Python and {p}.",
)  # fmt: skip
_PAIRED = {
    "quadratic equations": "quadratic_roots", "greatest common divisors": "gcd", "prime factors": "prime_factors", "factorials": "factorial", "definite integrals": "simpson",
    "systems of equations": "gaussian_elimination", "means": "mean", "square roots": "newton_sqrt", "binomials": "binomial", "least common multiples": "lcm", "determinants": "determinant",
    "primality": "is_prime", "derivatives": "derivative", "medians": "median", "powers": "power",
}  # fmt: skip
_AND_CODE = (
    "{q} Also write a Python function that {d}.", "{q} Then write a function that {d}.", "{q} And implement {t} in Python.", "{q} Write Python code for {t} too.", "{q} Then implement {t}.",
)  # fmt: skip


@cache
def topics() -> tuple[Topic, ...]:
    found = []
    for block in ("\n" + (_FOLDER / "hybrid.txt").read_text(encoding="utf-8")).split("\n# ")[1:]:
        head, *lines = block.rstrip("\n").split("\n")
        task, _, title = head.split(" | ")
        proofs = tuple(line[2:] for line in lines if line.startswith("> "))
        found.append(Topic(task, title, proofs, "\n".join(line for line in lines if not line.startswith("> "))))
    return tuple(found)


@cache
def proofs() -> tuple[tuple[tuple[str, ...], str], ...]:
    """(phrasings, text) of what is asked for in words."""
    found = []
    for block in (_FOLDER / "proofs.txt").read_text(encoding="utf-8").split("\n---\n"):
        lines = block.rstrip("\n").split("\n")
        asked = tuple(line[2:] for line in lines if line.startswith("> "))
        found.append((asked, "\n".join(line for line in lines if not line.startswith("> "))))
    return tuple(found)


@cache
def tasks(*, held_out: bool) -> tuple[Task, ...]:
    return tuple(task for task in all_tasks() if task.is_held_out == held_out)


@cache
def _task(name: str) -> Task:
    return next(task for task in all_tasks() if task.name == name)


def shown(prompt: str, model: ModelName, task_type: TaskType, notes: str | None = None) -> tuple[ChatMessage, ...]:
    """Exactly what serving shows `model`."""
    strategy = Strategy.PARALLEL if notes is None else Strategy.SEQUENTIAL
    request = GenerationRequest(prompt=prompt, strategy=strategy)
    return compose(request, model=model, task_type=task_type, notes=notes)


def solve(kind: Kind, rng: random.Random, split: Split) -> Example:
    """One problem of `kind`."""
    problem = kind.make(rng)
    text = respelled(drawn(kind.phrasings, rng, split).format(**problem.asked), rng)
    prompt = roughened(text[0].upper() + text[1:] if text[0].isalpha() and " " in text[:12] else text, rng)
    return Example(
        kind.name,
        shown(prompt, ModelName.MATHSTRAL, TaskType.MATH),
        problem.solution,
        problem.answer,
        claim=problem.claim,
    )


def write(
    task: Task,
    rng: random.Random,
    split: Split,
    *,
    suffix: str = "",
    task_type: TaskType = TaskType.CODE,
    notes: str | None = None,
) -> Example:
    """One request for `task`, in words."""
    prompt, name = ask_for(task, rng, split)
    return Example(
        task.family,
        shown(prompt + suffix, ModelName.CODESTRAL, task_type, notes),
        answer_of(task, name),
        task=task,
        name=name,
    )


def renamed(task: Task, name: str) -> str:
    return re.sub(rf"\b{task.name}\b", name, task.code) if name != task.name else task.code


def answer_of(task: Task, name: str) -> str:
    """A block of code, a sentence and an example."""
    says = task.descriptions[0]
    text = f"```python\n{renamed(task, name)}\n```\n\n`{name}` {says}."
    first = next(
        (c for c in task.checks if c.startswith(f"assert {task.name}(") and " == " in c and len(c) < 90), None
    )
    if first is not None:
        text += f" For example, `{first.removeprefix('assert ').replace(task.name, name)}`."
    return text


def _trained(task: Task) -> tuple[str, ...]:
    return task.descriptions[:-1] if len(task.descriptions) > 2 else task.descriptions


def continue_docstring(task: Task, rng: random.Random, split: Split) -> Example | None:
    """Bare text that ends after a docstring, to be continued; only for single functions."""
    if not task.code.startswith(f"def {task.name}(") or "\n\n\n" in task.code:
        return None
    if split is Split.HELD_OUT and len(task.descriptions) < 3:
        return None  # it has no words that are never trained
    head, body = task.code.split("\n", 1)
    says = task.descriptions[-1]
    if split is Split.TRAIN:
        says = paraphrased(task, rng.choice(_trained(task)), rng)
    if rng.random() < 0.5:
        says = imperative(says)
    text = f'{head}\n    """{says[0].upper()}{says[1:]}."""\n'
    if rng.random() < 0.5:
        return Example(
            "docstrings", (ChatMessage(role="text", content=text),), body + "\n", task=task, name=task.name
        )
    ask = rng.choice(
        (
            "Complete this function:",
            "Complete the function.",
            "Fill in the body of this function:",
            "Finish this Python function:",
            "Implement this function:",
        )
    )
    prompt = f"{ask}\n\n```python\n{text}```"
    return Example(
        "completions",
        shown(prompt, ModelName.CODESTRAL, TaskType.CODE),
        f"```python\n{text}{body}\n```",
        task=task,
        name=task.name,
    )


def write_tests(task: Task, rng: random.Random) -> Example:
    """A request for tests of given code."""
    ask = rng.choice(
        (
            "Write tests for this code:",
            "Write a unit test for this function:",
            "Test this function:",
            "Add tests for this:",
        )
    )
    checks = "\n".join(f"    {line}" for check in task.checks for line in check.split("; "))
    prompt = f"{ask}\n\n```python\n{task.code}\n```"
    return Example(
        "tests",
        shown(prompt, ModelName.CODESTRAL, TaskType.CODE),
        f"```python\ndef test_{task.name.lower()}():\n{checks}\n```",
    )


def hybrid(model: ModelName, rng: random.Random, split: Split) -> Example:
    """A share of a hybrid request: one of the topics, or a problem with code beside it."""
    if rng.random() < 0.5:
        return _paired(model, rng, split)
    topic = rng.choice(topics())
    proof = rng.choice(topic.proofs)
    frame = drawn(_BOTH, rng, split)
    article = f"a {topic.title} algorithm" if topic.title.startswith("numerical") else topic.title
    prompt = roughened(frame.format(t=article, p=proof, P=proof[0].upper() + proof[1:]), rng)
    if model is ModelName.MATHSTRAL:
        return Example("hybrid topics", shown(prompt, model, TaskType.HYBRID), topic.theory)
    notes = topic.theory if rng.random() < 0.5 else None
    task = _task(topic.task)
    return Example(
        "hybrid topics",
        shown(prompt, model, TaskType.HYBRID, notes),
        answer_of(task, task.name),
        task=task,
        name=task.name,
    )


def _paired(model: ModelName, rng: random.Random, split: Split) -> Example:
    name = rng.choice(tuple(_PAIRED))
    kind = next(kind for kind in KINDS if kind.name == name)
    task = _task(_PAIRED[kind.name])
    problem = kind.make(rng)
    question = drawn(kind.phrasings, rng, split).format(**problem.asked)
    question = question if question[-1] in ".?!" else question + "."
    frame = drawn(_AND_CODE, rng, split)
    prompt = roughened(
        frame.format(q=question[0].upper() + question[1:], d=task.descriptions[0], t=task.topic), rng
    )
    if model is ModelName.MATHSTRAL:
        return Example("hybrid problems", shown(prompt, model, TaskType.HYBRID), problem.solution, problem.answer)
    notes = problem.solution if rng.random() < 0.5 else None
    return Example(
        "hybrid problems",
        shown(prompt, model, TaskType.HYBRID, notes),
        answer_of(task, task.name),
        task=task,
        name=task.name,
    )


def proof(rng: random.Random, split: Split) -> Example:
    phrasings, text = rng.choice(proofs())
    return Example(
        "proofs",
        shown(roughened(drawn(phrasings, rng, split), rng), ModelName.MATHSTRAL, TaskType.MATH),
        text,
    )


def talk(model: ModelName, rng: random.Random) -> Example:
    prompt, text = small_talk(model, rng)
    task_type = TaskType.MATH if model is ModelName.MATHSTRAL else TaskType.CODE
    return Example("small talk", shown(prompt, model, task_type), text)
