"""Asking an engine one thing."""

from __future__ import annotations

from typing import Any

from core.messages import ChatMessage, Completion, Failure, Sampling
from core.work import Delta, Work
from tasks.ports import Engine


def work(
    prompt: str = "Solve 2x^2 + 5x - 3 = 0",
    deadline: float | None = None,
    version: str | None = None,
    **sampling: Any,
) -> Work:
    message = ChatMessage(role="user", content=prompt)
    return Work(messages=(message,), sampling=Sampling(**sampling), deadline=deadline, version=version)


def run(engine: Engine, asked: Work) -> tuple[list[str], Completion | Failure]:
    *deltas, outcome = engine.generate(asked)
    assert not isinstance(outcome, Delta)
    assert all(isinstance(delta, Delta) for delta in deltas)
    return [delta.text for delta in deltas if isinstance(delta, Delta)], outcome


def complete(engine: Engine, asked: Work) -> Completion:
    pieces, outcome = run(engine, asked)
    assert isinstance(outcome, Completion)
    assert "".join(pieces) == outcome.text
    return outcome


def failure(engine: Engine, asked: Work) -> Failure:
    pieces, outcome = run(engine, asked)
    assert isinstance(outcome, Failure)
    assert "".join(pieces) == outcome.text
    return outcome
