"""What `mathcode plan` says agrees with a simulation, with what was measured, and with itself."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from benchmarks.continuous_batching import simulate
from cli.main import main
from core.messages import ModelName
from stack.capacity.figures import H200
from stack.capacity.plan import DEFAULT_MIX, Demand, make_plan
from stack.capacity.queueing import Load, expect, highest_rate


def _at(model: ModelName, utilisation: float) -> Load:
    full = highest_rate(H200.models[model], Load(rate=1, tokens=300, prompt_tokens=135, slots=256))
    return Load(rate=utilisation * full, tokens=300, prompt_tokens=135, slots=256)


@pytest.mark.parametrize("model", ModelName)
@pytest.mark.parametrize(("utilisation", "tolerance"), [(0.5, 0.1), (0.8, 0.12), (0.95, 0.3)])
def test_the_model_agrees_with_a_simulation(model: ModelName, utilisation: float, tolerance: float) -> None:
    figures, load = H200.models[model], _at(model, utilisation)
    said, seen = expect(figures, load), simulate(figures, load, jobs=3000)
    assert said is not None
    assert said.token_s == pytest.approx(seen.token_s, rel=0.1)
    assert said.first_token_s == pytest.approx(seen.first_token_s, rel=tolerance)


@pytest.mark.parametrize(
    ("model", "rate", "token_s"),
    [
        (ModelName.MATHSTRAL, 33.4, 0.0073),
        (ModelName.MATHSTRAL, 53.4, 0.0103),
        (ModelName.CODESTRAL, 24.0, 0.0097),
        (ModelName.CODESTRAL, 38.4, 0.0139),
    ],
)
def test_the_model_is_within_a_quarter_of_what_random_arrivals_were_measured_with(
    model: ModelName, rate: float, token_s: float
) -> None:
    said = expect(H200.models[model], Load(rate=rate, tokens=165, prompt_tokens=135, slots=256))
    assert said is not None
    assert said.token_s == pytest.approx(token_s, rel=0.25)


def test_nobody_keeps_up_beyond_the_highest_rate() -> None:
    assert expect(H200.models[ModelName.CODESTRAL], _at(ModelName.CODESTRAL, 1.01)) is None


def test_the_cards_that_a_plan_asks_for_carry_the_load() -> None:
    for rate in (1, 50, 700):
        demand = Demand(rate=rate, tokens=300, prompt_tokens=135, mix=DEFAULT_MIX)
        needed = make_plan(H200, 1, demand).cards_needed
        assert needed is not None
        made = make_plan(H200, needed, demand)
        assert made.fits
        assert max(worker.utilisation for worker in made.workers) <= 0.85
        assert sum(worker.cards for worker in made.workers) == needed


def _run(*arguments: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(main, ["plan", *arguments])
    return outcome.exit_code, outcome.output


def test_two_h200_carry_fifty_jobs_a_second_and_codestral_is_full_first() -> None:
    status, output = _run("--gpus", "2xH200", "--rate", "50/s", "--tokens", "300", "--json")
    said = json.loads(output)
    assert (status, said["fits"], said["full_first"]["model"]) == (0, True, "codestral")
    assert 50 < said["full_first"]["jobs_per_s"] < 60
    assert [(worker["model"], worker["cards"]) for worker in said["workers"]] == [
        ("mathstral", 1),
        ("codestral", 1),
    ]


def test_what_does_not_fit_says_how_many_cards_would() -> None:
    status, output = _run("--gpus", "2xH200", "--rate", "100/s", "--tokens", "300")
    assert status == 1
    assert "DOES NOT FIT" in output
    assert "cannot keep up" in output
    assert "one worker on each: 5" in output


def test_figures_of_other_cards_say_that_they_were_not_measured() -> None:
    assert "derived, not measured" in _run("--gpus", "2xH100", "--rate", "10/s", "--tokens", "300")[1]


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--gpus", "2xB300", "no figures for the card"),
        ("--gpus", "two", "no figures for the card"),
        ("--gpus", "0xH200", "at least one card"),
        ("--gpus", "4090", "cannot hold both models"),
        ("--gpus", "2 H200", "like 2xH200"),
        ("--rate", "fast", "is not a rate"),
        ("--rate", "0/s", "is not a rate"),
        ("--mix", "math=1,math=1", "is not one share"),
        ("--mix", "poetry=1", "is not one share"),
        ("--mix", "math=0", "all zeros"),
    ],
)
def test_bad_input_is_one_clear_error(option: str, value: str, words: str) -> None:
    arguments = {"--gpus": "2xH200", "--rate": "50/s", "--tokens": "300", option: value}
    status, output = _run(*(text for pair in arguments.items() for text in pair))
    assert status == 2
    assert words in output
    assert len(output.splitlines()) == 1
