"""Laws of the one-process ensemble, over the real tiny models."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError, InvalidRequest, Unavailable
from core.settings import child_environment
from hybrid_mathcode_ensemble import EnsembleConfig, HybridMathCodeEnsemble, Strategy, TaskType

MATH = "[INST] Solve the equation: 2x^2 + 5x - 3 = 0 [/INST]"
CODE = "[INST] Implement a binary search tree in Python [/INST]"
HYBRID = "[INST] Implement a numerical gradient descent algorithm with mathematical proof [/INST]"
MATHSTRAL, CODESTRAL = "mathstral-tiny-random", "codestral-tiny-random"
SEED_SCRIPT = """
from hybrid_mathcode_ensemble import HybridMathCodeEnsemble, EnsembleConfig

config = EnsembleConfig()
ensemble = HybridMathCodeEnsemble(config)
ensemble.load_models()
result = ensemble.generate(
    "[INST] Solve the equation: 2x^2 + 5x - 3 = 0 [/INST]"
)
print(len(result['response']) > 0)
print(f"Model used: {result['model_used']}")
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ensemble")


@pytest.fixture(scope="module")
def ensemble(data_dir: Path) -> Iterator[HybridMathCodeEnsemble]:
    config = EnsembleConfig(profile="tiny", data_dir=data_dir, default_max_tokens=12, context_tokens_limit=600)
    with HybridMathCodeEnsemble(config) as loaded:
        yield loaded


@pytest.mark.parametrize(
    ("prompt", "task_type", "models"),
    [(MATH, "math", [MATHSTRAL]), (CODE, "code", [CODESTRAL]), (HYBRID, "hybrid", [MATHSTRAL, CODESTRAL])],
)
def test_each_prompt_reaches_its_specialists(
    ensemble: HybridMathCodeEnsemble, prompt: str, task_type: str, models: list[str]
) -> None:
    result = ensemble.generate(prompt)
    assert result["task_type"] == task_type
    assert result["model_used"] == " + ".join(models)
    assert [completion["version"] for completion in result["completions"]] == models
    assert all(completion["text"].strip() in result["response"] for completion in result["completions"])
    assert result["tokens"] == 12 * len(models)
    assert result["reasons"]
    assert not result["degraded"]


@pytest.mark.parametrize("forced", list(TaskType))
def test_a_forced_task_type_wins(ensemble: HybridMathCodeEnsemble, forced: TaskType) -> None:
    assert ensemble.generate(MATH, force_task_type=forced)["task_type"] == forced


def test_the_wrapper_changes_nothing(ensemble: HybridMathCodeEnsemble) -> None:
    assert ensemble.generate(CODE)["response"] == ensemble.generate(CODE[7:-8])["response"]


def test_sampling_is_per_call(ensemble: HybridMathCodeEnsemble) -> None:
    def drawn(**options: Any) -> str:
        return ensemble.generate(MATH, max_tokens=8, temperature=1.0, **options)["response"]

    assert drawn(seed=1) == drawn(seed=1) != drawn(seed=2)
    greedy = ensemble.generate(MATH)["response"]
    assert ensemble.generate(MATH, stop=greedy[5:8])["response"] == greedy[: greedy.index(greedy[5:8])]


def test_every_way_of_drawing_is_per_call(ensemble: HybridMathCodeEnsemble) -> None:
    def drawn(**options: Any) -> str:
        return ensemble.generate(MATH, max_tokens=40, **options)["response"]

    greedy = drawn()
    assert drawn(temperature=2.0, top_k=1) == drawn(temperature=2.0, min_p=1.0) == greedy
    assert greedy not in (
        drawn(repetition_penalty=2.0),
        drawn(frequency_penalty=-2.0),
        drawn(presence_penalty=-2.0),
    )


def test_logprobs_are_there_when_asked_for(ensemble: HybridMathCodeEnsemble) -> None:
    (plain,) = ensemble.generate(MATH)["completions"]
    assert "logprobs" not in plain
    (completion,) = ensemble.generate(MATH, logprobs=2)["completions"]
    assert completion["text"] == plain["text"]
    assert [len(entry["top"]) for entry in completion["logprobs"]] == [2] * completion["completion_tokens"]


def test_priority_changes_the_turn_and_not_the_text(ensemble: HybridMathCodeEnsemble) -> None:
    assert ensemble.generate(MATH, priority="high")["response"] == ensemble.generate(MATH)["response"]


def test_sequential_hands_the_mathematics_to_the_code_model(ensemble: HybridMathCodeEnsemble) -> None:
    parallel = ensemble.generate(HYBRID)
    sequential = ensemble.generate(HYBRID, strategy=Strategy.SEQUENTIAL)
    (math, code), (_, code_alone) = sequential["completions"], parallel["completions"]
    assert math["text"] == parallel["completions"][0]["text"]
    assert code["prompt_tokens"] > code_alone["prompt_tokens"]


def test_one_model_that_cannot_answer_degrades_the_answer(data_dir: Path) -> None:
    """The tiny Mistral has 4,096 positions, the tiny Mamba2 no limit."""
    config = EnsembleConfig(profile="tiny", data_dir=data_dir, default_max_tokens=2)
    with HybridMathCodeEnsemble(config) as ensemble:
        result = ensemble.generate("word " * 5000, force_task_type=TaskType.HYBRID)
    assert result["degraded"]
    assert result["model_used"] == CODESTRAL
    assert [failure["code"] for failure in result["failures"]] == ["prompt_too_long"]


def test_a_prompt_that_fits_no_model_is_refused(ensemble: HybridMathCodeEnsemble) -> None:
    with pytest.raises(InvalidRequest, match="context holds 600 tokens") as caught:
        ensemble.generate("word " * 1000)
    assert caught.value.code == "prompt_too_long"


def test_a_deadline_without_any_text_is_an_error(ensemble: HybridMathCodeEnsemble) -> None:
    with pytest.raises(Unavailable, match="deadline"):
        ensemble.generate(MATH, deadline_s=1e-9)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"prompt": "  "}, "prompt"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"top_k": 0}, "top_k"),
        ({"logprobs": 21}, "logprobs"),
        ({"tempature": 1}, "tempature"),
        ({"strategy": "both"}, "strategy"),
        ({"priority": "urgent"}, "priority"),
        ({"force_task_type": "poetry"}, "force_task_type"),
    ],
)
def test_a_value_out_of_range_is_named(
    ensemble: HybridMathCodeEnsemble, options: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ensemble.generate(**{"prompt": MATH, **options})
    assert caught.value.param == param


def test_asking_before_loading_is_a_programming_error(data_dir: Path) -> None:
    with pytest.raises(RuntimeError, match="load_models"):
        HybridMathCodeEnsemble(EnsembleConfig(data_dir=data_dir)).generate(MATH)


def test_a_config_takes_the_environment_and_every_field_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATHCODE_SLOTS", "3")
    monkeypatch.setenv("MATHCODE_DEVICE", "cuda")
    assert EnsembleConfig().slots == 3
    given = EnsembleConfig(slots=5, device="cpu", weights="bf16", math_keywords=("monoid",))
    assert (given.slots, given.device, given.weights, given.math_keywords) == (5, "cpu", "bf16", ("monoid",))


@pytest.mark.parametrize("given", [{"slots": 0}, {"slotz": 1}, {"profile": "huge"}])
def test_a_bad_config_names_the_field(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(given))):
        EnsembleConfig(**given)


def test_the_seeds_own_lines_work_as_written(data_dir: Path) -> None:
    environment = child_environment(
        MATHCODE_DATA_DIR=str(data_dir), MATHCODE_PROFILE="tiny", MATHCODE_MAX_TOKENS="8"
    )
    command = [sys.executable, "-W", "error", "-c", SEED_SCRIPT]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines() == ["True", f"Model used: {MATHSTRAL}"]
