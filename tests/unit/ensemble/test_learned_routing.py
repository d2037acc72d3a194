"""Laws of the learned router: whatever is typed or broken, a request is routed."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.messages import Route, TaskType
from core.settings import read_settings
from ensemble.learned_routing import LearnedRouter
from ensemble.router_building import build_router
from ensemble.router_model import BadWeights, Classifier, parse_weights, render_weights
from ensemble.router_weights import WEIGHTS, load_weights
from ensemble.routing import Router

ROUTER = build_router(read_settings())


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Solve the equation: 2x^2 + 5x - 3 = 0", "math"),
        ("Implement a binary search tree in Python", "code"),
        ("Write a Python function that solves the heat equation by finite differences", "hybrid"),
        ("Write a poem about the sea", "other"),
    ],
)
def test_each_class_is_recognised(prompt: str, expected: str) -> None:
    chances = ROUTER.route(prompt).probabilities
    assert max(chances, key=chances.__getitem__) == expected
    assert sum(chances.values()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    "prompt", ["", "\0\x01\xff" * 99, "😀" * 99, "用Python实现 сортировку مع", "a1(" * 350_000]
)
def test_whatever_is_typed_is_routed(prompt: str) -> None:
    route = ROUTER.route(prompt)
    assert route.reasons
    assert not route.is_fallback


def test_a_stack_trace_is_certain() -> None:
    assert ROUTER.route("Traceback (most recent call last):\n  prove").confidence == 1.0


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 4000, WEIGHTS.read_bytes()[:-4]])
def test_without_good_weights_keywords_answer_and_say_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w").write_bytes(content)
    weights = load_weights(tmp_path / "w")
    assert isinstance(weights, BadWeights)
    router = LearnedRouter(Router(), weights, custom=Router(), threshold=0.9, other=TaskType.CODE)
    route = router.route("Prove the theorem")
    assert (route.task_type, route.is_fallback, route.version) == (TaskType.MATH, True, "keywords")
    assert router.alarm


def test_missing_weights_are_an_expected_failure(tmp_path: Path) -> None:
    assert isinstance(load_weights(tmp_path / "none"), BadWeights)


def test_weights_survive_writing_and_reading() -> None:
    model = load_weights()
    assert isinstance(model, Classifier)
    assert render_weights(parse_weights(render_weights(model))) == WEIGHTS.read_bytes()


def test_rows_of_older_ledgers_still_parse() -> None:
    old = '{"task_type": "math", "confidence": 0.5, "reasons": []}'
    assert Route.model_validate_json(old).version == "keywords"
