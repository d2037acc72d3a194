"""The engine of a worker, by its queue and profile; torch is imported only here, and only where it is needed."""

from __future__ import annotations

from core.messages import ModelName
from core.options import Profile
from core.settings import Settings
from tasks.ports import Engine
from tasks.queues import QueueName


def load_engine(queue: QueueName, settings: Settings) -> Engine | None:
    if queue.model is None:
        return None
    if settings.profile is Profile.SCRIPTED:
        from ensemble.engine.scripted import ScriptedEngine

        return ScriptedEngine(
            model=queue.model,
            seconds_per_step=settings.scripted_delay_s,
            slots=settings.slots,
            default_max_tokens=settings.default_max_tokens,
        )
    from ensemble.engine.build import build_engine

    return build_engine(queue.model, settings)


def base_hash_of(model: ModelName, settings: Settings) -> str | None:
    """Raises CheckpointError."""
    if settings.profile is Profile.SCRIPTED:
        return None
    from ensemble.base_hash import base_hash
    from ensemble.engine.locate import checkpoint_directory
    from ensemble.models import describe_model

    return base_hash(checkpoint_directory(describe_model(model, settings), settings))
