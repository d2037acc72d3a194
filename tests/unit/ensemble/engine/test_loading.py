"""Laws of loading: all the weights, the right class, the asked device, or an error that says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.errors import CheckpointError, ConfigurationError, KernelsMissing
from core.messages import ModelName
from core.options import Device, Weights
from ensemble.engine.checkpoint import WEIGHTS_FILE
from ensemble.engine.kernels import is_compiled, require_mamba2_kernels
from ensemble.engine.loading import load_network, require_device, require_transformers
from ensemble.models import CONFIG_FILE

CopyOf = Callable[[ModelName], Path]
TOKENS = torch.tensor([[1, 3, 2507, 2880, 4]])


def logits(model: ModelName, directory: Path) -> Tensor:
    network = load_network(model, directory, device=Device.CPU, weights=Weights.FP32)
    assert not network.training
    with torch.inference_mode():
        output: Tensor = network(input_ids=TOKENS).logits
    return output


def rename_weights(directory: Path, rename: Callable[[str], str]) -> None:
    path = directory / WEIGHTS_FILE
    save_file({rename(name): tensor for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"})


def rewrite_config(directory: Path, **changes: object) -> None:
    path = directory / CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("model", list(ModelName))
@pytest.mark.parametrize(("weights", "dtype"), [(Weights.FP32, torch.float32), (Weights.BF16, torch.bfloat16)])
def test_weights_are_held_as_asked(
    tiny_models: Path, model: ModelName, weights: Weights, dtype: torch.dtype
) -> None:
    network = load_network(model, tiny_models / model, device=Device.CPU, weights=weights)
    assert (
        type(network).__name__ == json.loads((tiny_models / model / CONFIG_FILE).read_text())["architectures"][0]
    )
    assert network.get_output_embeddings().weight.dtype is dtype


@pytest.mark.parametrize("embedding", ["embedding.", "embeddings."])
@pytest.mark.parametrize("prefix", ["model.", "backbone.", "model.backbone.", ""])
def test_mamba2_weights_are_found_under_every_name_in_use(
    tiny_models: Path, copy_of: CopyOf, prefix: str, embedding: str
) -> None:
    directory = copy_of(ModelName.CODESTRAL)
    rename_weights(directory, lambda name: name.replace("backbone.", prefix).replace("embeddings.", embedding))
    assert torch.equal(
        logits(ModelName.CODESTRAL, directory), logits(ModelName.CODESTRAL, tiny_models / ModelName.CODESTRAL)
    )


@pytest.mark.parametrize("model", list(ModelName))
def test_a_missing_weight_is_an_error_and_not_a_random_number(copy_of: CopyOf, model: ModelName) -> None:
    directory = copy_of(model)
    rename_weights(
        directory, lambda name: name.replace("layers.1.norm.", "layers.1.other.").replace("q_proj", "z")
    )
    with pytest.raises(CheckpointError, match="missing weights"):
        logits(model, directory)


def test_an_unknown_weight_is_an_error(copy_of: CopyOf) -> None:
    directory = copy_of(ModelName.MATHSTRAL)
    rewrite_config(directory, num_hidden_layers=1)
    with pytest.raises(CheckpointError, match="unexpected weights"):
        logits(ModelName.MATHSTRAL, directory)


def test_weights_of_another_shape_are_an_error(copy_of: CopyOf) -> None:
    directory = copy_of(ModelName.MATHSTRAL)
    rewrite_config(directory, intermediate_size=96)
    with pytest.raises(CheckpointError, match=str(directory)):
        logits(ModelName.MATHSTRAL, directory)


@pytest.mark.parametrize("change", [{"hidden_size": "wide"}, {"num_heads": 7}])
def test_an_impossible_config_is_named(copy_of: CopyOf, change: dict[str, object]) -> None:
    directory = copy_of(ModelName.CODESTRAL)
    rewrite_config(directory, **change)
    with pytest.raises(CheckpointError, match=CONFIG_FILE):
        logits(ModelName.CODESTRAL, directory)


def test_four_bits_on_the_cpu_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="MATHCODE_WEIGHTS"):
        require_device(ModelName.MATHSTRAL, Device.CPU, Weights.NF4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_without_a_device_is_refused_and_never_replaced_by_the_cpu() -> None:
    with pytest.raises(ConfigurationError, match="MATHCODE_DEVICE=cpu"):
        require_device(ModelName.MATHSTRAL, Device.CUDA, Weights.BF16)


@pytest.mark.parametrize("version", ["5.22.9", "5.23.0rc1", "4.57.0"])
def test_an_old_transformers_is_refused(version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"install 5\.23\.0"):
        require_transformers(version)
    require_transformers("5.23.0")
    require_transformers("6.0.0")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without the compiled kernels")
def test_missing_mamba2_kernels_are_named_with_the_cure() -> None:
    with pytest.raises(KernelsMissing, match=r'pip install --no-build-isolation "\.\[gpu\]"') as caught:
        require_mamba2_kernels()
    assert "mamba2_selective_state_update" in caught.value.message
    assert "causal_conv1d_update" in caught.value.message


def test_a_kernel_counts_only_if_it_comes_from_its_package() -> None:
    def dispatching(implementation: object) -> Callable[[], object]:
        return lambda: implementation

    assert is_compiled(dispatching(json.dumps), "json")
    assert not is_compiled(dispatching(dispatching), "json")
    assert not is_compiled(None, "json")
