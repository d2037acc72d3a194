"""The classes of the learned router, and what is done about one; shared by who serves and who measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.messages import RouteLabel, TaskType

LABELS = (RouteLabel.CODE, RouteLabel.HYBRID, RouteLabel.MATH, RouteLabel.OTHER)
"""In the order of the columns of the weights."""

GENERAL_CERTAINTY = 0.85

Chances = Mapping[RouteLabel, float]


@dataclass(frozen=True, slots=True)
class Decision:
    """`label` is the likeliest class, `task_type` where the prompt goes, `why` what stands between the two."""

    label: RouteLabel
    task_type: TaskType
    why: str | None = None


def decide(chances: Chances, *, threshold: float, general: TaskType) -> Decision:
    """What to do with a prompt of these probabilities.

    General talk goes to one model and never to two: to `general`, or to the likelier specialist where it is OTHER
    with less than `GENERAL_CERTAINTY`. Mathematics goes to the one model, code to the other, and to both where the
    probability that the one is enough lies below `threshold`; it is enough for its own class and for OTHER.
    """
    label = max(LABELS, key=lambda each: chances[each])
    if label is RouteLabel.HYBRID:
        return Decision(label, TaskType.HYBRID)
    likelier = max((RouteLabel.MATH, RouteLabel.CODE), key=lambda each: chances[each])
    if label is RouteLabel.OTHER:
        return _decide_general(chances[label], likelier, general)
    enough = chances[label] + chances[RouteLabel.OTHER]
    if enough >= threshold:
        return Decision(label, TaskType(label.value))
    why = f"{label} alone is enough with probability {enough:.2f}, below {threshold:g}: both models answer"
    return Decision(label, TaskType.HYBRID, why)


def _decide_general(chance: float, likelier: RouteLabel, general: TaskType) -> Decision:
    if chance >= GENERAL_CERTAINTY:
        return Decision(RouteLabel.OTHER, general, f"general talk goes to one model: {general}")
    why = f"general talk with probability {chance:.2f} only, below {GENERAL_CERTAINTY}: more like {likelier}"
    return Decision(RouteLabel.OTHER, TaskType(likelier.value), why)
