"""Laws of refusing a model directory that is not whole: the error names the file to blame."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import CheckpointError
from core.messages import ModelName
from ensemble.engine.checkpoint import INDEX_FILE, WEIGHTS_FILE, validate_checkpoint
from ensemble.models import CONFIG_FILE

CopyOf = Callable[[ModelName], Path]


def blamed(model: ModelName, directory: Path) -> Path:
    with pytest.raises(CheckpointError) as caught:
        validate_checkpoint(model, directory)
    assert str(caught.value.path) in caught.value.message
    return caught.value.path


def rewrite_config(directory: Path, **changes: object) -> None:
    path = directory / CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("model", list(ModelName))
def test_a_whole_checkpoint_passes(tiny_models: Path, model: ModelName) -> None:
    validate_checkpoint(model, tiny_models / model)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    assert blamed(ModelName.MATHSTRAL, tmp_path / "absent") == tmp_path / "absent"


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named(copy_of: CopyOf, name: str) -> None:
    directory = copy_of(ModelName.CODESTRAL)
    (directory / name).unlink()
    assert blamed(ModelName.CODESTRAL, directory) == directory / name


@pytest.mark.parametrize("text", ["{", "[]", "\x80"])
def test_a_config_that_is_no_json_object_is_named(copy_of: CopyOf, text: str) -> None:
    directory = copy_of(ModelName.MATHSTRAL)
    (directory / CONFIG_FILE).write_text(text, encoding="latin-1")
    assert blamed(ModelName.MATHSTRAL, directory) == directory / CONFIG_FILE


def test_a_checkpoint_of_the_other_architecture_is_refused(tiny_models: Path) -> None:
    directory = tiny_models / ModelName.MATHSTRAL
    assert blamed(ModelName.CODESTRAL, directory) == directory / CONFIG_FILE


@pytest.mark.parametrize("architectures", [[], ["LlamaForCausalLM"], "MistralForCausalLM", [None]])
def test_any_other_architecture_is_refused(copy_of: CopyOf, architectures: object) -> None:
    directory = copy_of(ModelName.MATHSTRAL)
    rewrite_config(directory, architectures=architectures, model_type="llama")
    assert blamed(ModelName.MATHSTRAL, directory) == directory / CONFIG_FILE


def test_a_sliding_window_is_refused(copy_of: CopyOf) -> None:
    directory = copy_of(ModelName.MATHSTRAL)
    rewrite_config(directory, sliding_window=4096)
    assert blamed(ModelName.MATHSTRAL, directory) == directory / CONFIG_FILE


@pytest.mark.parametrize("kept", [0, 4, 8, 100, 10_000, -1])
def test_torn_weights_are_named(copy_of: CopyOf, kept: int) -> None:
    directory = copy_of(ModelName.MATHSTRAL)
    shard = directory / WEIGHTS_FILE
    shard.write_bytes(shard.read_bytes()[:kept])
    assert blamed(ModelName.MATHSTRAL, directory) == shard


def test_a_page_of_html_instead_of_weights_is_named(copy_of: CopyOf) -> None:
    directory = copy_of(ModelName.MATHSTRAL)
    (directory / WEIGHTS_FILE).write_text("<html>Please log in</html>" * 50)
    assert blamed(ModelName.MATHSTRAL, directory) == directory / WEIGHTS_FILE


def test_a_shard_that_the_index_lists_and_nobody_downloaded_is_named(copy_of: CopyOf) -> None:
    directory = copy_of(ModelName.MATHSTRAL)
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    (directory / WEIGHTS_FILE).rename(directory / first)
    index = {"weight_map": {"model.norm.weight": first, "lm_head.weight": second}}
    (directory / INDEX_FILE).write_text(json.dumps(index))
    assert blamed(ModelName.MATHSTRAL, directory) == directory / second


def test_an_index_without_weights_is_named(copy_of: CopyOf) -> None:
    directory = copy_of(ModelName.MATHSTRAL)
    (directory / INDEX_FILE).write_text("{}")
    assert blamed(ModelName.MATHSTRAL, directory) == directory / INDEX_FILE


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "pytorch_model.bin", "deeper/model.safetensors"]
)
def test_an_index_that_leads_elsewhere_or_to_pickled_weights_is_named(copy_of: CopyOf, name: str) -> None:
    directory = copy_of(ModelName.MATHSTRAL)
    (directory / INDEX_FILE).write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))
    assert blamed(ModelName.MATHSTRAL, directory) == directory / INDEX_FILE
