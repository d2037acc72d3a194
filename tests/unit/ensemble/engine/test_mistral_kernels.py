"""Laws of the kernels of Mistral: each computes what its torch form computes. They need CUDA."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import MistralConfig, MistralForCausalLM, PreTrainedModel

from ensemble.engine.dense import Norm, add_projected, project, project_gated, swiglu
from ensemble.engine.mistral_network import MistralNetwork
from ensemble.engine.network import Chunk
from ensemble.engine.paged_attention import PagedAttention, TorchAttention
from ensemble.engine.paged_cache import CacheShape, PagedCache
from ensemble.engine.prompts import Prompts
from ensemble.engine.rotary import Rotary

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

BF16 = torch.bfloat16
CONTEXT_TOKENS = 2048
SLOTS = 64
WIDTH = 2048


def relative(actual: Tensor, expected: Tensor) -> float:
    return float((actual.float() - expected.float()).norm() / expected.float().norm())


def random(*shape: int, scale: float = 1.0) -> Tensor:
    return torch.randn(shape, device="cuda", dtype=BF16) * scale


def small_module() -> PreTrainedModel:
    config = MistralConfig(
        vocab_size=4096,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=16,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT_TOKENS,
        sliding_window=None,
    )
    torch.manual_seed(0)
    module: Any = MistralForCausalLM(config).to(device="cuda", dtype=BF16)
    return module.eval()  # type: ignore[no-any-return]


def attentions(module: PreTrainedModel) -> tuple[tuple[PagedCache, PagedAttention], ...]:
    """Torch's and Triton's, each on a cache of its own with the same content: NaN where nothing may be read."""
    from ensemble.engine.triton_attention import TritonAttention, suits

    rotary = Rotary(module, context_tokens=CONTEXT_TOKENS)
    kinds = []
    for kind in (TorchAttention, TritonAttention):
        shape = CacheShape.of(module.config, page_tokens=16)
        cache = PagedCache(
            shape, slots=SLOTS, pages=2000, context_tokens=CONTEXT_TOKENS, dtype=BF16, device=module.device
        )
        assert suits(cache, heads=16)
        kinds.append((cache, kind(cache, rotary, heads=16)))
    return tuple(kinds)


def fill(caches: list[PagedCache], slots: list[int], lengths: list[int]) -> None:
    """Give every slot a history of its length; everything else is NaN."""
    for cache in caches:
        for slot, length in zip(slots, lengths, strict=True):
            assert cache.open(slot, length + 300)
        for pool in (*cache.keys, *cache.values):
            pool.fill_(torch.nan)
    for slot, length in zip(slots, lengths, strict=True):
        positions = torch.arange(length, device="cuda")
        keys, values = random(length, 4, 128), random(length, 4, 128)
        for cache in caches:
            places = cache.places(torch.full_like(positions, slot), positions)
            for layer in range(cache.shape.layers):
                cache.write(layer, keys, values, places)


@pytest.mark.parametrize("count", [1, 2, 7, 40])
@torch.inference_mode()
def test_decoding_attends_to_exactly_the_history(count: int) -> None:
    (torch_cache, by_torch), (triton_cache, by_triton) = attentions(small_module())
    slots = torch.randperm(SLOTS)[:count].tolist()
    lengths = [[0, 1, 15, 16, 17, 700, 63][index % 7] for index in range(count)]
    lengths[-1] = 700
    fill([torch_cache, triton_cache], slots, lengths)
    qkv = random(count, 24 * 128)
    where, positions = torch.tensor(slots, device="cuda"), torch.tensor(lengths, device="cuda")
    expected = by_torch.attend_next(1, qkv.clone(), where, positions)
    actual = by_triton.attend_next(1, qkv.clone(), where, positions)
    assert relative(actual, expected) < 1e-2
    places = torch_cache.places(where, positions)
    for written, wanted in zip(triton_cache.read(1, places), torch_cache.read(1, places), strict=True):
        assert relative(written, wanted) < 1e-2


@torch.inference_mode()
def test_a_dead_row_touches_nothing() -> None:
    _, (cache, attention) = attentions(small_module())
    fill([cache], [0, 5], [40, 16])
    before = [pool.clone() for pool in (*cache.keys, *cache.values)]
    dead = torch.full((3,), -1, device="cuda")
    attention.attend_next(0, random(3, 24 * 128), dead, torch.zeros_like(dead))
    for pool, kept in zip((*cache.keys, *cache.values), before, strict=True):
        assert torch.equal(pool.nan_to_num(7.0), kept.nan_to_num(7.0))


@pytest.mark.parametrize("starts", [[0, 0, 0], [0, 33, 160]], ids=["fresh", "continued"])
@torch.inference_mode()
def test_chunks_attend_to_their_own_sequence(starts: list[int]) -> None:
    (torch_cache, by_torch), (triton_cache, by_triton) = attentions(small_module())
    slots = [9, 2, 30]
    fill([torch_cache, triton_cache], slots, starts)
    chunks = [Chunk(slot, start, [1] * (70 + slot)) for slot, start in zip(slots, starts, strict=True)]
    prompts = Prompts.of(chunks, torch.device("cuda"))
    qkv = random(len(prompts.tokens), 24 * 128)
    expected = by_torch.attend_chunks(0, qkv.clone(), prompts)
    assert relative(by_triton.attend_chunks(0, qkv.clone(), prompts), expected) < 1e-2


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
@torch.inference_mode()
def test_projections_are_those_of_torch(count: int) -> None:
    x, weight = random(count, WIDTH), random(512, WIDTH, scale=WIDTH**-0.5)
    norm = Norm(torch.rand(WIDTH, device="cuda", dtype=BF16), 1e-5)
    normed = functional.rms_norm(x.float(), (WIDTH,), norm.weight.float(), norm.eps)
    wide = normed @ weight.float().T
    assert relative(project(x, weight, norm), wide) < 1e-2
    gate, up = wide.chunk(2, dim=-1)
    assert relative(project_gated(x, weight, norm), functional.silu(gate) * up) < 1e-2
    assert relative(swiglu(wide.to(BF16)), functional.silu(gate) * up) < 1e-2
    out = random(count, 512)
    expected = out.float() + x.float() @ weight.float().T
    add_projected(out, x, weight)
    assert relative(out, expected) < 1e-2


@torch.inference_mode()
def test_logits_are_near_those_of_transformers_in_every_size_of_batch() -> None:
    module: Any = small_module()
    tokens = torch.randint(3, 4096, (50, 40), device="cuda")
    expected = module(tokens).logits
    network = MistralNetwork(module, slots=SLOTS, pages=SLOTS * 4, context_tokens=256)
    network.warm_up()
    for count in (1, 2, 3, 4, 11, 50):
        slots = torch.randperm(SLOTS, device="cuda")[:count]
        for slot in slots.tolist():
            assert network.open(slot, 40)
        rows = zip(slots.tolist(), tokens.tolist(), strict=False)
        assert (
            relative(network.prefill([Chunk(slot, 0, row[:30]) for slot, row in rows]), expected[:count, 29])
            < 3e-2
        )
        for position in range(30, 40):
            positions = torch.full((count,), position, device="cuda")
            logits = network.decode(slots, tokens[:count, position], positions)
            assert relative(logits, expected[:count, position]) < 3e-2
        for slot in slots.tolist():
            network.close(slot)
