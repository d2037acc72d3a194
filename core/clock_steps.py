"""What the ledger needs after the clock of its server went back, by a corrected clock or a restored machine.

Every moment in the ledger is one of PostgreSQL's clock. A step forward only makes leases run out early. After a
step back what was written before lies in the future: a dead worker's lease would hold for as long as the step was.
"""

from __future__ import annotations

import logging

from core.database import Database
from core.webhook_events import FIRST_PAUSE_S, LONGEST_PAUSE_S
from core.webhooks import LEASE_S as DELIVERY_LEASE_S

logger = logging.getLogger(__name__)

SLACK_S = 5.0
"""A moment this far ahead of now was not written by the clock that now is."""


class ClockSteps:
    """`lease_s` and `card_lease_s` are the longest leases that anybody here grants."""

    def __init__(self, database: Database, *, lease_s: float, card_lease_s: float) -> None:
        self._database = database
        self._parameters = {
            "slack_s": SLACK_S,
            "lease_s": lease_s,
            "card_lease_s": card_lease_s,
            "delivery_lease_s": DELIVERY_LEASE_S,
            "first_pause_s": FIRST_PAUSE_S,
            "longest_pause_s": LONGEST_PAUSE_S,
        }

    def settle(self) -> int:
        """Bring moments that no clock but a later one can have written back to now; how many rows had one.

        A lease becomes one of the usual length, which its worker renews if it lives. One statement, safe at any
        time. Raises DatabaseUnavailable.
        """
        moments = len(self._database.fetch(_SETTLE, self._parameters))
        if moments:
            logger.warning("PostgreSQL's clock went back: %d moments of the ledger were ahead of it", moments)
        return moments


_LEASES = "lease_until > now() + make_interval(secs => %(lease_s)s + %(slack_s)s)"
_RENEWED = "now() + make_interval(secs => %(lease_s)s)"
_AHEAD = "now() + make_interval(secs => %(slack_s)s)"

# The queued ones by the index of each lane of the queue, the rest are few.
_SETTLE = f"""
WITH leased AS (
    UPDATE completion SET lease_until = {_RENEWED} WHERE state = 'running' AND {_LEASES} RETURNING 1
), queued AS (
    UPDATE completion SET queued_at = now()
    WHERE state = 'queued' AND queued_at > {_AHEAD}
      AND model IN ('mathstral', 'codestral') AND priority IN ('high', 'normal', 'low') RETURNING 1
), batches AS (
    UPDATE batch SET lease_until = {_RENEWED}
    WHERE state IN ('validating', 'in_progress', 'finalizing', 'cancelling') AND {_LEASES} RETURNING 1
), runs AS (
    UPDATE training_run SET lease_until = {_RENEWED} WHERE state = 'running' AND {_LEASES} RETURNING 1
), waiting AS (
    UPDATE training_run SET created_at = now() WHERE state = 'queued' AND created_at > {_AHEAD} RETURNING 1
), cards AS (
    UPDATE card_lease SET lease_until = now() + make_interval(secs => %(card_lease_s)s)
    WHERE lease_until > now() + make_interval(secs => %(card_lease_s)s + %(slack_s)s) RETURNING 1
), buckets AS (
    UPDATE key_bucket SET refilled_at = now() WHERE refilled_at > {_AHEAD} RETURNING 1
), deliveries AS (
    UPDATE webhook_delivery SET next_try_at = now(), leased_until = NULL
    WHERE state = 'pending'
      AND next_try_at > now() + make_interval(secs => %(slack_s)s + greatest(
          CASE WHEN leased_until IS NULL THEN 0 ELSE %(delivery_lease_s)s END,
          least(%(longest_pause_s)s, %(first_pause_s)s * 2.0 ^ least(tries, 20)))) RETURNING 1
)
SELECT 1 FROM leased UNION ALL SELECT 1 FROM queued UNION ALL SELECT 1 FROM batches UNION ALL SELECT 1 FROM runs
UNION ALL SELECT 1 FROM waiting UNION ALL SELECT 1 FROM cards UNION ALL SELECT 1 FROM buckets
UNION ALL SELECT 1 FROM deliveries
"""  # noqa: S608
