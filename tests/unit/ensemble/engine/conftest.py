"""A whole tiny checkpoint of each model, and copies of it to damage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.messages import ModelName
from ensemble.engine.tiny import ensure_tiny_checkpoint

CopyOf = Callable[[ModelName], Path]


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the tiny pair, read only by agreement."""
    folder = tmp_path_factory.mktemp("tiny")
    for model in ModelName:
        ensure_tiny_checkpoint(model, folder / model)
    return folder


@pytest.fixture
def copy_of(tiny_models: Path, tmp_path: Path) -> CopyOf:
    def copy(model: ModelName) -> Path:
        return Path(shutil.copytree(tiny_models / model, tmp_path / model))

    return copy
