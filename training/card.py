"""Training's side of a card that it shares with serving: ask for it, wait for it, keep it, give it back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from core.card import CardStore
from core.errors import CardBusy, DatabaseUnavailable
from core.roster import Roster

POLL_S = 0.2

logger = logging.getLogger(__name__)


class LentCard:
    """The lease while it is held, renewed by a thread of its own."""

    def __init__(
        self, store: CardStore, *, card: str, run_id: int, lease_s: float, on_lost: Callable[[], None]
    ) -> None:
        self._on_lost = on_lost
        self._store = store
        self._card = card
        self._run_id = run_id
        self._lease_s = lease_s
        self._lost = Event()
        self._stopped = Event()
        self._thread = Thread(target=self._renew, name="card", daemon=True)

    @property
    def is_lost(self) -> bool:
        """The workers took the card back: whatever uses its memory has to end at once."""
        return self._lost.is_set()

    def start(self) -> None:
        """Raises CardBusy, or DatabaseUnavailable."""
        if not self._store.request(self._card, self._run_id, lease_s=self._lease_s):
            raise CardBusy(f"the card {self._card} is lent to another training: try again when that has ended")
        self._thread.start()

    def stop(self) -> None:
        """Give the card back; where the database is away, the lease runs out by itself."""
        self._stopped.set()
        self._thread.join()
        try:
            self._store.release(self._card, self._run_id)
        except DatabaseUnavailable as error:
            logger.warning("the card %s is free when its lease has run out: %s", self._card, error)

    def await_workers(self, roster: Roster, models: Collection[str], *, patience_s: float) -> None:
        """Return when every living worker of these models on this card has ceded it. Raises CardBusy."""
        give_up_at = time.monotonic() + patience_s
        while holders := self._holders(roster, models):
            if self.is_lost or time.monotonic() > give_up_at:
                raise CardBusy(
                    f"{', '.join(holders)} did not give the card {self._card} back within {patience_s:.0f} s: see "
                    "`mathcode status` and the worker's log, and whether it has the same MATHCODE_TRAINING_PAUSES"
                )
            self._stopped.wait(POLL_S)

    def _holders(self, roster: Roster, models: Collection[str]) -> list[str]:
        """Workers that still use the card, or may; all of them where nobody can say."""
        try:
            workers = [w.name for w in roster.alive() if w.queue in models and w.card == self._card]
            return [name for name in workers if not self._store.has_ceded(self._card, [name])]
        except DatabaseUnavailable as error:
            logger.warning("who has given the card back is asked again: %s", error)
            return ["nobody knows who"]

    def _renew(self) -> None:
        while not self._stopped.wait(self._lease_s / 3):
            try:
                if not self._store.renew(self._card, self._run_id, lease_s=self._lease_s):
                    logger.error("the card %s was taken back: its lease had run out", self._card)
                    self._lost.set()
                    self._on_lost()
                    return
            except DatabaseUnavailable as error:
                logger.warning("the lease of the card is renewed later: %s", error)
            except Exception:  # a lease that is not renewed would cost the card in the middle of a training
                logger.exception("the lease of the card %s could not be renewed", self._card)


@contextmanager
def lent_card(
    store: CardStore,
    run_id: int,
    *,
    card: str,
    roster: Roster,
    pauses: Collection[str],
    lease_s: float,
    patience_s: float,
    on_lost: Callable[[], None] = lambda: None,
) -> Iterator[LentCard]:
    """The card without serving, for as long as the block runs; with `pauses` empty it is not shared at all.

    `pauses` are the models whose workers give way. When they take the card back, `on_lost` is called from another
    thread: end then what uses it. May be entered again by the same run, also after a crash. Raises CardBusy, or
    DatabaseUnavailable.
    """
    lent = LentCard(store, card=card, run_id=run_id, lease_s=lease_s, on_lost=on_lost)
    if not pauses:
        yield lent
        return
    lent.start()
    try:
        lent.await_workers(roster, pauses, patience_s=patience_s)
        yield lent
    finally:
        lent.stop()
