"""How much of its limits each key has used, and how fast the installation serves; on Postgres.

Buckets and counts live in the ledger: what they bound is written there too, so that there is no state in which one
is known and the other is not.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.database import Database
from core.keys import Limits

MEASURED_S = 60.0
MOST_COUNTED = 20_000

_UNBOUNDED = 1e18


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What a bucket holds: requests and tokens that may be asked for now."""

    requests: float
    tokens: float


class LimitStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, key_id: str, limits: Limits, *, tokens: int) -> bool:
        """Take one request and `tokens` from the key's bucket; False, with nothing taken, if it holds too few."""
        return bool(self._database.fetch(_TAKE, {"key_id": key_id, "cost": tokens, **_rates(limits)}))

    def level(self, key_id: str, limits: Limits) -> Level:
        """What the key's bucket holds now."""
        (row,) = self._database.fetch(_LEVEL, {"key_id": key_id, **_rates(limits)})
        return Level(requests=row["requests"], tokens=row["tokens"])

    def used_today(self, key_id: str, *, in_batches: bool = False) -> tuple[int, float]:
        """Tokens that the key's batches, or its other jobs, used since midnight UTC; seconds until the next."""
        (row,) = self._database.fetch(_USED_TODAY, {"key_id": key_id})
        return int(row["in_batches" if in_batches else "used"]), float(row["rest_s"])

    def queued(self, key_id: str | None, *, at_most: int) -> int:
        """How many jobs, of one key or of all, nobody has begun; batches apart, counted up to `at_most`."""
        mine = "AND key_id = %(key_id)s" if key_id is not None else ""
        sql = f"""SELECT count(*) AS queued FROM (
            SELECT 1 FROM job WHERE state = 'queued' AND batch_id IS NULL {mine} LIMIT %(at_most)s) AS open"""  # noqa: S608
        return int(self._database.fetch(sql, {"key_id": key_id, "at_most": at_most})[0]["queued"])

    def ended_per_s(self, key_id: str | None) -> float:
        """Jobs of one key, or of all, that ended in the last minute, per second."""
        mine = "AND key_id = %(key_id)s" if key_id is not None else ""
        sql = f"""SELECT count(*) AS ended FROM (
            SELECT 1 FROM job WHERE finished_at > now() - make_interval(secs => %(measured_s)s) {mine}
            LIMIT %(at_most)s) AS late"""  # noqa: S608
        parameters = {"key_id": key_id, "measured_s": MEASURED_S, "at_most": MOST_COUNTED}
        return float(self._database.fetch(sql, parameters)[0]["ended"]) / MEASURED_S


def _rates(limits: Limits) -> dict[str, float]:
    requests, tokens = limits.requests, limits.tokens
    return {
        "requests_most": requests.amount if requests else _UNBOUNDED,
        "requests_per_s": requests.per_s if requests else 0.0,
        "tokens_most": tokens.amount if tokens else _UNBOUNDED,
        "tokens_per_s": tokens.per_s if tokens else 0.0,
    }


_PASSED = "greatest(0, extract(epoch FROM clock_timestamp() - bucket.refilled_at)::float8)"

# The row is locked before it is judged, so callers at the same time are judged one after the other.
_TAKE = f"""
INSERT INTO key_bucket AS bucket (key_id, requests, tokens, refilled_at)
SELECT %(key_id)s, %(requests_most)s - 1, %(tokens_most)s - %(cost)s, clock_timestamp()
WHERE %(cost)s <= %(tokens_most)s
ON CONFLICT (key_id) DO UPDATE SET
    requests = least(%(requests_most)s, bucket.requests + %(requests_per_s)s * {_PASSED}) - 1,
    tokens = least(%(tokens_most)s, bucket.tokens + %(tokens_per_s)s * {_PASSED}) - %(cost)s,
    refilled_at = clock_timestamp()
WHERE least(%(requests_most)s, bucket.requests + %(requests_per_s)s * {_PASSED}) >= 1
  AND least(%(tokens_most)s, bucket.tokens + %(tokens_per_s)s * {_PASSED}) >= %(cost)s
RETURNING key_id
"""

_LEVEL = f"""
SELECT coalesce(least(%(requests_most)s, bucket.requests + %(requests_per_s)s * {_PASSED}), %(requests_most)s)
           ::float8 AS requests,
       coalesce(least(%(tokens_most)s, bucket.tokens + %(tokens_per_s)s * {_PASSED}), %(tokens_most)s)
           ::float8 AS tokens
FROM (SELECT 1) AS one LEFT JOIN key_bucket AS bucket ON bucket.key_id = %(key_id)s
"""  # noqa: S608

_USED_TODAY = """
SELECT coalesce(sum(tokens), 0) AS used, coalesce(sum(batch_tokens), 0) AS in_batches,
       extract(epoch FROM ((now() AT TIME ZONE 'UTC')::date + 1) - (now() AT TIME ZONE 'UTC'))::float8 AS rest_s
FROM key_usage WHERE key_id = %(key_id)s AND day = (now() AT TIME ZONE 'UTC')::date
"""
