"""Delivers webhooks from the outbox, on threads of its own: no answer, merge or repair waits for a receiver."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from random import Random
from threading import BoundedSemaphore, Event, Thread

from core.errors import DatabaseUnavailable, InvalidRequest
from core.webhook_events import event_body, event_id, pause_s, signed_headers
from core.webhook_secrets import SecretStore
from core.webhook_urls import Network, parse_target
from core.webhooks import Delivery, WebhookStore
from worker.webhook_request import Forbidden, Undelivered, post

LOOK_EVERY_S = 0.5
THREADS = 16
PER_HOST = 2
"""Tries of one receiver at the same time, so that one that hangs takes few of the threads."""
CLOSE_TIMEOUT_S = 5.0
GONE = 410

logger = logging.getLogger(__name__)


class Courier:
    """Looks into the outbox every LOOK_EVERY_S seconds; several processes share the work."""

    def __init__(self, store: WebhookStore, secrets: SecretStore, *, allowed: Sequence[Network]) -> None:
        self._store = store
        self._secrets = secrets
        self._allowed = allowed
        self._random = Random()  # noqa: S311 -- spreads tries, guards nothing
        self._stopped = Event()
        self._free = BoundedSemaphore(THREADS)
        self._thread = Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more; what is under way may end or is repeated after its lease."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                taken = self._take()
            except DatabaseUnavailable as error:
                logger.warning("webhooks wait: %s", error)
                taken = 0
            except Exception:  # the next look is still needed
                logger.exception("looking into the outbox failed")
                taken = 0
            if not taken:
                self._stopped.wait(LOOK_EVERY_S)

    def _take(self) -> int:
        """Begin with what is due and has a thread; how many."""
        seats = 0
        while seats < THREADS and self._free.acquire(blocking=False):
            seats += 1
        claimed: list[Delivery] = []
        try:
            claimed = self._store.claim(limit=seats, per_host=PER_HOST) if seats else []
            for delivery in claimed:
                Thread(target=self._deliver, args=(delivery,), name="webhook", daemon=True).start()
        finally:
            for _ in range(seats - len(claimed)):
                self._free.release()
        return len(claimed)

    def _deliver(self, delivery: Delivery) -> None:
        try:
            self._try(delivery)
        except DatabaseUnavailable as error:
            logger.warning("webhook %s is repeated after its lease: %s", delivery.id, error)
        except Exception:
            logger.exception("webhook %s failed unexpectedly", delivery.id)
        finally:
            self._free.release()

    def _try(self, delivery: Delivery) -> None:
        try:
            status = self._send(delivery)
        except (Forbidden, InvalidRequest) as error:
            self._store.not_delivered(delivery, str(error), again_in_s=None)
            return
        except Undelivered as error:
            self._put_off(delivery, str(error))
            return
        if 200 <= status < 300:
            self._store.delivered(delivery)
        elif status == GONE:
            self._store.not_delivered(delivery, "the receiver answered 410", again_in_s=None)
        else:
            self._put_off(delivery, f"the receiver answered {status}")

    def _send(self, delivery: Delivery) -> int:
        body = event_body(delivery)
        headers = signed_headers(
            event_id(delivery), body, timestamp=int(time.time()), secrets=self._secrets.signing()
        )
        return post(parse_target(delivery.url), body=body, headers=headers, allowed=self._allowed)

    def _put_off(self, delivery: Delivery, error: str) -> None:
        logger.info("webhook %s, try %d: %s", delivery.id, delivery.tries, error)
        self._store.not_delivered(delivery, error, again_in_s=pause_s(delivery.tries, self._random))
