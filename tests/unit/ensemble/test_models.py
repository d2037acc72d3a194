"""Laws of saying which checkpoint stands behind a model's name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.errors import CheckpointError, ConfigurationError, PromptTooLong
from core.messages import ModelName
from core.settings import Settings
from ensemble.models import TINY_CONTEXT_TOKENS, ModelSpec, describe_model

LIMIT = 32_768


def settings(**variables: Any) -> Settings:
    return Settings(**{"MATHCODE_DATA_DIR": "/data", "MATHCODE_PROFILE": "tiny", **variables})


@pytest.mark.parametrize("model", list(ModelName))
def test_the_tiny_pair_lives_in_the_data_directory_and_says_that_it_is_random(model: ModelName) -> None:
    spec = describe_model(model, settings())
    assert spec.directory == Path("/data/models/tiny") / model
    assert spec.version == f"{model}-tiny-random"
    assert spec.is_tiny


@pytest.mark.parametrize("model", list(ModelName))
def test_the_full_pair_is_that_of_mistral_ai(model: ModelName) -> None:
    spec = describe_model(model, settings(MATHCODE_PROFILE="full"))
    assert (spec.directory, spec.is_tiny) == (None, False)
    assert spec.hub_id == f"mistralai/{spec.version}"
    assert spec.version == {"mathstral": "Mathstral-7B-v0.1", "codestral": "Mamba-Codestral-7B-v0.1"}[model]


def test_the_operators_own_checkpoint_wins_over_the_profile(tmp_path: Path) -> None:
    own = settings(MATHCODE_MATHSTRAL=str(tmp_path), MATHCODE_CODESTRAL="someone/Model-1")
    assert describe_model(ModelName.MATHSTRAL, own).directory == tmp_path
    assert describe_model(ModelName.MATHSTRAL, own).version == tmp_path.name
    assert describe_model(ModelName.CODESTRAL, own).hub_id == "someone/Model-1"
    assert describe_model(ModelName.CODESTRAL, own).version == "Model-1"


def test_a_path_that_is_not_there_yet_is_still_a_path() -> None:
    assert describe_model(ModelName.MATHSTRAL, settings(MATHCODE_MATHSTRAL="./absent/m")).directory is not None


@pytest.mark.parametrize("value", ["mathstral", "a b/c", "-x/y", "owner/"])
def test_what_is_neither_path_nor_hub_id_is_refused_with_its_variable(value: str) -> None:
    with pytest.raises(ConfigurationError, match="MATHCODE_CODESTRAL"):
        describe_model(ModelName.CODESTRAL, settings(MATHCODE_CODESTRAL=value))


def test_the_smaller_context_wins(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 2048}')
    own = settings(MATHCODE_MATHSTRAL=str(tmp_path))
    assert describe_model(ModelName.MATHSTRAL, own).context_tokens == 2048
    small = settings(MATHCODE_MATHSTRAL=str(tmp_path), MATHCODE_CONTEXT_TOKENS=512)
    assert describe_model(ModelName.MATHSTRAL, small).context_tokens == 512
    assert describe_model(ModelName.MATHSTRAL, settings()).context_tokens == TINY_CONTEXT_TOKENS


def test_mamba2_has_no_context_limit_of_its_own() -> None:
    limited = settings(MATHCODE_CONTEXT_TOKENS=100_000)
    assert describe_model(ModelName.CODESTRAL, limited).context_tokens == 100_000
    assert describe_model(ModelName.MATHSTRAL, limited).context_tokens == TINY_CONTEXT_TOKENS


def test_a_broken_config_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        describe_model(ModelName.MATHSTRAL, settings(MATHCODE_MATHSTRAL=str(tmp_path)))


@pytest.mark.parametrize(
    ("prompt_tokens", "requested", "granted"),
    [(10, None, 50), (90, None, 10), (99, None, 1), (10, 90, 90), (10, 1, 1), (10, 60, 60)],
)
def test_an_answer_gets_what_was_asked_or_what_is_left(
    prompt_tokens: int, requested: int | None, granted: int
) -> None:
    spec = ModelSpec(model=ModelName.MATHSTRAL, version="v", context_tokens=100)
    assert spec.answer_tokens(prompt_tokens=prompt_tokens, requested=requested, default=50) == granted


@pytest.mark.parametrize(("prompt_tokens", "requested"), [(100, None), (101, None), (10, 91), (100, 1)])
def test_what_does_not_fit_is_refused_with_both_counts(prompt_tokens: int, requested: int | None) -> None:
    spec = ModelSpec(model=ModelName.MATHSTRAL, version="v", context_tokens=100)
    with pytest.raises(PromptTooLong) as caught:
        spec.answer_tokens(prompt_tokens=prompt_tokens, requested=requested, default=50)
    assert caught.value.prompt_tokens == prompt_tokens
    assert caught.value.max_tokens == (requested or 1)


@pytest.mark.parametrize("module", ["ensemble.models", "ensemble.engine.tokenizer", "ensemble.engine.scripted"])
def test_processes_without_torch_may_use(module: str) -> None:
    probe = f"import sys, {module}; sys.exit(bool({{'torch', 'transformers'}}.intersection(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", probe], check=False, timeout=60).returncode == 0
