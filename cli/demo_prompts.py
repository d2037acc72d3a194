"""Which prompts the demo shows: the three of the README and thirty of all kinds."""

from __future__ import annotations

from collections import defaultdict
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import ConfigurationError

SHOWN = 30
FIRST_PROMPTS = (
    "Solve the equation: 2x^2 + 5x - 3 = 0",
    "Implement a binary search tree in Python",
    "Implement a numerical gradient descent algorithm with mathematical proof",
)


class LabelledPrompt(BaseModel):
    """One line of a prompt file; other fields are allowed and not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    prompt: str
    label: str


def demo_prompts(file: Path | None) -> list[str]:
    """The first three, then thirty from `file` or, without one, from our own set."""
    text = file.read_text(encoding="utf-8") if file else _own_set()
    return [*FIRST_PROMPTS, *(row.prompt for row in choose(_parse(text, file), SHOWN))]


def choose(rows: list[LabelledPrompt], count: int) -> list[LabelledPrompt]:
    """`count` rows: labels in turn, spread evenly over each label; the same rows give the same choice."""
    by_label: dict[str, list[LabelledPrompt]] = defaultdict(list)
    for row in rows:
        by_label[row.label].append(row)
    share = -(-count // max(1, len(by_label)))
    spread = [_evenly(by_label[label], share) for label in sorted(by_label)]
    in_turn = [column[place] for place in range(share) for column in spread if place < len(column)]
    return in_turn[:count]


def _evenly(rows: list[LabelledPrompt], count: int) -> list[LabelledPrompt]:
    taken = min(count, len(rows))
    return [rows[place * len(rows) // taken] for place in range(taken)]


def _parse(text: str, file: Path | None) -> list[LabelledPrompt]:
    rows: list[LabelledPrompt] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(LabelledPrompt.model_validate_json(line))
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise ConfigurationError(
                f"{file}, line {number}: {problem} (each line is an object with prompt and label)"
            ) from None
    return rows


def _own_set() -> str:
    return (files("cli") / "demo_prompts.jsonl").read_text(encoding="utf-8")
