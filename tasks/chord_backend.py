"""Celery's Redis result backend, reduced to what a chord needs: counting its headers.

Stock Celery subscribes the *publishing* process to the result of every chord header and never unsubscribes; and if
Redis is away at that moment it declares the application broken for good. Nobody here waits for a Celery result, so
nothing subscribes.
"""

from __future__ import annotations

from typing import Any

from celery.backends.redis import RedisBackend


class ChordBackend(RedisBackend):  # type: ignore[misc]
    """Used as `result_backend = "tasks.chord_backend:ChordBackend+redis://..."`."""

    def on_task_call(self, producer: Any, task_id: str) -> dict[str, Any]:
        return {}

    def add_pending_result(self, result: Any, weak: bool = False, start_drainer: bool = True) -> Any:
        return result
