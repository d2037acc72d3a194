"""Control commands a worker obeys at once, besides Celery's own. None may block: the consumer runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from celery.worker.control import control_command

from tasks.doorbell import CANCEL
from tasks.host import current_host, has_host
from tasks.ports import Engine
from worker.adoption import Adoption
from worker.operations import Operations, Reply

_bound: list[tuple[Operations, Adoption | None]] = []


def bind_operations(operations: Operations, adoption: Adoption | None = None) -> None:
    """Make these the ones that this process's commands begin; `adoption` where it follows the registry."""
    _bound[:] = [(operations, adoption)]


def _current() -> tuple[Operations, Adoption | None]:
    """Those of this process; the training worker, which hears the commands too, has no engine."""
    return _bound[0] if _bound else (Operations(None), None)


def _operations() -> Operations:
    return _current()[0]


@control_command(name=CANCEL, args=[("job_id", str)], signature="[job_id]")
def cancel_job(state: Any, job_id: str) -> dict[str, int]:
    """Stop this process's completions of one job."""
    return {"stopped": current_host().running.cancel(job_id) if has_host() else 0}


@control_command(args=[("model", str)], signature="[model]")
def sleep_engine(state: Any, model: str | None = None) -> Reply:
    """Give the accelerator's memory back; requests wait until wake_engine. Without a model: every engine."""
    return _operations().begin("sleep_engine", model=model, operate=lambda engine: engine.sleep(), needs_card=True)


@control_command(args=[("model", str)], signature="[model]")
def wake_engine(state: Any, model: str | None = None) -> Reply:
    """Take the memory again and serve what waits. Without a model: every engine."""
    return _operations().begin("wake_engine", model=model, operate=lambda engine: engine.wake(), needs_card=True)


@control_command(
    args=[("model", str), ("version", str), ("directory", str)], signature="<model> [version directory]"
)
def swap_adapter(state: Any, model: str, version: str | None = None, directory: str | None = None) -> Reply:
    """Serve a LoRA adapter; with the model alone, the base model. What the registry says waits until `follow`."""
    if (version is None) != (directory is None):
        return {"error": "swap_adapter takes a model, a version and a directory, or the model alone"}
    path = Path(directory) if directory is not None else None
    operations, adoption = _current()

    def swap(engine: Engine) -> None:
        if adoption is None:
            engine.swap_adapter(version, path)
        else:
            adoption.pin(engine, version, path)

    return operations.begin("swap_adapter", model=model, operate=swap)


@control_command(args=[("model", str)], signature="<model>")
def follow_versions(state: Any, model: str) -> Reply:
    """Serve the version that the registry says again, after swap_adapter."""
    operations, adoption = _current()
    if adoption is None:
        return operations.begin("follow_versions", model=model, operate=lambda _: None)
    return operations.begin("follow_versions", model=model, operate=lambda _: adoption.follow())
