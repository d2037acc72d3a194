"""What callers think of answers, and the labels of prompts that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.database import Database
from core.errors import JobNotFound
from core.jobs import parse_id
from core.messages import RouteLabel

MOST_LABELS = 20_000


class Rating(StrEnum):
    """A thumb."""

    UP = "up"
    DOWN = "down"


class LabelKind(StrEnum):
    """How a label came about, the most trusted first."""

    SAID = "said"  # by POST /v1/jobs/{id}/feedback
    RETRY = "retry"  # forced, after the router had sent the same words elsewhere
    FORCED = "forced"
    RATED = "rated"  # the router's own, where the answer pleased


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What the caller said of one job; one of the two is there."""

    rating: Rating | None
    label: RouteLabel | None
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPrompt:
    prompt: str
    label: RouteLabel
    kind: LabelKind


class FeedbackStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def give(self, job_id: str, *, rating: Rating | None, label: RouteLabel | None) -> Feedback:
        """Keep it; what was said of the job before is replaced. Raises JobNotFound."""
        parameters = {"id": parse_id(job_id), "rating": rating, "label": label}
        rows = self._database.fetch(_GIVE, parameters)
        if not rows:
            raise JobNotFound(job_id)
        return Feedback(rating=rating, label=label, updated_at=rows[0]["updated_at"])

    def labels(self, *, most: int = MOST_LABELS) -> list[LabelledPrompt]:
        """Each prompt once, under its most trusted label, among equals the newest; the newest prompts first."""
        kinds = list(LabelKind)
        return [
            LabelledPrompt(prompt=row["prompt"], label=RouteLabel(row["label"]), kind=kinds[row["rank"] - 1])
            for row in self._database.fetch(_LABELS, {"most": most})
        ]


_GIVE = """
WITH found AS (SELECT id FROM job WHERE id = %(id)s FOR KEY SHARE)
INSERT INTO job_feedback (job_id, rating, label) SELECT id, %(rating)s, %(label)s FROM found
ON CONFLICT (job_id) DO UPDATE SET rating = excluded.rating, label = excluded.label, updated_at = now()
RETURNING updated_at
"""

_LABELS = """
SELECT prompt, label, rank FROM (
    SELECT DISTINCT ON (prompt) job_id, prompt, label, rank FROM route_label ORDER BY prompt, rank, job_id DESC
) AS once
ORDER BY job_id DESC LIMIT %(most)s
"""
