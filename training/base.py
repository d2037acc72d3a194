"""Refuses to train on another base than the one a run was planned for."""

from __future__ import annotations

from pathlib import Path

from core.errors import BaseChanged
from ensemble.base_hash import base_hash


def require_same_base(directory: Path, expected: str) -> None:
    """Refuse a base that changed since the run was planned. Raises BaseChanged, CheckpointError."""
    if (found := base_hash(directory)) != expected:
        raise BaseChanged(
            f"the base model in {directory} is not the one this run was planned for (hash {found[:12]}, "
            f"planned {expected[:12]}): restore it, or start a new run"
        )
