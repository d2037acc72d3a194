"""Reads the code tasks: what is asked for, our reference solution, and what checks it.

Format of `task_files/*.txt`: `# name | topic` begins a task, `>` a description, `!` a statement and `?` an expression
that must hold; everything else is the solution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from training.mini.wording import further

FOLDER = Path(__file__).with_name("task_files")
HELD_OUT_EVERY = 12
"""Every twelfth task of a file is never trained, unless a hybrid topic shows it."""
_SHOWN = ("hanoi", "newton_method", "rsa_keys", "DynamicArray", "cross_entropy", "Graph")


@dataclass(frozen=True, slots=True)
class Task:
    """One function or class to write. Descriptions read after `that`; the last of three or more is held out."""

    name: str
    topic: str
    descriptions: tuple[str, ...]
    code: str
    checks: tuple[str, ...]
    is_held_out: bool = False
    family: str = ""

    @property
    def is_class(self) -> bool:
        return f"class {self.name}" in self.code

    def program(self, code: str) -> str:
        """`code` followed by what checks it."""
        return code + "\n\n" + "\n".join(self.checks) + "\n"


@cache
def written_tasks() -> tuple[Task, ...]:
    """The tasks of all files, in order of their names."""
    return tuple(task for path in sorted(FOLDER.glob("*.txt")) for task in _read(path))


def _read(path: Path) -> Iterator[Task]:
    for number, block in enumerate(path.read_text(encoding="utf-8").split("\n# ")):
        head, *lines = block.removeprefix("# ").rstrip("\n").split("\n")
        name, topic = head.split(" | ")
        yield Task(
            name=name,
            topic=topic,
            descriptions=_described(name, [line[2:] for line in lines if line.startswith("> ")]),
            code="\n".join(line for line in lines if not line.startswith(("> ", "? ", "! "))).strip("\n"),
            checks=tuple(_check(line) for line in lines if line.startswith(("? ", "! "))),
            is_held_out=number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 and name not in _SHOWN,
            family=path.stem,
        )


def _described(name: str, says: list[str]) -> tuple[str, ...]:
    """With those of `phrasings/tasks.txt`, before the third, which stays the last and held out."""
    return (*says[:2], *further(f"task: {name}"), *says[2:])


def _check(line: str) -> str:
    return line[2:] if line.startswith("! ") else f"assert {line[2:]}"
