"""Giving the card's memory to a training that wants it, and taking it again afterwards.

The worker stops taking messages, so that jobs stay in the queue for whoever serves; lets answers finish for a
while and hands back the rest; puts its engine to sleep; and says so in the ledger. It looks every time: whatever
message or process is lost on the way, the lease alone decides.
"""

from __future__ import annotations

import logging
import time
from threading import Event

from core.card import CardStore
from core.errors import DatabaseUnavailable, EngineUnavailable
from core.roster import WorkerState
from tasks.ports import Engine
from tasks.running import Running
from worker.consumption import Consumption
from worker.operations import Operations
from worker.presence import Presence

ALARM = "card"

logger = logging.getLogger(__name__)


class Ceding:
    """One engine beside one card. An engine that an operator had put to sleep sleeps on afterwards."""

    def __init__(
        self,
        *,
        cards: CardStore,
        card: str,
        engine: Engine,
        operations: Operations,
        running: Running,
        consumption: Consumption,
        presence: Presence,
        drain_s: float,
    ) -> None:
        self._cards = cards
        self._card = card
        self._engine = engine
        self._operations = operations
        self._running = running
        self._consumption = consumption
        self._presence = presence
        self._drain_s = drain_s
        self._drained_at = 0.0
        self._is_lent = False
        self._was_asleep = False

    def step(self) -> None:
        """Compare the lease with what this process does. Raises DatabaseUnavailable."""
        run_id = self._cards.wanted(self._card)
        if run_id is not None:
            if not self._is_lent:
                self._begin(run_id)
            self._give()
        elif self._is_lent:
            self._take_back()
        self._consumption.settle()

    def _begin(self, run_id: int) -> None:
        logger.info("training run %d wants the card: answers may finish for %.0f s", run_id, self._drain_s)
        self._is_lent = True
        self._was_asleep = self._engine.metrics().is_asleep
        self._drained_at = time.monotonic() + self._drain_s
        self._presence.state = WorkerState.CEDING
        self._operations.lend()
        self._running.close()
        self._consumption.stop()

    def _give(self) -> None:
        if self._running.claims():
            if time.monotonic() < self._drained_at:
                return
            self._running.hand_back()
        if self._presence.state is WorkerState.CEDING:
            if not self._operations.attempt("sleep_engine", lambda engine: engine.sleep()):
                return
            self._presence.state = WorkerState.CEDED
            logger.info("the card's memory is given back")
        self._cards.cede(self._card, self._presence.name)

    def _take_back(self) -> None:
        try:
            if not self._was_asleep and not self._operations.attempt("wake_engine", lambda engine: engine.wake()):
                return
        except EngineUnavailable as error:
            self._presence.alarms[ALARM] = f"the card is free, but {self._presence.name} cannot wake: {error}"
            raise
        self._presence.alarms.pop(ALARM, None)
        self._presence.state = WorkerState.SERVING
        self._is_lent = False
        self._operations.take_back()
        self._running.open()
        self._consumption.resume()
        logger.info("the card is free: serving again")


def await_card(cards: CardStore, card: str, presence: Presence, *, interval_s: float) -> None:
    """Return when nobody wants the card; until then this process says that it uses nothing of it."""
    while _is_wanted(cards, card, presence):
        if presence.state is not WorkerState.CEDED:
            presence.state = WorkerState.CEDED
            logger.info("the card is lent to a training: the model is loaded when it is free")
        Event().wait(interval_s)
    presence.state = WorkerState.LOADING


def _is_wanted(cards: CardStore, card: str, presence: Presence) -> bool:
    try:
        return cards.wanted(card) is not None and cards.cede(card, presence.name)
    except DatabaseUnavailable as error:
        logger.warning("whether the card is free is asked again: %s", error)
        return True
