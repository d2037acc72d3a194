"""Laws of penalties: as transformers and the plain reference compute them, for rows that ask and no other."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import RepetitionPenaltyLogitsProcessor

from core.messages import Sampling
from ensemble.engine import plain_sampling
from ensemble.engine.batch_sampling import BROKEN
from ensemble.engine.penalties import BatchPenalties, Penalties, PenaltyMemory

CPU = torch.device("cpu")
VOCABULARY, SLOTS = 40, 4
TOKENS = st.lists(st.integers(0, VOCABULARY - 1), max_size=60)
PENALTIES = st.builds(Penalties, st.floats(0.05, 2.0), st.floats(-2.0, 2.0), st.floats(-2.0, 2.0))


def random_logits(rows: int, seed: int) -> Tensor:
    return 3 * torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed))


def memory_of(prompt: list[int], generated: list[int], *, slot: int = 0, written: int = 0) -> PenaltyMemory:
    """After `generated`, the first `written` of which were there when the row began."""
    memory = PenaltyMemory(SLOTS, CPU)
    memory.begin(slot, prompt, generated[:written], vocabulary=VOCABULARY)
    batch = BatchPenalties(memory, [Penalties(presence=1.0)], torch.tensor([slot]))
    for token in generated[written:]:
        batch.count(torch.tensor([token]))
    return memory


def penalised(memory: PenaltyMemory, logits: Tensor, penalties: list[Penalties | None]) -> Tensor:
    return BatchPenalties(memory, penalties, torch.arange(len(penalties))).apply(logits)


def by_reference(logits: Tensor, penalties: Penalties, prompt: list[int], generated: list[int]) -> Tensor:
    sampling = Sampling(
        repetition_penalty=penalties.repetition,
        frequency_penalty=penalties.frequency,
        presence_penalty=penalties.presence,
    )
    plain = dict(enumerate(logits.tolist()))
    result = plain_sampling.penalise(plain, sampling, prompt=prompt, written=Counter(generated))
    return torch.tensor([result[token] for token in range(VOCABULARY)])


@given(prompt=TOKENS, generated=TOKENS, penalty=st.floats(0.05, 2.0), seed=st.integers(0, 10_000))
def test_repetition_is_penalised_as_by_transformers(
    prompt: list[int], generated: list[int], penalty: float, seed: int
) -> None:
    logits = random_logits(1, seed)
    seen = torch.tensor([prompt + generated], dtype=torch.int64)
    expected = RepetitionPenaltyLogitsProcessor(penalty)(seen, logits.clone())
    torch.testing.assert_close(penalised(memory_of(prompt, generated), logits, [Penalties(penalty)]), expected)


@given(penalties=PENALTIES, prompt=TOKENS, generated=TOKENS, seed=st.integers(0, 10_000))
def test_all_penalties_together_are_those_of_the_plain_reference(
    penalties: Penalties, prompt: list[int], generated: list[int], seed: int
) -> None:
    logits = random_logits(1, seed)
    expected = by_reference(logits[0], penalties, prompt, generated)
    ours = penalised(memory_of(prompt, generated), logits, [penalties])
    torch.testing.assert_close(ours[0], expected, rtol=1e-5, atol=1e-5)


@given(prompt=TOKENS, generated=TOKENS, data=st.data())
def test_a_row_that_lost_its_slot_goes_on_with_what_it_had_written(
    prompt: list[int], generated: list[int], data: st.DataObject
) -> None:
    written = data.draw(st.integers(0, len(generated)))
    whole, resumed = memory_of(prompt, generated), memory_of(prompt, generated, written=written)
    assert torch.equal(whole.generated, resumed.generated)
    assert torch.equal(whole.prompted, resumed.prompted)


@given(first=TOKENS, second=TOKENS)
def test_a_slot_forgets_its_former_user(first: list[int], second: list[int]) -> None:
    memory = memory_of(first, first)
    memory.begin(0, second, (), vocabulary=VOCABULARY)
    fresh = memory_of(second, [])
    assert torch.equal(memory.generated, fresh.generated)
    assert torch.equal(memory.prompted, fresh.prompted)


@given(
    penalties=st.lists(st.none() | PENALTIES, min_size=SLOTS, max_size=SLOTS).filter(any),
    seed=st.integers(0, 10_000),
)
def test_a_rows_bits_do_not_depend_on_its_neighbours(penalties: list[Penalties | None], seed: int) -> None:
    logits = random_logits(SLOTS, seed)
    memory = PenaltyMemory(SLOTS, CPU)
    for slot in range(SLOTS):
        memory.begin(slot, [slot, 7], [slot + 1, 9, 9], vocabulary=VOCABULARY)
    together = penalised(memory, logits, penalties)
    for row, each in enumerate(penalties):
        alone = logits[row : row + 1]
        if each is not None:
            alone = BatchPenalties(memory, [each], torch.tensor([row])).apply(alone)
        assert torch.equal(together[row], alone[0])


def test_each_row_counts_in_its_own_slot_and_a_broken_one_breaks_nothing() -> None:
    memory = PenaltyMemory(SLOTS, CPU)
    for slot in range(SLOTS):
        memory.begin(slot, [], (), vocabulary=VOCABULARY)
    asked = [Penalties(frequency=1.0), None, Penalties(frequency=1.0)]
    batch = BatchPenalties(memory, asked, torch.tensor([3, 2, 1]))
    batch.count(torch.tensor([5, 6, BROKEN]))
    batch.count(torch.tensor([5, 6, 8]))
    assert memory.generated[3, 5] == 2
    assert memory.generated[1, 8] == 1
    assert memory.generated[[0, 2]].sum() == 0


def test_the_least_repetition_penalty_keeps_logits_finite() -> None:
    logits = 1e4 * random_logits(1, 0)
    assert penalised(memory_of([*range(VOCABULARY)], []), logits, [Penalties(5e-324)]).isfinite().all()


def test_memory_that_lacked_room_once_is_made_whole_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, zeros, calls = PenaltyMemory(SLOTS, CPU), torch.zeros, iter([True, False])

    def lacking(*size: int, **options: Any) -> Tensor:
        if not next(calls):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return zeros(*size, **options)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "zeros", lacking)
        with pytest.raises(torch.OutOfMemoryError):
            memory.begin(0, [1], [2], vocabulary=VOCABULARY)
    memory.begin(0, [1], [2], vocabulary=VOCABULARY)
    assert memory.prompted[0].nonzero().flatten().tolist() == [1]
    assert memory.generated[0].nonzero().flatten().tolist() == [2]
