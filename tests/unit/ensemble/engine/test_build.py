"""Laws of building an engine from settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import CheckpointError, ConfigurationError
from core.messages import ChatMessage, Completion, ModelName, Sampling
from core.settings import Settings
from core.work import Work
from ensemble.engine.build import build_engine
from ensemble.models import CONFIG_FILE

CopyOf = Callable[[ModelName], Path]


def settings(data_dir: Path, **variables: Any) -> Settings:
    return Settings(**{"MATHCODE_DATA_DIR": data_dir, "MATHCODE_PROFILE": "tiny", **variables})


@pytest.mark.parametrize("model", list(ModelName))
def test_an_empty_data_directory_is_enough_for_the_tiny_profile(tmp_path: Path, model: ModelName) -> None:
    engine = build_engine(model, settings(tmp_path))
    *_, outcome = engine.generate(
        Work(messages=(ChatMessage(role="user", content="x"),), sampling=Sampling(max_tokens=2))
    )
    engine.close()
    assert isinstance(outcome, Completion)
    assert outcome.version == f"{model}-tiny-random"
    assert (tmp_path / "models" / "tiny" / model / CONFIG_FILE).is_file()


def test_the_checkpoints_own_context_limit_is_kept(tmp_path: Path, copy_of: CopyOf) -> None:
    directory = copy_of(ModelName.MATHSTRAL)
    path = directory / CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "max_position_embeddings": 77}))
    engine = build_engine(ModelName.MATHSTRAL, settings(tmp_path, MATHCODE_MATHSTRAL=str(directory)))
    engine.close()
    assert (engine.context_tokens, engine.version) == (77, directory.name)


def test_a_missing_directory_is_named_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="absent"):
        build_engine(ModelName.CODESTRAL, settings(tmp_path, MATHCODE_CODESTRAL=str(tmp_path / "absent")))


def test_four_bits_on_the_cpu_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nf4"):
        build_engine(ModelName.MATHSTRAL, settings(tmp_path, MATHCODE_WEIGHTS="nf4"))
    assert list(tmp_path.iterdir()) == []
