"""The outbox of webhooks, on Postgres: what is to be told, to whom, and how often that was tried.

A row is written in the transaction that ends its job (migration 0007 has the trigger) and leaves it as `delivered`
or `failed`. At least once: a try whose process dies is repeated after its lease, under the same id.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.database import Database, Row

LEASE_S = 60.0
"""How long a try may take before it counts as dead; longer than any try is allowed to take."""


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # given up; `mathcode webhooks retry` begins anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one receiver; `tries` counts the one that runs. `error` says why the last one failed."""

    id: str
    event: str
    subject: str
    url: str
    state: DeliveryState
    tries: int
    created_at: datetime
    next_try_at: datetime
    error: str | None


class WebhookStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, *, limit: int, per_host: int) -> list[Delivery]:
        """Take up to `limit` deliveries that are due, for LEASE_S seconds.

        Of one host at most `per_host` are under way at once, everywhere; first tries come before repeated ones.
        """
        parameters = {"limit": limit, "per_host": per_host, "lease_s": LEASE_S}
        return [_delivery(row) for row in self._database.fetch(_CLAIM, parameters)]

    def delivered(self, delivery: Delivery) -> None:
        self._database.execute(_DELIVERED, {"id": delivery.id, "tries": delivery.tries})

    def not_delivered(self, delivery: Delivery, error: str, *, again_in_s: float | None) -> None:
        """Note why; try again then, or give up where that is None or more than a day after the first try."""
        parameters = {"id": delivery.id, "tries": delivery.tries, "error": error[:500], "again_in_s": again_in_s}
        self._database.execute(_NOT_DELIVERED, parameters)

    def latest(self, *, state: DeliveryState | None = None, limit: int = 100) -> list[Delivery]:
        """Newest first."""
        rows = self._database.fetch(_LATEST, {"state": state, "limit": limit})
        return [_delivery(row) for row in rows]

    def retry(self, ids: list[str] | None) -> int:
        """Begin anew with these given-up deliveries, or with all (None); how many there were."""
        return len(self._database.fetch(_RETRY, {"ids": ids}))


def _delivery(row: Row) -> Delivery:
    return Delivery(**{**row, "state": DeliveryState(row["state"])})


_COLUMNS = "id::text, event, subject, url, state, tries, created_at, next_try_at, error"

# Skips from host to host in the index: thousands that wait for one hanging receiver cost no more than two.
_CLAIM = f"""
WITH RECURSIVE found AS (
    (SELECT host FROM webhook_delivery WHERE state = 'pending' ORDER BY host LIMIT 1)
    UNION ALL
    SELECT (SELECT host FROM webhook_delivery WHERE state = 'pending' AND host > found.host ORDER BY host LIMIT 1)
    FROM found WHERE found.host IS NOT NULL
), due AS (
    SELECT candidate.id FROM found CROSS JOIN LATERAL (
        SELECT id, tries, next_try_at FROM webhook_delivery AS d
        WHERE d.state = 'pending' AND d.host = found.host AND d.next_try_at <= now()
        ORDER BY d.next_try_at
        LIMIT greatest(0, %(per_host)s - (
            SELECT count(*) FROM webhook_delivery AS l
            WHERE l.state = 'pending' AND l.host = found.host AND l.leased_until > now()))
    ) AS candidate
    ORDER BY candidate.tries, candidate.next_try_at LIMIT %(limit)s
), free AS (
    SELECT id FROM webhook_delivery
    WHERE id IN (SELECT id FROM due) AND state = 'pending' AND next_try_at <= now()
    FOR UPDATE SKIP LOCKED
)
UPDATE webhook_delivery
SET tries = tries + 1, next_try_at = now() + make_interval(secs => %(lease_s)s),
    leased_until = now() + make_interval(secs => %(lease_s)s)
WHERE id IN (SELECT id FROM free)
RETURNING {_COLUMNS}
"""  # noqa: S608

_DELIVERED = """
UPDATE webhook_delivery SET state = 'delivered', ended_at = now(), leased_until = NULL, error = NULL
WHERE id = %(id)s AND tries = %(tries)s AND state = 'pending'
"""

_NOT_DELIVERED = """
UPDATE webhook_delivery
SET error = %(error)s, leased_until = NULL, next_try_at = coalesce(again.at, now()),
    state = CASE WHEN again.at <= give_up_at THEN 'pending' ELSE 'failed' END,
    ended_at = CASE WHEN again.at <= give_up_at THEN NULL ELSE now() END
FROM (SELECT now() + make_interval(secs => %(again_in_s)s::float) AS at) AS again
WHERE id = %(id)s AND tries = %(tries)s AND state = 'pending'
"""

_LATEST = f"""
SELECT {_COLUMNS} FROM webhook_delivery
WHERE %(state)s::text IS NULL OR state = %(state)s ORDER BY created_at DESC LIMIT %(limit)s
"""  # noqa: S608

_RETRY = """
UPDATE webhook_delivery
SET state = 'pending', ended_at = NULL, next_try_at = now(), give_up_at = now() + interval '1 day'
WHERE state = 'failed' AND (%(ids)s::text[] IS NULL OR id::text = ANY (%(ids)s::text[]))
RETURNING id
"""
