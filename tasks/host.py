"""What the process that runs tasks has built for them; bound once, by its composition root."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import ConfigurationError
from tasks.batches import Batches
from tasks.closing import Closer
from tasks.execution import Executor
from tasks.janitor import Janitor
from tasks.ports import Trainer
from tasks.reconciliation import Reconciler
from tasks.running import Running
from tasks.watching import Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """`executor` is None in a process without a model, `batches` in one with a model."""

    running: Running
    closer: Closer
    reconciler: Reconciler
    watcher: Watcher
    janitor: Janitor
    executor: Executor | None = None
    batches: Batches | None = None


_bound: list[Host] = []


def bind_host(host: Host) -> None:
    """Make `host` the one that this process's tasks use."""
    _bound[:] = [host]


def has_host() -> bool:
    """Whether this process answers jobs; the training worker does not."""
    return bool(_bound)


def current_host() -> Host:
    if not _bound:
        raise ConfigurationError("tasks run only in a process started as `celery -A tasks.celery_app worker`")
    return _bound[0]


def current_executor() -> Executor:
    executor = current_host().executor
    if executor is None:
        raise ConfigurationError("this worker serves no model: start one with -Q mathstral or -Q codestral")
    return executor


def current_batches() -> Batches:
    batches = current_host().batches
    if batches is None:
        raise ConfigurationError("this worker advances no batches: start one with -Q light")
    return batches


def current_watcher() -> Watcher:
    return current_host().watcher


_trainers: list[Trainer] = []


def bind_trainer(trainer: Trainer) -> None:
    """Make `trainer` the one that this process's task uses."""
    _trainers[:] = [trainer]


def current_trainer() -> Trainer:
    if not _trainers:
        raise ConfigurationError("this worker trains nothing: start one with -Q training")
    return _trainers[0]
