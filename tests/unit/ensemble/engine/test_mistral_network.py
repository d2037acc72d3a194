"""Laws of Mistral over slots, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import MistralConfig, MistralForCausalLM, PreTrainedModel

from core.errors import ConfigurationError
from core.messages import ModelName
from core.options import Device, Weights
from ensemble.engine.loading import load_network
from ensemble.engine.mistral_blocks import Block, DenseBlock, ModuleBlock, block_of
from ensemble.engine.mistral_network import MistralNetwork
from ensemble.engine.network import Chunk
from ensemble.engine.paged_cache import CacheShape

SLOTS = 5
PAGE_TOKENS = 4
CONTEXT_TOKENS = 64
NEW_TOKENS = 8


@pytest.fixture(scope="module")
def module(tiny_models: Path) -> PreTrainedModel:
    directory = tiny_models / ModelName.MATHSTRAL
    return load_network(ModelName.MATHSTRAL, directory, device=Device.CPU, weights=Weights.FP32)


@pytest.fixture(scope="module")
def network(module: PreTrainedModel) -> MistralNetwork:
    return make(module)


def make(module: PreTrainedModel, *, pages: int = SLOTS * CONTEXT_TOKENS // PAGE_TOKENS) -> MistralNetwork:
    return MistralNetwork(module, slots=SLOTS, pages=pages, context_tokens=CONTEXT_TOKENS, page_tokens=PAGE_TOKENS)


def prompt_of(seed: int, length: int) -> list[int]:
    tokens = torch.randint(3, 32_000, (length,), generator=torch.Generator().manual_seed(seed))
    return [int(token) for token in tokens]


def generated(module: PreTrainedModel, prompt: Sequence[int], count: int = NEW_TOKENS) -> list[int]:
    """What transformers writes."""
    generate: Any = module.generate
    output = generate(
        torch.tensor([prompt]), max_new_tokens=count, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    return [int(token) for token in output[0, len(prompt) :]]


@dataclass
class Text:
    """A greedy text in a slot, with the cuts of its prompt."""

    slot: int
    prompt: list[int]
    cuts: list[int]
    read: int = 0
    written: list[int] = field(default_factory=list)

    @property
    def chunk(self) -> Chunk:
        end = next((cut for cut in self.cuts if cut > self.read), len(self.prompt))
        return Chunk(self.slot, self.read, self.prompt[self.read : end])

    @property
    def is_reading(self) -> bool:
        return self.read < len(self.prompt)


def read(network: MistralNetwork, texts: Sequence[Text]) -> None:
    chunks = [text.chunk for text in texts]
    for text, chunk, logits in zip(texts, chunks, network.prefill(chunks), strict=True):
        text.read += len(chunk.tokens)
        if not text.is_reading:
            text.written.append(int(logits.argmax()))


def write(network: MistralNetwork, texts: Sequence[Text]) -> None:
    columns = [(text.slot, text.written[-1], len(text.prompt) + len(text.written) - 1) for text in texts]
    slots, tokens, positions = torch.tensor(columns).T
    for text, logits in zip(texts, network.decode(slots, tokens, positions), strict=True):
        text.written.append(int(logits.argmax()))


@torch.inference_mode()
def run(network: MistralNetwork, texts: Sequence[Text], arrivals: Sequence[int], count: int = NEW_TOKENS) -> None:
    """Run all texts to the end, each from its step of arrival on."""
    step = 0
    while any(len(text.written) < count for text in texts):
        for text, arrival in zip(texts, arrivals, strict=True):
            if arrival == step:
                assert network.open(text.slot, len(text.prompt) + count)
        here = [text for text, arrival in zip(texts, arrivals, strict=True) if arrival <= step]
        writing = [text for text in here if not text.is_reading and len(text.written) < count]
        if reading := [text for text in here if text.is_reading]:
            read(network, reading)
        if writing:
            write(network, writing)
        step += 1
    for text in texts:
        network.close(text.slot)


texts_drawn = st.lists(
    st.tuples(
        st.integers(0, 1000),  # seed
        st.integers(1, 30),  # length
        st.lists(st.integers(1, 29), max_size=3).map(sorted),  # cuts
        st.integers(0, 6),  # arrival
    ),
    min_size=1,
    max_size=SLOTS,
)


@settings(max_examples=20, deadline=None)
@given(drawn=texts_drawn, slots=st.permutations(range(SLOTS)))
def test_greedy_text_is_that_of_transformers_whatever_runs_beside_it(
    module: PreTrainedModel, network: MistralNetwork, drawn: list[Any], slots: list[int]
) -> None:
    texts = [
        Text(slot, prompt_of(seed, length), [cut for cut in cuts if cut < length])
        for slot, (seed, length, cuts, _) in zip(slots, drawn, strict=False)
    ]
    run(network, texts, [arrival for *_, arrival in drawn])
    assert [text.written for text in texts] == [generated(module, text.prompt) for text in texts]


def test_a_text_may_fill_its_context(module: PreTrainedModel, network: MistralNetwork) -> None:
    text = Text(3, prompt_of(1, 20), [7])
    run(network, [text], [0], CONTEXT_TOKENS - 20)
    assert text.written == generated(module, text.prompt, CONTEXT_TOKENS - 20)


def test_a_closed_slot_gives_all_its_pages_back(network: MistralNetwork) -> None:
    before, page_bytes = network.memory_used_bytes, network.memory_bytes // (SLOTS * CONTEXT_TOKENS // PAGE_TOKENS)
    assert network.open(0, PAGE_TOKENS + 1)
    assert network.memory_used_bytes == before + 2 * page_bytes
    network.close(0)
    assert network.memory_used_bytes == before


def test_a_sequence_gets_all_its_pages_or_none(module: PreTrainedModel) -> None:
    network = make(module, pages=5)
    assert network.open(0, 4 * PAGE_TOKENS)
    assert not network.open(1, 2 * PAGE_TOKENS)
    assert network.memory_used_bytes == network.memory_bytes * 4 // 5
    assert network.open(1, PAGE_TOKENS)
    network.close(0)
    assert network.open(2, 2 * PAGE_TOKENS)


def test_a_taken_slot_cannot_be_opened(module: PreTrainedModel) -> None:
    network = make(module)
    network.open(1, 1)
    with pytest.raises(ValueError, match="slot 1 is open already"):
        network.open(1, 1)


def test_more_than_a_context_is_refused(network: MistralNetwork) -> None:
    with pytest.raises(ValueError, match="more than a context"):
        network.open(0, CONTEXT_TOKENS + 1)


def test_what_an_earlier_sequence_left_is_never_read(module: PreTrainedModel) -> None:
    network = make(module)
    for pool in (*network._cache.keys, *network._cache.values):
        pool.fill_(torch.nan)
    texts = [Text(0, prompt_of(5, 9), [2]), Text(1, prompt_of(6, 17), [])]
    run(network, texts, [0, 1])
    assert [text.written for text in texts] == [generated(module, text.prompt) for text in texts]


@torch.inference_mode()
def logits_of(network: MistralNetwork, prompt: list[int]) -> Tensor:
    network.open(0, len(prompt))
    logits = network.prefill([Chunk(0, 0, prompt)])
    network.close(0)
    return logits[0]


def test_weights_changed_in_place_change_the_network(tiny_models: Path) -> None:
    directory = tiny_models / ModelName.MATHSTRAL
    module: Any = load_network(ModelName.MATHSTRAL, directory, device=Device.CPU, weights=Weights.FP32)
    network, prompt = make(module), prompt_of(7, 6)
    before = logits_of(network, prompt)
    with torch.no_grad():
        module.model.layers[1].self_attn.k_proj.weight.mul_(1.5)
        module.model.layers[0].mlp.up_proj.weight.mul_(0.5)
        expected = module(torch.tensor([prompt])).logits[0, -1]
    after = logits_of(network, prompt)
    assert not torch.allclose(before, after, atol=1e-3)
    torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-4)


class OtherLinear(nn.Linear):
    """Stands for a layer whose weights cannot be fused."""


def test_layers_that_cannot_be_fused_are_called_as_they_are(module: PreTrainedModel) -> None:
    layer: Any = module.model.layers[0]
    dense: Block = block_of(layer)
    assert isinstance(dense, DenseBlock)
    hidden = torch.randn(3, module.config.hidden_size, generator=torch.Generator().manual_seed(1))
    attended = torch.randn(3, layer.self_attn.o_proj.in_features, generator=torch.Generator().manual_seed(2))
    layer.mlp.up_proj.__class__ = OtherLinear
    try:
        modular: Block = block_of(layer)
    finally:
        layer.mlp.up_proj.__class__ = nn.Linear
    assert isinstance(modular, ModuleBlock)
    with torch.inference_mode():
        both = [hidden.clone(), hidden.clone()]
        blocks: list[Block] = [dense, modular]
        for block, stream in zip(blocks, both, strict=True):
            block.add_attention(stream, attended)
            block.add_mlp(stream)
        torch.testing.assert_close(both[0], both[1])
        torch.testing.assert_close(dense.project(hidden), modular.project(hidden))


def small(rope: dict[str, Any]) -> PreTrainedModel:
    config = MistralConfig(
        vocab_size=512,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT_TOKENS,
        sliding_window=None,
        initializer_range=0.3,
        rope_parameters=rope,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module: Any = MistralForCausalLM(config)
        return module.eval()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "default", "rope_theta": 100.0},
        {"rope_type": "linear", "rope_theta": 100.0, "factor": 4.0},
        {"rope_type": "yarn", "rope_theta": 100.0, "factor": 2.0, "original_max_position_embeddings": 32},
    ],
    ids=lambda rope: str(rope["rope_type"]),
)
def test_positions_turn_as_the_checkpoint_says(rope: dict[str, Any]) -> None:
    module = small(rope)
    prompt = [token % 512 for token in prompt_of(8, 40)]
    with torch.no_grad():
        expected = module(torch.tensor([prompt])).logits[0, -1]
    torch.testing.assert_close(logits_of(make(module), prompt), expected, rtol=1e-4, atol=1e-4)


def test_positions_that_turn_with_the_length_are_refused() -> None:
    module = small({"rope_type": "dynamic", "rope_theta": 100.0, "factor": 2.0})
    with pytest.raises(ConfigurationError, match="dynamic"):
        make(module)


def test_pages_are_counted_out_of_free_memory(module: PreTrainedModel) -> None:
    shape = CacheShape.of(module.config)
    page = shape.page_bytes(torch.bfloat16)
    assert page == 2 * 2 * module.config.num_hidden_layers * 2 * 16 * shape.page_tokens
    half, whole = (
        shape.pages_that_fit(fraction, dtype=torch.bfloat16, device=torch.device("cpu")) for fraction in (0.5, 1.0)
    )
    assert 0 < half < whole
