"""A card that serving and training share, lent by a lease in the ledger that outlives whoever holds it.

While there is a lease, live or run out, whoever gave the card's memory back leaves it alone. A lease that has run
out is removed by a worker, and only then do workers take the memory again; until that moment its training may
renew it. So the two sides never both believe that the card is theirs. All times are the database's.
"""

from __future__ import annotations

from collections.abc import Collection

from core.database import Database


class CardStore:
    """Training asks, renews and releases; workers look, cede, and remove what has run out.

    `card` names a card of one host. All raise DatabaseUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def request(self, card: str, run_id: int, *, lease_s: float) -> bool:
        """Ask for the card; False while another run's lease is live."""
        parameters = {"card": card, "run_id": run_id, "lease_s": lease_s}
        return bool(self._database.fetch(_REQUEST, parameters))

    def renew(self, card: str, run_id: int, *, lease_s: float) -> bool:
        """Keep the card; False once it was taken back, and then it must not be used any more."""
        parameters = {"card": card, "run_id": run_id, "lease_s": lease_s}
        return bool(self._database.fetch(_RENEW, parameters))

    def has_ceded(self, card: str, workers: Collection[str]) -> bool:
        """Whether all these workers have given the card's memory back."""
        rows = self._database.fetch("SELECT worker FROM card_ceded WHERE card = %(card)s", {"card": card})
        return {row["worker"] for row in rows}.issuperset(workers)

    def release(self, card: str, run_id: int) -> None:
        """Give the card back; what belongs to another run stays."""
        self._database.execute(_RELEASE, {"card": card, "run_id": run_id})

    def wanted(self, card: str) -> int | None:
        """The run that wants or has the card. None: the card is free, and a lease that had run out is gone."""
        rows = self._database.fetch(_WANTED, {"card": card})
        return int(rows[0]["run_id"]) if rows else None

    def cede(self, card: str, worker: str) -> bool:
        """Say that `worker` uses nothing of the card; False where nobody wants it any more."""
        return bool(self._database.fetch(_CEDE, {"card": card, "worker": worker}))


_REQUEST = """
INSERT INTO card_lease AS held (card, run_id, lease_until)
VALUES (%(card)s, %(run_id)s, now() + make_interval(secs => %(lease_s)s))
ON CONFLICT (card) DO UPDATE
SET run_id = excluded.run_id, lease_until = excluded.lease_until, requested_at = now()
WHERE held.run_id = excluded.run_id OR held.lease_until < now()
RETURNING run_id
"""

_RENEW = """
UPDATE card_lease SET lease_until = now() + make_interval(secs => %(lease_s)s)
WHERE card = %(card)s AND run_id = %(run_id)s RETURNING run_id
"""

_RELEASE = "DELETE FROM card_lease WHERE card = %(card)s AND run_id = %(run_id)s"

# A lease that was renewed while this waited for its row is not removed, and so it is still there.
_WANTED = """
WITH removed AS (DELETE FROM card_lease WHERE card = %(card)s AND lease_until < now() RETURNING card)
SELECT run_id FROM card_lease WHERE card = %(card)s AND NOT EXISTS (SELECT FROM removed)
"""

_CEDE = """
INSERT INTO card_ceded (card, worker)
SELECT card, %(worker)s FROM card_lease WHERE card = %(card)s FOR KEY SHARE
ON CONFLICT (card, worker) DO UPDATE SET worker = excluded.worker
RETURNING worker
"""
