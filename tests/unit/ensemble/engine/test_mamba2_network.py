"""Laws of Mamba2 over slots: it is the transformers model, and no sequence notices another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import Mamba2Config, PreTrainedModel

from core.errors import ConfigurationError
from core.messages import ModelName
from core.settings import Device, Weights
from ensemble.engine.loading import load_network
from ensemble.engine.mamba2_memory import WINDOW, LayerMemory, read_shape, slot_bytes
from ensemble.engine.mamba2_network import Mamba2Network
from ensemble.engine.network import Chunk
from ensemble.engine.packing import Size, columns_of, joined, split

SLOTS = 6
BLOCK = 32  # of the tiny model's scan
CLOSE = 1e-4  # of logits around 1, in fp32
LENGTHS = [1, 2, WINDOW, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5]

few = settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def module(tiny_models: Path) -> PreTrainedModel:
    directory = tiny_models / ModelName.CODESTRAL
    return load_network(ModelName.CODESTRAL, directory, device=Device.CPU, weights=Weights.FP32)


@pytest.fixture(scope="module")
def network(module: PreTrainedModel) -> Mamba2Network:
    """Shared by all tests on purpose: what others left in its slots must not matter."""
    return Mamba2Network(module, slots=SLOTS, state_dtype=torch.float32)


def prompt(length: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(1000 * seed + length)
    return torch.randint(3, 32_000, (length,), generator=generator).tolist()


@torch.inference_mode()
def read(network: Mamba2Network, tokens: Sequence[int], *, slot: int = 0, cuts: Sequence[int] = ()) -> Tensor:
    """Logits (vocabulary,) after a prompt read in pieces."""
    network.open(slot, len(tokens))
    edges = [0, *sorted(set(cuts)), len(tokens)]
    for start, end in pairwise(edges):
        logits = network.prefill([Chunk(slot, start, tokens[start:end])])
    return logits[0]


@torch.inference_mode()
def advance(network: Mamba2Network, rows: Sequence[tuple[int, int, int]]) -> Tensor:
    """Logits (rows, vocabulary) after one token in each (slot, token, position)."""
    slots, tokens, positions = torch.tensor(rows).unbind(1)
    return network.decode(slots, tokens, positions)


def write(network: Mamba2Network, tokens: Sequence[int], count: int, *, slot: int = 0) -> list[int]:
    """The next `count` tokens of a prompt, greedily."""
    written = [int(read(network, tokens, slot=slot).argmax())]
    while len(written) < count:
        position = len(tokens) + len(written) - 1
        written.append(int(advance(network, [(slot, written[-1], position)])[0].argmax()))
    return written


@torch.inference_mode()
def generate(module: Any, tokens: list[int], count: int) -> list[int]:
    output = module.generate(
        torch.tensor([tokens]), max_new_tokens=count, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    return output[0, len(tokens) :].tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("length", LENGTHS)
def test_greedy_text_is_that_of_transformers(module: PreTrainedModel, network: Mamba2Network, length: int) -> None:
    tokens = prompt(length)
    assert write(network, tokens, 3 * WINDOW) == generate(module, tokens, 3 * WINDOW)


@torch.inference_mode()
def test_logits_are_those_of_transformers(module: Any, network: Mamba2Network) -> None:
    tokens = prompt(50)
    expected = module(torch.tensor([tokens])).logits[0]
    actual = [read(network, tokens[:20])]
    actual += [advance(network, [(0, tokens[at], at)])[0] for at in range(20, 50)]
    torch.testing.assert_close(torch.stack(actual), expected[19:], atol=CLOSE, rtol=CLOSE)


@few
@given(length=st.integers(1, 4 * BLOCK), first=st.integers(1, 3 * WINDOW))
def test_reading_at_once_is_reading_token_by_token(network: Mamba2Network, length: int, first: int) -> None:
    tokens = prompt(length)
    step_by_step = read(network, tokens[:first], slot=1)
    for at in range(first, length):
        step_by_step = advance(network, [(1, tokens[at], at)])[0]
    at_once = read(network, tokens, slot=2) if length > first else step_by_step
    torch.testing.assert_close(step_by_step, at_once, atol=CLOSE, rtol=CLOSE)


@few
@given(
    length=st.integers(BLOCK + 1, 4 * BLOCK),
    cuts=st.sets(st.integers(1, 3)),
    dtype=st.sampled_from(["fp32", "bf16"]),
)
def test_how_a_prompt_is_cut_does_not_matter(
    module: PreTrainedModel, length: int, cuts: set[int], dtype: str
) -> None:
    state_dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    network = Mamba2Network(module, slots=2, state_dtype=state_dtype)
    tokens = prompt(length)
    edges = [cut * network.chunk_multiple for cut in cuts if cut * network.chunk_multiple < length]
    whole, pieces = read(network, tokens, slot=0), read(network, tokens, slot=1, cuts=edges)
    torch.testing.assert_close(pieces, whole, atol=CLOSE, rtol=CLOSE)
    following = [int(whole.argmax()), length]
    logits = advance(network, [(0, *following), (1, *following)])
    torch.testing.assert_close(logits[1], logits[0], atol=CLOSE, rtol=CLOSE)


@torch.inference_mode()
def test_prompts_read_together_are_read_as_alone(network: Mamba2Network) -> None:
    prompts = [prompt(length, seed=1) for length in (3, BLOCK, 2 * BLOCK + 1)]
    alone = torch.stack([read(network, tokens) for tokens in prompts])
    together = network.prefill([Chunk(slot, 0, tokens) for slot, tokens in zip((4, 0, 2), prompts, strict=True)])
    torch.testing.assert_close(together, alone, atol=CLOSE, rtol=CLOSE)


@few
@given(data=st.data())
def test_company_does_not_change_a_text(network: Mamba2Network, data: st.DataObject) -> None:
    """Sequences join and leave at any step, in any slot and order."""
    prompts = {slot: prompt(data.draw(st.integers(1, 2 * BLOCK)), seed=slot) for slot in range(3)}
    alone = {slot: write(network, tokens, WINDOW // 2) for slot, tokens in prompts.items()}
    texts: dict[int, list[int]] = {}
    while any(len(texts.get(slot, [])) < len(text) for slot, text in alone.items()):
        unfinished = [slot for slot in prompts if len(texts.get(slot, [])) < len(alone[slot])]
        chosen = data.draw(st.lists(st.sampled_from(unfinished), min_size=1, unique=True))
        for slot in [slot for slot in chosen if slot not in texts]:
            texts[slot] = [int(read(network, prompts[slot], slot=slot).argmax())]
            chosen.remove(slot)
        if chosen:
            rows = [(slot, texts[slot][-1], len(prompts[slot]) + len(texts[slot]) - 1) for slot in chosen]
            for slot, row in zip(chosen, advance(network, rows), strict=True):
                texts[slot].append(int(row.argmax()))
    assert texts == alone


def test_a_slot_keeps_nothing_of_the_sequence_before(module: PreTrainedModel) -> None:
    network = Mamba2Network(module, slots=1, state_dtype=torch.float32)
    fresh = write(network, prompt(5), 2 * WINDOW)
    write(network, prompt(77), 2 * WINDOW + 3)
    assert write(network, prompt(5), 2 * WINDOW) == fresh


def test_not_even_what_is_not_a_number(module: PreTrainedModel) -> None:
    network = Mamba2Network(module, slots=1, state_dtype=torch.float32)
    fresh = write(network, prompt(5), 2 * WINDOW)
    for memory in network._memories:
        for tensor in (memory.state, memory.taps, memory.x, memory.b, memory.dt):
            tensor.fill_(torch.nan)
    assert write(network, prompt(5), 2 * WINDOW) == fresh


@torch.inference_mode()
def test_filling_up_chunks_changes_neither_logits_nor_other_slots(network: Mamba2Network) -> None:
    chunks = [Chunk(1, 0, prompt(7)), Chunk(3, 0, prompt(40))]
    bystander = read(network, prompt(9), slot=2)
    expected = network.prefill(chunks)
    columns = columns_of(chunks, width=network._width, size=Size(64, 8), spare=SLOTS)
    filled = network._read(split(joined(columns), columns))
    torch.testing.assert_close(filled[:2], expected, atol=CLOSE, rtol=CLOSE)
    undisturbed = read(network, prompt(9), slot=4)
    token = int(undisturbed.argmax())
    torch.testing.assert_close(bystander, undisturbed)
    logits = advance(network, [(2, token, 9), (4, token, 9)])
    torch.testing.assert_close(logits[0], logits[1], atol=CLOSE, rtol=CLOSE)


def test_a_fixed_size_holds_chunks_and_a_row_of_filling() -> None:
    size = Size(tokens=64, rows=3)
    assert size.holds([Chunk(0, 0, [1] * 60), Chunk(1, 0, [1] * 4)])
    assert not size.holds([Chunk(0, 0, [1] * 65)])
    assert not size.holds([Chunk(slot, 0, [1]) for slot in range(3)])


@few
@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=3))
def test_packings_of_one_size_have_one_layout(lengths: list[int]) -> None:
    chunks = [Chunk(slot, 0, [1] * length) for slot, length in enumerate(lengths)]
    size = Size(tokens=64, rows=4)
    filled = columns_of(chunks, width=4, size=size, spare=9)
    empty = columns_of([], width=4, size=size, spare=9)
    assert [len(column) for column in filled.values()] == [len(column) for column in empty.values()]


def test_memory_is_as_large_as_announced(module: PreTrainedModel, network: Mamba2Network) -> None:
    announced = slot_bytes(module.config, dtype=torch.float32, state_dtype=torch.float32)
    assert sum(tensor[0].nbytes for memory in network._memories for tensor in per_slot(memory)) == announced


def per_slot(memory: LayerMemory) -> tuple[Tensor, ...]:
    return memory.state, memory.taps, memory.x, memory.b, memory.dt


@pytest.mark.parametrize("change", [{"hidden_act": "gelu"}, {"time_step_limit": (0.0, 1.0)}])
def test_variants_it_would_compute_wrongly_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="not supported"):
        read_shape(Mamba2Config(**change))
