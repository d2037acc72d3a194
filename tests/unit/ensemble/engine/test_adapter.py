"""Laws of reading adapters: a good one is taken as peft means it, every other one is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import AdapterError
from ensemble.engine.adapter import CONFIG_FILE, WEIGHTS_FILE, read_adapter
from tests.adapters import SHAPES, random_tensors, write_adapter

IN_PROJ = "backbone.layers.0.mixer.in_proj"


def refusal(directory: Path) -> str:
    with pytest.raises(AdapterError) as caught:
        read_adapter(directory, SHAPES)
    return str(caught.value)


def test_the_scale_is_alpha_over_rank(tmp_path: Path) -> None:
    adapter = read_adapter(write_adapter(tmp_path, rank=4, config={"lora_alpha": 12}), SHAPES)
    kept = random_tensors(4, 1)
    assert adapter.rank == 4
    assert set(adapter.products) == set(SHAPES)
    assert torch.equal(adapter.products[IN_PROJ].down, kept[f"base_model.model.{IN_PROJ}.lora_A.weight"])
    assert torch.equal(adapter.products[IN_PROJ].up, 3 * kept[f"base_model.model.{IN_PROJ}.lora_B.weight"])


def test_rank_stabilised_adapters_scale_by_the_root_of_their_rank(tmp_path: Path) -> None:
    plain = read_adapter(write_adapter(tmp_path / "a", rank=4), SHAPES)
    stabilised = read_adapter(write_adapter(tmp_path / "b", rank=4, config={"use_rslora": True}), SHAPES)
    assert torch.allclose(stabilised.products[IN_PROJ].up, 2 * plain.products[IN_PROJ].up)


def test_an_adapter_may_leave_maps_alone(tmp_path: Path) -> None:
    tensors = {name: tensor for name, tensor in random_tensors(4, 1).items() if "out_proj" not in name}
    assert all(
        "in_proj" in name for name in read_adapter(write_adapter(tmp_path, tensors=tensors), SHAPES).products
    )


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"peft_type": "IA3"}, "peft_type"),
        ({"r": None}, "r and lora_alpha"),
        ({"r": 0}, "rank 0"),
        ({"lora_alpha": float("nan")}, "lora_alpha"),
        ({"lora_alpha": float("inf")}, "lora_alpha"),
        ({"lora_alpha": True}, "lora_alpha"),
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"in_proj": 8}}, "rank_pattern"),
        ({"r": 8}, "rank 8"),
    ],
)
def test_what_a_low_rank_product_cannot_express_is_refused(
    tmp_path: Path, config: dict[str, Any], named: str
) -> None:
    assert named in refusal(write_adapter(tmp_path, config=config))


@pytest.mark.parametrize(
    ("name", "tensor", "named"),
    [
        ("base_model.model.lm_head.lora_A.weight", torch.ones(4, 64), "half of lm_head"),
        (f"base_model.model.{IN_PROJ}.weight", torch.ones(4, 64), "no half"),
        (f"base_model.model.{IN_PROJ}.lora_A.weight", torch.ones(4, 65), "another model"),
        (f"base_model.model.{IN_PROJ}.lora_A.weight", torch.full((4, 64), torch.nan), "no numbers"),
        (f"base_model.model.{IN_PROJ}.lora_A.weight", torch.ones(4, 64, dtype=torch.int32), "no half"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, name: str, tensor: torch.Tensor, named: str) -> None:
    assert named in refusal(write_adapter(tmp_path, tensors={**random_tensors(4, 1), name: tensor}))


def test_maps_of_another_model_are_refused(tmp_path: Path) -> None:
    tensors = {name.replace("layers.1", "layers.7"): tensor for name, tensor in random_tensors(4, 1).items()}
    assert "layers.7" in refusal(write_adapter(tmp_path, tensors=tensors))


def test_damaged_files_are_named(tmp_path: Path) -> None:
    assert "is missing" in refusal(tmp_path)
    directory = write_adapter(tmp_path)
    weights, config = directory / WEIGHTS_FILE, directory / CONFIG_FILE
    weights.write_bytes(weights.read_bytes()[:-100])
    assert f"{weights}: is torn" in refusal(directory)
    weights.unlink()
    assert f"{weights}: is missing" in refusal(directory)
    config.write_text("{", encoding="utf-8")
    assert f"{config}: cannot be read" in refusal(directory)


def test_an_adapter_without_weights_is_refused(tmp_path: Path) -> None:
    assert "nothing" in refusal(write_adapter(tmp_path, tensors={}))


def test_pickled_weights_are_no_adapter(tmp_path: Path) -> None:
    """As older tools write them; reading them would run what they say."""
    directory = write_adapter(tmp_path)
    (directory / WEIGHTS_FILE).rename(directory / "adapter_model.bin")
    assert WEIGHTS_FILE in refusal(directory)
    torch.save(random_tensors(4, 1), directory / WEIGHTS_FILE)
    assert "safetensors" in refusal(directory)
