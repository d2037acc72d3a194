"""Counters of how jobs ended, since this process began to look: each look reads what ended since the last one.

So nothing is counted on the way of a job. Several processes that look count the same jobs: of their figures take
one, or the greatest, never the sum.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from core.database import Database, Row
from core.messages import JobState, TaskType
from core.observing.histograms import CONFIDENCE, WAIT_S, Tally

SLACK_S = 2.0
"""What is younger may not be visible yet, and is counted at the next look."""


# There from the start, so that the first of each kind is seen as an increase.
_ENDS = [(state.value, route.value) for state in JobState if state.is_final for route in TaskType]


@dataclass(slots=True, kw_only=True)
class Endings:
    """`jobs` by (state, route), `degraded` by route, `tokens` by (model, `prompt` or `answer`), `attempts` and
    `retried` by model, `failures` by (model, code)."""

    jobs: Counter[tuple[str, str]] = field(default_factory=lambda: Counter(dict.fromkeys(_ENDS, 0)))
    degraded: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(map(str, TaskType), 0)))
    tokens: Counter[tuple[str, str]] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    retried: Counter[str] = field(default_factory=Counter)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    confidence: Mapping[str, Tally] = field(default_factory=lambda: defaultdict(lambda: Tally(CONFIDENCE)))
    job_wait_s: Mapping[str, Tally] = field(default_factory=lambda: defaultdict(lambda: Tally(WAIT_S)))
    queue_wait_s: Mapping[str, Tally] = field(default_factory=lambda: defaultdict(lambda: Tally(WAIT_S)))


class EndingsCounter:
    """Used by one thread at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._since: datetime | None = None
        self._endings = Endings()

    def look(self) -> Endings:
        """What has ended since the first look; that one finds nothing. Raises DatabaseUnavailable."""
        (row,) = self._database.fetch("SELECT now() - make_interval(secs => %(s)s) AS until", {"s": SLACK_S})
        if self._since is not None:
            self._count(self._since, row["until"])
        self._since = row["until"]
        return self._endings

    def _count(self, since: datetime, until: datetime) -> None:
        window = {"since": since, "until": until, "confidence": list(CONFIDENCE), "wait": list(WAIT_S)}
        jobs, completions = self._database.fetch(_JOBS, window), self._database.fetch(_COMPLETIONS, window)
        for row in jobs:
            self._add_jobs(row)
        for row in completions:
            self._add_completions(row)

    def _add_jobs(self, row: Row) -> None:
        endings, route, count = self._endings, row["route"], row["n"]
        endings.jobs[row["state"], route] += count
        endings.degraded[route] += count if row["degraded"] else 0
        endings.confidence[route].add(row["confidence"], count=count, total=row["confidences"])
        if row["wait"] is not None:
            endings.job_wait_s[route].add(row["wait"], count=count, total=row["waits"])

    def _add_completions(self, row: Row) -> None:
        endings, model, count = self._endings, row["model"], row["n"]
        endings.tokens[model, "prompt"] += row["prompt_tokens"]
        endings.tokens[model, "answer"] += row["answer_tokens"]
        endings.attempts[model] += row["attempts"]
        endings.retried[model] += row["retried"]
        if row["code"] is not None:
            endings.failures[model, row["code"]] += count
        if row["wait"] is not None:
            endings.queue_wait_s[model].add(row["wait"], count=count, total=row["waits"])


# width_bucket numbers buckets from 0, as Tally does, but counts a value on an edge to the one above: hence TINY.
_TINY = 1e-9
_JOB_WAIT = "extract(epoch FROM started_at - created_at)::float8"
_QUEUE_WAIT = """(CASE WHEN c.started_at >= c.queued_at
    THEN extract(epoch FROM c.started_at - c.queued_at) END)::float8"""

_JOBS = f"""
SELECT state, task_type AS route, coalesce((answer ->> 'degraded')::boolean, FALSE) AS degraded,
    width_bucket((route ->> 'confidence')::float8 - {_TINY}, %(confidence)s::float8[]) AS confidence,
    width_bucket({_JOB_WAIT} - {_TINY}, %(wait)s::float8[]) AS wait,
    count(*) AS n, coalesce(sum((route ->> 'confidence')::float8), 0) AS confidences,
    coalesce(sum({_JOB_WAIT}), 0) AS waits
FROM job WHERE finished_at > %(since)s AND finished_at <= %(until)s
GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608  the inserted parts are constants

_COMPLETIONS = f"""
SELECT model, outcome ->> 'code' AS code,
    width_bucket({_QUEUE_WAIT} - {_TINY}, %(wait)s::float8[]) AS wait,
    count(*) AS n, sum(attempt)::bigint AS attempts, count(*) FILTER (WHERE attempt > 1) AS retried,
    coalesce(sum({_QUEUE_WAIT}), 0) AS waits,
    coalesce(sum((outcome ->> 'prompt_tokens')::bigint), 0)::bigint AS prompt_tokens,
    coalesce(sum((outcome ->> 'completion_tokens')::bigint), 0)::bigint AS answer_tokens
FROM completion AS c JOIN job ON job.id = c.job_id
WHERE job.finished_at > %(since)s AND job.finished_at <= %(until)s
GROUP BY 1, 2, 3
"""  # noqa: S608  the inserted parts are constants
