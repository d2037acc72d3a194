"""Whether a candidate may serve (pure): it must be better where it was not trained, and no worse elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.training import Purpose
from training.folder import Scores

MOST_UNLEARNED = 0.1
"""Of the functions asked for, how many more may fail than of the version in service."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reasons` are sentences with the figures: what speaks against it, or else what was measured."""

    is_promoted: bool
    reasons: Sequence[str]


def judge(scores: Scores, *, min_improvement: float, most_regression: float) -> Verdict:
    """Weigh a candidate against the version in service; shares are of the serving version's loss."""
    objections = [
        *(f"its text is unfit: {problem}" for problem in scores.smoke),
        *_weigh(scores, Purpose.HELDOUT, most=1 - min_improvement),
        *_weigh(scores, Purpose.FROZEN, most=1 + most_regression),
        *_weigh(scores, Purpose.ANCHOR, most=1 + most_regression),
    ]
    if Purpose.HELDOUT not in scores.candidate.losses:
        objections.append("nothing is held out to judge it by: ingest another repository")
    if scores.candidate.passed < scores.serving.passed - MOST_UNLEARNED * scores.tasks:
        objections.append(
            f"writes {scores.candidate.passed} of {scores.tasks} functions that work, "
            f"the version in service {scores.serving.passed}"
        )
    return Verdict(not objections, objections or list(_figures(scores)))


def _weigh(scores: Scores, purpose: Purpose, *, most: float) -> Iterator[str]:
    """What is wrong with one loss: no number, or above `most` times the serving version's."""
    candidate, serving = scores.candidate.losses.get(purpose), scores.serving.losses.get(purpose)
    if candidate is None or serving is None:
        return
    if not math.isfinite(candidate):
        yield f"its {purpose} loss is no number"
    elif not candidate <= serving * most:
        yield f"{_figure(purpose, candidate, serving)}, where at most {100 * (most - 1):+.1f} % is asked"


def _figures(scores: Scores) -> Iterator[str]:
    for purpose, candidate in scores.candidate.losses.items():
        if purpose in scores.serving.losses:
            yield _figure(purpose, candidate, scores.serving.losses[purpose])
    yield f"{scores.candidate.passed} of {scores.tasks} functions work, were {scores.serving.passed}"


def _figure(purpose: Purpose, candidate: float, serving: float) -> str:
    return f"{purpose} loss {serving:.4f} -> {candidate:.4f} ({100 * (candidate / serving - 1):+.1f} %)"
