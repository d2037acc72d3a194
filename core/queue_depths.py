"""How much waits for each model, in the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from core.database import Database
from core.messages import ModelName


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Completions of one model that have not ended.

    `queued` can begin now, `held` wait for their lane or for the other model's text, `running` are being written.
    `oldest_s` is the age in seconds of the oldest queued one; 0 where none is.
    """

    model: ModelName
    queued: int = 0
    held: int = 0
    running: int = 0
    oldest_s: float = 0.0


def queue_depths(database: Database) -> list[Depth]:
    """One for each model. Raises DatabaseUnavailable."""
    found = {row["model"]: row for row in database.fetch(_DEPTHS)}
    return [Depth(**{**found.get(model.value, {}), "model": model}) for model in ModelName]


# Each part reads an index of open rows alone; a batch's held jobs are counted by kind, not one by one.
_DEPTHS = """
WITH held AS (
    SELECT task_type, count(*) AS jobs FROM job WHERE state = 'queued' AND is_held GROUP BY task_type
), counted AS (
    SELECT model, count(*) AS queued, 0 AS held, 0 AS running, min(queued_at) AS since
    FROM completion WHERE state = 'queued' GROUP BY model
    UNION ALL
    SELECT model, 0, count(*), 0, NULL FROM completion WHERE state = 'waiting' GROUP BY model
    UNION ALL
    SELECT unnest(CASE task_type WHEN 'math' THEN '{mathstral}' WHEN 'code' THEN '{codestral}'
                  ELSE '{mathstral,codestral}' END::text[]), 0, jobs, 0, NULL FROM held
    UNION ALL
    SELECT model, 0, 0, count(*), NULL FROM completion WHERE state = 'running' GROUP BY model
)
SELECT model, sum(queued)::int AS queued, sum(held)::int AS held, sum(running)::int AS running,
       coalesce(extract(epoch FROM now() - min(since)), 0)::float8 AS oldest_s
FROM counted GROUP BY model
"""
