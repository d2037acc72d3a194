"""Where the checkpoint of a model lies. A model library is loaded only to make or fetch one that is not there."""

from __future__ import annotations

from pathlib import Path

from core.errors import ConfigurationError
from core.settings import Settings
from ensemble.models import ModelSpec


def checkpoint_directory(spec: ModelSpec, settings: Settings) -> Path:
    """The local directory of the checkpoint, made, unpacked or downloaded first where needed.

    Raises:
        ConfigurationError: the profile has no checkpoint, or the hub does not give it.
    """
    if spec.hub_id is not None:
        from ensemble.engine.hub import download_checkpoint

        return download_checkpoint(spec.hub_id, settings)
    if spec.directory is None:
        raise ConfigurationError("profile scripted has no model to load: set MATHCODE_PROFILE to mini or full")
    if spec.directory.exists():
        return spec.directory
    if spec.packed is not None:
        from ensemble.packed import unpack

        unpack(spec.packed, spec.directory)
    if spec.is_tiny:
        from ensemble.engine.tiny import ensure_tiny_checkpoint

        ensure_tiny_checkpoint(spec.model, spec.directory)
    return spec.directory
