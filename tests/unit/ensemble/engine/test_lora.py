"""Laws of adapters in service: each text is that of its own weights, whatever lies beside them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

from core.errors import AdapterError
from core.messages import ModelName, Sampling
from core.options import Device, Weights
from ensemble.engine.adapter import Adapter, read_adapter
from ensemble.engine.batch_runner import BatchRunner, Row
from ensemble.engine.loading import load_network
from ensemble.engine.mamba2_network import Mamba2Network, adaptable
from ensemble.engine.mistral_network import MistralNetwork
from ensemble.engine.module_source import ModuleSource
from ensemble.engine.network import Chunk
from tests.adapters import SHAPES, write_adapter

PROMPT = [1, 3, 2507, 2880, 4, *range(300, 370)]
TOKENS = 16


@pytest.fixture(scope="module")
def module(tiny_models: Path) -> PreTrainedModel:
    directory = tiny_models / ModelName.CODESTRAL
    return load_network(ModelName.CODESTRAL, directory, device=Device.CPU, weights=Weights.FP32)


@pytest.fixture
def runner(module: PreTrainedModel) -> BatchRunner:
    return BatchRunner(Mamba2Network(module, slots=4, state_dtype=torch.float32), prefill_tokens=64)


def adapter_of(folder: Path, seed: int, rank: int = 4) -> Adapter:
    return read_adapter(write_adapter(folder / f"{seed}-{rank}", seed=seed, rank=rank), SHAPES)


def merged(module: PreTrainedModel, adapter: Adapter) -> PreTrainedModel:
    """A copy whose weights hold the adapter's products."""
    changed = copy.deepcopy(module)
    linears = adaptable(changed)
    with torch.no_grad():
        for name, product in adapter.products.items():
            linears[name].weight += product.up @ product.down
    return changed


def generated(module: PreTrainedModel) -> list[int]:
    tokens = torch.tensor([PROMPT])
    out = module.generate(  # type: ignore[operator]
        tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=TOKENS, do_sample=False, eos_token_id=None
    )
    return list(out[0, len(PROMPT) :].tolist())


def write(runner: BatchRunner, places: list[int | None]) -> list[list[int]]:
    """The tokens of one prompt answered from each of `places`, together."""
    rows: list[Row] = []
    for place in places:
        row = runner.admit(PROMPT, Sampling(), max_tokens=TOKENS, place=place)
        assert row is not None
        rows.append(row)
    written: list[list[int]] = [[] for _ in rows]
    while any(len(tokens) < TOKENS for tokens in written):
        for tokens, token in zip(written, runner.step(rows), strict=True):
            if isinstance(token, int):
                tokens.append(token)
    for row in rows:
        runner.release(row)
    return written


def test_an_adapted_text_is_that_of_weights_with_the_product_added(
    module: PreTrainedModel, runner: BatchRunner, tmp_path: Path
) -> None:
    adapter = adapter_of(tmp_path, 1)
    runner.network.adopt(0, adapter)
    (adapted,) = write(runner, [0])
    assert adapted == generated(merged(module, adapter)) != generated(module)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft 0.21 asks it
def test_a_text_is_that_of_the_adapter_as_peft_applies_it(
    module: PreTrainedModel, runner: BatchRunner, tmp_path: Path
) -> None:
    # peft refuses out_proj of Mamba2 (0.21), so this adapter leaves it alone.
    torch.manual_seed(3)
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=["in_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    tuned = get_peft_model(copy.deepcopy(module), config)  # type: ignore[arg-type]
    tuned.save_pretrained(str(tmp_path))
    runner.network.adopt(1, read_adapter(tmp_path, SHAPES))
    (adapted,) = write(runner, [1])
    assert adapted == generated(tuned.eval()) != generated(module)  # type: ignore[arg-type]


def test_versions_beside_each_other_do_not_mix(
    module: PreTrainedModel, runner: BatchRunner, tmp_path: Path
) -> None:
    adapters = [adapter_of(tmp_path, seed) for seed in (1, 2)]
    for place, adapter in enumerate(adapters):
        runner.network.adopt(place, adapter)
    expected = [generated(each) for each in (merged(module, adapters[0]), merged(module, adapters[1]), module)]
    assert write(runner, [0, 1, None, 0]) == [*expected, expected[0]]


def test_an_adapter_leaves_nothing_behind_in_its_place(
    module: PreTrainedModel, runner: BatchRunner, tmp_path: Path
) -> None:
    runner.network.adopt(0, adapter_of(tmp_path, 1, rank=8))
    smaller = adapter_of(tmp_path, 2, rank=2)
    runner.network.adopt(0, smaller)
    assert write(runner, [0]) == [generated(merged(module, smaller))]


def test_a_larger_rank_makes_room_and_keeps_what_was_there(
    module: PreTrainedModel, runner: BatchRunner, tmp_path: Path
) -> None:
    small, large = adapter_of(tmp_path, 1, rank=2), adapter_of(tmp_path, 2, rank=8)
    runner.network.adopt(0, small)
    runner.network.adopt(1, large)
    assert write(runner, [0, 1]) == [generated(merged(module, each)) for each in (small, large)]


def test_an_adapter_without_room_leaves_the_others_in_service(
    module: PreTrainedModel, runner: BatchRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = adapter_of(tmp_path, 1, rank=2), adapter_of(tmp_path, 2, rank=64)
    runner.network.adopt(0, small)

    def lacking(_: Mamba2Network) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(Mamba2Network, "warm_up", lacking)
        for _ in range(2):
            with pytest.raises(torch.OutOfMemoryError):
                runner.network.adopt(1, large)
    assert write(runner, [0, None]) == [generated(merged(module, small)), generated(module)]
    runner.network.adopt(1, large)
    assert write(runner, [0, 1]) == [generated(merged(module, each)) for each in (small, large)]


def test_a_row_without_an_adapter_gets_the_models_own_logits_exactly(
    module: PreTrainedModel, tmp_path: Path
) -> None:
    plain, adapted = (Mamba2Network(module, slots=4, state_dtype=torch.float32) for _ in range(2))
    adapted.adopt(0, adapter_of(tmp_path, 1))
    logits = []
    with torch.inference_mode():
        for network in (plain, adapted):
            network.open(2, 40)
            network.prefill([Chunk(2, 0, PROMPT)])
            logits.append(network.decode(torch.tensor([2]), torch.tensor([7]), torch.tensor([len(PROMPT)])))
    assert torch.equal(*logits)


def test_a_frozen_model_takes_no_adapter(tiny_models: Path, tmp_path: Path) -> None:
    directory = tiny_models / ModelName.MATHSTRAL
    frozen = load_network(ModelName.MATHSTRAL, directory, device=Device.CPU, weights=Weights.FP32)
    source = ModuleSource(frozen, lambda it: MistralNetwork(it, slots=1, pages=4, context_tokens=64))
    with pytest.raises(AdapterError, match="frozen"):
        source.load_adapter(write_adapter(tmp_path))


def test_the_shapes_here_are_those_of_the_tiny_model(module: PreTrainedModel) -> None:
    linears: Mapping[str, torch.nn.Linear] = adaptable(module)
    assert {name: tuple(linear.weight.shape) for name, linear in linears.items()} == SHAPES
