"""Is the router better with the feedback than without? Judged on prompts of both kinds that neither has seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import torch
from torch import Tensor

from ensemble.router_training.fitting import Lesson, find_temperature
from ensemble.routing.measures import Row

HELD_OUT_OF = 5
"""One prompt of so many is held out, chosen by its text: the same one each time."""
LEAST_FEEDBACK = 30
LEAST_HELD_OUT = 5
MOST_LOST = 0.01


@dataclass(frozen=True, slots=True)
class Figures:
    """On held-out prompts of one kind: part that is right, and log-loss in nats."""

    prompts: int
    right: float
    loss: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of (labelled prompts, feedback), without and with the feedback; `temperature` is the latter's."""

    without: tuple[Figures, Figures]
    with_feedback: tuple[Figures, Figures]
    temperature: float

    @property
    def is_better(self) -> bool:
        """Less loss on both kinds, which sees every prompt; and on neither more than `MOST_LOST` fewer right."""
        pairs = tuple(zip(self.without, self.with_feedback, strict=True))
        return all(new.loss < old.loss and new.right >= old.right - MOST_LOST for old, new in pairs)

    def lines(self) -> Iterator[str]:
        yield f"{'held out':<20}{'prompts':>8}{'right without':>15}{'with':>7}{'loss without':>14}{'with':>8}"
        for name, old, new in zip(("labelled prompts", "feedback"), self.without, self.with_feedback, strict=True):
            yield f"{name:<20}{old.prompts:>8}{old.right:>15.3f}{new.right:>7.3f}{old.loss:>14.4f}{new.loss:>8.4f}"


def is_held_out(prompt: str) -> bool:
    return crc32(prompt.encode(errors="replace")) % HELD_OUT_OF == 0


def find_obstacle(labelled: Sequence[Row], feedback: Sequence[Row]) -> str | None:
    """Why nothing can be compared, or None."""
    if len(feedback) < LEAST_FEEDBACK:
        return f"there are {len(feedback)} labels from use: at least {LEAST_FEEDBACK} are needed"
    fewest = min(sum(is_held_out(row.prompt) for row in rows) for rows in (labelled, feedback))
    if fewest < LEAST_HELD_OUT:
        return f"only {fewest} prompts of one kind would be held out: at least {LEAST_HELD_OUT} are needed"
    return None


def compare(lesson: Lesson, feedback_from: int) -> Comparison:
    """The rows of `lesson` from `feedback_from` on are feedback."""
    held = [is_held_out(row.prompt) for row in lesson.rows]
    ours = [index >= feedback_from for index in range(len(lesson.rows))]
    old = lesson.fit([not out and not is_ours for out, is_ours in zip(held, ours, strict=True)])
    new = lesson.fit([not out for out in held])
    count = len(lesson.rows)
    truth, out, kind = lesson.truth[:count], torch.tensor(held), torch.tensor(ours)
    logits = [model.logits(lesson.table)[:count] for model in (old, new)]
    weight = torch.full((int(out.sum()),), 1.0 / int(out.sum()), dtype=torch.float64)
    warmths = [find_temperature(each[out], truth[out], weight) for each in logits]
    without, with_feedback = (
        (_judge(each / warmth, truth, out & ~kind), _judge(each / warmth, truth, out & kind))
        for each, warmth in zip(logits, warmths, strict=True)
    )
    return Comparison(without, with_feedback, warmths[1])


def _judge(logits: Tensor, truth: Tensor, chosen: Tensor) -> Figures:
    logits, truth = logits[chosen], truth[chosen]
    right = (logits.argmax(1) == truth).double().mean()
    return Figures(len(truth), float(right), float(torch.nn.functional.cross_entropy(logits, truth)))
