"""Laws of the whole runner on a GPU: greedy text, adapters in graphs, memory given back. They need CUDA."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from transformers import Mamba2Config, Mamba2ForCausalLM, MistralConfig, MistralForCausalLM

from core.messages import Sampling
from ensemble.engine.adapter import Adapter, LowRank
from ensemble.engine.batch_runner import BatchRunner
from ensemble.engine.mamba2_network import Mamba2Network, adaptable
from ensemble.engine.mistral_network import MistralNetwork
from ensemble.engine.module_source import ModuleSource
from ensemble.engine.sleepable_runner import SleepableRunner

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

SLOTS, TOKENS = 8, 40
NEAR = 0.03
"""Logits nearer to each other than this share of the largest are a near-tie, which bf16 may decide either way."""
PROMPTS = [[1, *range(10, 10 + length)] for length in (3, 50, 200, 333)]
Build = Callable[[Any], Any]


def mistral() -> tuple[Any, Build]:
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=4096,
        hidden_size=1024,
        intermediate_size=2048,
        num_hidden_layers=3,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=128,
        sliding_window=None,
        max_position_embeddings=1024,
        initializer_range=0.05,
    )
    return MistralForCausalLM(config), partial(MistralNetwork, slots=SLOTS, pages=SLOTS * 8, context_tokens=512)


def mamba2() -> tuple[Any, Build]:
    torch.manual_seed(0)
    config = Mamba2Config(
        vocab_size=4096, hidden_size=1024, num_heads=32, n_groups=4, num_hidden_layers=3, initializer_range=0.05
    )
    return Mamba2ForCausalLM(config), partial(Mamba2Network, slots=SLOTS)


def on_gpu(make: Callable[[], tuple[Any, Build]]) -> tuple[Any, Build]:
    module, build = make()
    return module.to(device="cuda", dtype=torch.bfloat16).eval(), build


def quantize(module: nn.Module) -> None:
    """Put every linear map but the head into NF4, as the loader does."""
    bitsandbytes: Any = pytest.importorskip("bitsandbytes")
    for name, child in list(module.named_children()):
        if type(child) is nn.Linear and name != "lm_head":
            options = {"quant_type": "nf4", "compress_statistics": False}
            small = bitsandbytes.nn.Linear4bit(
                child.in_features, child.out_features, bias=False, compute_dtype=torch.bfloat16, **options
            )
            data = child.weight.data.cpu()
            small.weight = bitsandbytes.nn.Params4bit(data, requires_grad=False, module=small, **options).cuda()
            setattr(module, name, small)
        else:
            quantize(child)


def write(runner: Any, places: list[int | None]) -> list[list[int]]:
    """Greedy tokens of the prompts, together; the n-th is answered from the n-th of `places`."""
    rows = [
        runner.admit(prompt, Sampling(), max_tokens=TOKENS, place=place)
        for prompt, place in zip(PROMPTS, places, strict=True)
    ]
    written: list[list[int]] = [[] for _ in rows]
    while any(len(tokens) < TOKENS for tokens in written):
        for tokens, token in zip(written, runner.step(rows), strict=True):
            if isinstance(token, int):
                tokens.append(token)
    for row in rows:
        runner.release(row)
    return written


@torch.inference_mode()
def assert_greedy(module: Any, prompt: list[int], text: list[int]) -> None:
    """Every token is the best one of `module` after those before it, or in a near-tie with it."""
    logits = module(torch.tensor([prompt + text], device="cuda")).logits[0, len(prompt) - 1 : -1].float()
    chosen = logits[torch.arange(len(text)), torch.tensor(text, device="cuda")]
    assert ((logits.max(-1).values - chosen) <= NEAR * logits.abs().max()).all()


@pytest.mark.parametrize("make", [mistral, mamba2])
def test_greedy_text_is_that_of_transformers_up_to_near_ties(make: Callable[[], tuple[Any, Build]]) -> None:
    module, build = on_gpu(make)
    runner = BatchRunner(build(copy.deepcopy(module)), prefill_tokens=256)
    runner.warm_up()
    texts = write(runner, [None] * len(PROMPTS))
    for prompt, text in zip(PROMPTS, texts, strict=True):
        assert_greedy(module, prompt, text)
    assert len({tuple(text) for text in texts}) == len(texts)


@pytest.mark.parametrize("weights", ["bf16", "nf4"])
@pytest.mark.parametrize("make", [mistral, mamba2])
def test_sleep_gives_the_memory_back_and_texts_stay_the_same(
    make: Callable[[], tuple[Any, Build]], weights: str
) -> None:
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    module, build = on_gpu(make)
    if weights == "nf4":
        quantize(module)
    runner = SleepableRunner(ModuleSource(module, build), prefill_tokens=256)
    awake = torch.cuda.memory_allocated() - before
    texts = write(runner, [None] * len(PROMPTS))
    for _ in range(2):
        runner.sleep()
        assert torch.cuda.memory_allocated() - before < 0.02 * awake + (64 << 20)  # what libraries keep
        assert all(not parameter.is_cuda for parameter in module.parameters())
        runner.wake(set())
        assert write(runner, [None] * len(PROMPTS)) == texts


@pytest.mark.parametrize("weights", ["bf16", "nf4"])
def test_swapping_adapters_changes_what_graphs_compute(weights: str) -> None:
    module, build = on_gpu(mamba2)
    linears = {name: (linear.out_features, linear.in_features) for name, linear in adaptable(module).items()}
    adapters = [random_adapter(linears, seed) for seed in (1, 2, 3)]
    expected = [merged(module, adapter) for adapter in adapters]
    plain = copy.deepcopy(module)
    if weights == "nf4":
        quantize(module)
    runner = BatchRunner(build(module), prefill_tokens=256)
    runner.warm_up()
    for place, adapter in enumerate(adapters[:2]):
        runner.network.adopt(place, adapter)
    first = write(runner, [0, 1, None, 0])
    graphs = runner.network._step_graphs  # type: ignore[attr-defined]
    runner.network.adopt(0, adapters[2])
    assert runner.network._step_graphs is graphs  # type: ignore[attr-defined]
    second = write(runner, [0, 1, None, 0])
    assert second[1:3] == first[1:3]
    assert second[0] != first[0]
    if weights == "bf16":
        cases = [(expected[0], first, 0), (expected[1], first, 1), (plain, first, 2), (expected[2], second, 3)]
        for reference, texts, row in cases:
            assert_greedy(reference, PROMPTS[row], texts[row])


def random_adapter(shapes: dict[str, tuple[int, int]], seed: int, rank: int = 16) -> Adapter:
    generator = torch.Generator().manual_seed(seed)
    products = {
        name: LowRank(
            0.05 * torch.randn(rank, inputs, generator=generator),
            0.05 * torch.randn(outputs, rank, generator=generator),
        )
        for name, (outputs, inputs) in shapes.items()
    }
    return Adapter(rank, products)


def merged(module: Any, adapter: Adapter) -> Any:
    changed = copy.deepcopy(module)
    linears = adaptable(changed)
    with torch.no_grad():
        for name, product in adapter.products.items():
            weight = linears[name].weight
            weight += (product.up @ product.down).to(weight)
    return changed
