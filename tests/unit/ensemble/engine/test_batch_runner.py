"""Laws of running many sequences of one network together, over both architectures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from core.messages import ModelName, Sampling
from core.options import Device, Weights
from ensemble.engine import plain_sampling
from ensemble.engine.batch_runner import BatchRunner, LogitsBroken, Row
from ensemble.engine.loading import load_network
from ensemble.engine.mamba2_network import Mamba2Network
from ensemble.engine.mistral_network import MistralNetwork
from ensemble.engine.runner import Scored

SLOTS, CONTEXT = 4, 512
PROMPTS = [[1, 3, 2507, 2880, 4], [1, 5], [1, *range(10, 210)], [1, *range(900, 800, -1)]]
Result = int | Scored | Exception | None
MakeRunner = Callable[..., BatchRunner]


@pytest.fixture(scope="module", params=list(ModelName))
def module(request: pytest.FixtureRequest, tiny_models: Path) -> PreTrainedModel:
    return load_network(request.param, tiny_models / request.param, device=Device.CPU, weights=Weights.FP32)


@pytest.fixture(scope="module")
def make_runner(module: PreTrainedModel) -> MakeRunner:
    """Runners over the same weights; `prefill_tokens` is how much of prompts one step reads."""

    def make(*, prefill_tokens: int = 4096, pages: int = 64) -> BatchRunner:
        if module.config.model_type == "mistral":
            network = MistralNetwork(module, slots=SLOTS, pages=pages, context_tokens=CONTEXT)
            return BatchRunner(network, prefill_tokens=prefill_tokens)
        mamba = Mamba2Network(module, slots=SLOTS, state_dtype=torch.float32)
        return BatchRunner(mamba, prefill_tokens=prefill_tokens)

    return make


def admit(runner: BatchRunner, prompt: list[int], **sampling: object) -> Row:
    row = runner.admit(prompt, Sampling.model_validate(sampling), max_tokens=40)
    assert row is not None
    return row


def advance(runner: BatchRunner, rows: list[Row], written: list[list[Result]]) -> None:
    for tokens, token in zip(written, runner.step(rows), strict=True):
        if token is not None:
            tokens.append(token)


def write(runner: BatchRunner, prompt: list[int], count: int, **sampling: object) -> list[Result]:
    """The first `count` tokens of one sequence that runs alone."""
    row, tokens = admit(runner, prompt, **sampling), list[Result]()
    while len(tokens) < count:
        advance(runner, [row], [tokens])
    runner.release(row)
    return tokens


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_tokens_are_those_of_generate(
    module: PreTrainedModel, make_runner: MakeRunner, prompt: list[int]
) -> None:
    tokens = torch.tensor([prompt])
    expected = module.generate(  # type: ignore[operator]
        tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=30, do_sample=False, eos_token_id=None
    )
    assert write(make_runner(), prompt, 30) == expected[0, len(prompt) :].tolist()


PENALTIES = {"repetition_penalty": 0.6, "frequency_penalty": 0.3, "presence_penalty": -0.2}


@pytest.mark.parametrize(
    "sampling",
    [
        {},
        {"temperature": 1.0, "top_p": 0.9, "seed": 5},
        {**PENALTIES, "temperature": 0.8, "top_k": 50, "top_p": 0.9, "seed": 5},
    ],
    ids=str,
)
def test_tokens_do_not_depend_on_company_cuts_or_former_users_of_the_slot(
    make_runner: MakeRunner, sampling: dict[str, object]
) -> None:
    alone = [write(make_runner(), prompt, 12, **sampling) for prompt in PROMPTS]
    runner = make_runner(prefill_tokens=64)
    for _ in range(2):
        rows = [admit(runner, prompt, **sampling) for prompt in PROMPTS]
        written: list[list[Result]] = [[] for _ in rows]
        while min(map(len, written)) < 12:
            advance(runner, rows, written)
        assert [tokens[:12] for tokens in written] == alone
        for row in rows:
            runner.release(row)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_sequences_may_come_and_go_at_any_step(make_runner: MakeRunner, data: st.DataObject) -> None:
    runner = make_runner(prefill_tokens=data.draw(st.sampled_from([64, 128, 4096]), "prefill"))
    expected = {index: write(runner, prompt, 10) for index, prompt in enumerate(PROMPTS)}
    running: list[tuple[int, Row, list[Result]]] = []
    for _ in range(data.draw(st.integers(5, 15), "steps")):
        if len(running) < SLOTS and data.draw(st.booleans(), "join"):
            index = data.draw(st.sampled_from(range(len(PROMPTS))), "prompt")
            running.append((index, admit(runner, PROMPTS[index]), []))
        if running and data.draw(st.integers(0, 3), "leave") == 0:
            _, row, _ = running.pop(data.draw(st.integers(0, len(running) - 1), "who"))
            runner.release(row)
        advance(runner, [row for _, row, _ in running], [tokens for _, _, tokens in running])
        for index, _, tokens in running:
            assert tokens[:10] == expected[index][: len(tokens)][:10]


def test_a_long_prompt_delays_nobody(make_runner: MakeRunner) -> None:
    runner = make_runner(prefill_tokens=64)
    writer = admit(runner, PROMPTS[1])
    runner.step([writer])
    reader = admit(runner, PROMPTS[2])
    results = [runner.step([writer, reader]) for _ in range(3)]
    assert all(isinstance(result[0], int) for result in results)
    assert [result[1] for result in results] == [None, None, None]


def test_same_seed_same_tokens_and_another_seed_others(make_runner: MakeRunner) -> None:
    runner = make_runner()
    first, again, other = (write(runner, PROMPTS[0], 12, temperature=1.5, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_greedy_penalised_tokens_are_those_of_the_reference_step_by_step(
    module: PreTrainedModel, make_runner: MakeRunner
) -> None:
    """A token is counted from the very next step on, although steps overlap."""
    prompt, expected = PROMPTS[0], list[int]()
    sampling = Sampling.model_validate(PENALTIES)
    for _ in range(20):
        with torch.inference_mode():
            logits = module(torch.tensor([prompt + expected])).logits[0, -1].tolist()
        penalised = plain_sampling.penalise(
            dict(enumerate(logits)), sampling, prompt=prompt, written=Counter(expected)
        )
        expected.append(max(penalised, key=penalised.__getitem__))
    assert len(set(expected)) < len(expected)
    assert write(make_runner(), prompt, 20, **PENALTIES) == expected


def test_only_rows_that_ask_are_scored(make_runner: MakeRunner) -> None:
    runner = make_runner()
    rows = [admit(runner, prompt, logprobs=most) for prompt, most in zip(PROMPTS, (None, 0, 2, None), strict=True)]
    runner.step(rows)
    plain, chosen, two, last = runner.step(rows)
    assert (type(plain), type(last)) == (int, int)
    assert isinstance(chosen, Scored)
    assert isinstance(two, Scored)
    assert (len(chosen.top), len(two.top)) == (0, 2)


def test_beyond_the_slots_nobody_is_taken_in(make_runner: MakeRunner) -> None:
    runner = make_runner()
    rows = [admit(runner, PROMPTS[1]) for _ in range(SLOTS)]
    assert runner.admit(PROMPTS[1], Sampling(), max_tokens=4) is None
    runner.release(rows[0])
    admit(runner, PROMPTS[1])


def test_a_broken_row_is_named_and_the_others_go_on(module: PreTrainedModel, make_runner: MakeRunner) -> None:
    runner = make_runner()
    alone = write(runner, PROMPTS[0], 4)
    embedding = module.get_input_embeddings()
    with torch.no_grad():
        kept = embedding.weight[7].clone()  # type: ignore[index, operator]
        embedding.weight[7] = torch.nan  # type: ignore[index, operator]
        well, ill = admit(runner, PROMPTS[0]), admit(runner, [1, 7])
        runner.step([well, ill])
        token, error = runner.step([well, ill])
        embedding.weight[7] = kept  # type: ignore[index, operator]
    assert token == alone[0]
    assert isinstance(error, LogitsBroken)
    runner.release(ill)
    tokens: list[Result] = [token]
    while len(tokens) < 4:
        advance(runner, [well], [tokens])
    assert tokens == alone
