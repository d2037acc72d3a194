"""Laws of the kernels of Mamba2: they compute what their torch twins compute. They need CUDA."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Mamba2Config, Mamba2ForCausalLM, PreTrainedModel

from ensemble.engine.mamba2_memory import WINDOW
from ensemble.engine.mamba2_network import Mamba2Network
from ensemble.engine.mamba2_torch import TorchKernels
from ensemble.engine.network import Chunk

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

SLOTS = 8
LENGTHS = {5: 1, 0: 64, 3: 300, 2: 77}  # slot to tokens of its prompt
CLOSE = 0.05  # relative; of bf16 weights and activations over two layers against fp32


def small_module() -> PreTrainedModel:
    config = Mamba2Config(vocab_size=4096, hidden_size=512, num_heads=16, num_hidden_layers=2, n_groups=4)
    torch.manual_seed(0)
    module: Any = Mamba2ForCausalLM(config).to(device="cuda", dtype=torch.bfloat16)
    return module.eval()  # type: ignore[no-any-return]


def in_torch(module: PreTrainedModel) -> Mamba2Network:
    """The reference: torch's operations in fp32, no graphs."""
    reference = Mamba2Network(copy.deepcopy(module).float(), slots=SLOTS, state_dtype=torch.float32)
    reference._kernels = TorchKernels()
    reference._step_graphs = reference._prompt_graphs = None
    return reference


def prompts() -> list[Chunk]:
    generator = torch.Generator().manual_seed(1)
    return [
        Chunk(slot, 0, torch.randint(3, 4000, (length,), generator=generator).tolist())
        for slot, length in LENGTHS.items()
    ]


def relative(actual: Tensor, expected: Tensor) -> float:
    return float((actual.float() - expected).norm() / expected.norm())


@pytest.fixture(scope="module", params=[torch.bfloat16, torch.float32], ids=str)
def pair(request: pytest.FixtureRequest) -> tuple[Mamba2Network, Mamba2Network]:
    module = small_module()
    return Mamba2Network(module, slots=SLOTS, state_dtype=request.param), in_torch(module)


@torch.inference_mode()
@pytest.mark.parametrize("most", [1, 2, 4])
def test_they_agree_over_prompts_and_steps(pair: tuple[Mamba2Network, Mamba2Network], most: int) -> None:
    network, reference = pair
    chunks = prompts()[-most:]  # the shorter ones fit into a graph
    expected = reference.prefill(chunks)
    assert relative(network.prefill(chunks), expected) < CLOSE
    slots = torch.tensor([chunk.slot for chunk in chunks], device="cuda")
    positions = torch.tensor([len(chunk.tokens) for chunk in chunks], device="cuda")
    for _ in range(2 * WINDOW + 1):
        tokens = expected.argmax(-1)
        expected = reference.decode(slots, tokens, positions)
        assert relative(network.decode(slots, tokens, positions), expected) < CLOSE
        positions = positions + 1


@torch.inference_mode()
def test_spare_rows_and_capturing_touch_no_slot(pair: tuple[Mamba2Network, Mamba2Network]) -> None:
    network, _ = pair
    network.prefill(prompts())
    before = [tensor[:SLOTS].clone() for memory in network._memories for tensor in (memory.state, memory.taps)]
    network.warm_up()
    dead = torch.full((3,), -1, device="cuda")
    network.decode(dead, dead.clamp(min=0), dead.clamp(min=0))
    after = [tensor[:SLOTS] for memory in network._memories for tensor in (memory.state, memory.taps)]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
