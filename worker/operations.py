"""Long operations on this process's engine, asked for from outside: one at a time, each on a thread of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Lock, Thread

from core.errors import MathcodeError
from core.messages import ModelName
from tasks.ports import Engine

CLOSE_TIMEOUT_S = 10.0

logger = logging.getLogger(__name__)

Reply = dict[str, object]


class Operations:
    """Begins at most one operation at a time; what fails is logged, and the engine goes on as it was."""

    def __init__(self, engine: Engine | None) -> None:
        self._engine = engine
        self._lock = Lock()
        self._current: str | None = None
        self._thread: Thread | None = None
        self._is_lent = False

    def begin(
        self, name: str, *, model: str | None, operate: Callable[[Engine], None], needs_card: bool = False
    ) -> Reply:
        """Answer at once what was begun, in the manner of Celery's own commands: `ok` or `error`.

        `model` None means whichever this process serves; a process that is not meant says that it began nothing.
        What `needs_card` is refused while the card is lent.
        """
        engine = self._engine
        if model is not None and model not in set(ModelName):
            return {"error": f"there is no model {model!r}: give one of {', '.join(ModelName)}"}
        if engine is None or model not in (None, engine.model):
            return {"ok": {"model": engine.model.value if engine else None, "begun": None}}
        with self._lock:
            if needs_card and self._is_lent:
                return {"error": f"{engine.model}: its card is lent to a training, which gives it back by itself"}
            if self._current is not None:
                return {"error": f"{engine.model}: {self._current} is still running, ask again when it has ended"}
            thread = Thread(target=self._run, args=(name, operate, engine), name=name, daemon=True)
            thread.start()
            self._current, self._thread = name, thread
        return {"ok": {"model": engine.model.value, "begun": name}}

    def attempt(self, name: str, operate: Callable[[Engine], None]) -> bool:
        """Run this in the caller's thread; False where another operation runs. What it raises is the caller's."""
        if self._engine is None:
            return False
        with self._lock:
            if self._current is not None:
                return False
            self._current = name
        try:
            operate(self._engine)
        finally:
            with self._lock:
                self._current = None
        return True

    def lend(self) -> None:
        """From now on the card's memory is not the operator's to give or to take."""
        self._is_lent = True

    def take_back(self) -> None:
        self._is_lent = False

    def close(self) -> None:
        """Let a running operation end, for a while; the engine must be closed before."""
        if self._thread is not None:
            self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self, name: str, operate: Callable[[Engine], None], engine: Engine) -> None:
        logger.info("%s begins", name)
        began = time.monotonic()
        try:
            operate(engine)
        except MathcodeError as error:
            logger.error("%s failed after %.1f s, the engine goes on: %s", name, time.monotonic() - began, error)
        except Exception:  # a thread of its own: nobody else would say why it ended
            logger.exception("%s failed after %.1f s, the engine goes on", name, time.monotonic() - began)
        else:
            logger.info("%s is done after %.1f s", name, time.monotonic() - began)
        finally:
            with self._lock:
                self._current = None
