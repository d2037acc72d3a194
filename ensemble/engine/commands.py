"""What other threads ask of the loop's thread, done between two steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from core.errors import MathcodeError

Action = Callable[[], None]


class Commands:
    """In order. The caller of `ask` sees to it that the loop looks here."""

    def __init__(self) -> None:
        self._asked: deque[tuple[Action, Future[None]]] = deque()

    def __len__(self) -> int:
        return len(self._asked)

    def ask(self, action: Action) -> Future[None]:
        """Its result comes when `action` has run; a `MathcodeError` it raises is the caller's."""
        done: Future[None] = Future()
        self._asked.append((action, done))
        return done

    def obey(self) -> None:
        """Run what was asked for. Any other error ends the loop, and then `refuse` ends what is left."""
        while self._asked:
            action, done = self._asked[0]
            try:
                action()
            except MathcodeError as error:
                done.set_exception(error)
            else:
                done.set_result(None)
            self._asked.popleft()

    def refuse(self, error: MathcodeError) -> None:
        while self._asked:
            self._asked.popleft()[1].set_exception(error)
