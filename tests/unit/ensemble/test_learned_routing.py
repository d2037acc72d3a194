"""Laws of the learned router: whatever is typed or broken, a request is routed."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.messages import Route, RouteLabel, TaskType
from core.settings import Settings, read_settings
from ensemble.router_files import OWN, SHIPPED, build_router, load_weights
from ensemble.routing.classifier import BadWeights, Classifier, parse_weights, render_weights
from ensemble.routing.keyword_router import KeywordRouter
from ensemble.routing.learned_router import LearnedRouter

ROUTER = build_router(read_settings())
SEED_HYBRID = "Implement a numerical gradient descent algorithm with mathematical proof"


def test_the_default_router_is_the_learned_one_with_the_weights_that_are_shipped() -> None:
    assert ROUTER.version.startswith("router-")
    assert ROUTER.alarm is None


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Solve the equation: 2x^2 + 5x - 3 = 0", RouteLabel.MATH),
        ("[INST] Solve the equation: 2x^2 + 5x - 3 = 0 [/INST]", RouteLabel.MATH),
        ("Implement a binary search tree in Python", RouteLabel.CODE),
        ("Write a Python function that solves the heat equation by finite differences", RouteLabel.HYBRID),
        (SEED_HYBRID, RouteLabel.HYBRID),
        ("Write a poem about the sea", RouteLabel.OTHER),
    ],
)
def test_each_class_is_recognised(prompt: str, expected: RouteLabel) -> None:
    route = ROUTER.route(prompt)
    assert route.label is expected
    assert route.confidence == max(route.probabilities.values())
    assert sum(route.probabilities.values()) == pytest.approx(1, abs=1e-3)


def test_the_reasons_name_words_and_signs_that_are_in_the_prompt() -> None:
    assert any("'algorithm'" in reason for reason in ROUTER.route(SEED_HYBRID).reasons)


@pytest.mark.parametrize(
    "prompt", ["", " \n", "\0\x01\xff" * 99, "😀" * 99, "用Python实现 сортировку مع", "\ud800", "```fix", "x=" * 9]
)
def test_whatever_is_typed_is_routed(prompt: str) -> None:
    route = ROUTER.route(prompt)
    assert route.reasons
    assert not route.is_fallback


@given(st.text(st.characters(), max_size=300))
def test_no_text_makes_the_classifier_fail(prompt: str) -> None:
    assert not ROUTER.route(prompt).is_fallback


def test_what_is_forced_wins() -> None:
    route = ROUTER.route("Write a poem", TaskType.HYBRID)
    assert (route.task_type, route.confidence, route.is_fallback) == (TaskType.HYBRID, 1.0, False)


@pytest.mark.parametrize(
    "prompt",
    [
        "Traceback (most recent call last):\n  prove",
        "It says\n    at java.base/java.util.List.get(List.java:12)\nwhy?",
        "diff --git a/x b/x\n--- a/x",
        "@@ -1,3 +1,4 @@\n theorem",
        "Please fix this theorem prover:\n```\nprove(x);\n```",
        "```\nprove(x);\n```\ndebug it",
    ],
)
def test_what_leaves_no_doubt_is_certain(prompt: str) -> None:
    route = ROUTER.route(prompt)
    assert (route.task_type, route.confidence) == (TaskType.CODE, 1.0)
    assert route.reasons[0].startswith("certain: ")


@pytest.mark.parametrize(
    "prompt",
    [
        "Fix $n$ and prove the theorem",
        "```\nfix(x);\n```\nwhat is it?",
        "Fix a poem ```roses are red```",
        "we met at noon (12:30)",
    ],
)
def test_what_only_resembles_a_certainty_is_left_to_the_classifier(prompt: str) -> None:
    assert ROUTER.route(prompt).probabilities


def test_general_talk_goes_to_the_one_model_that_is_set() -> None:
    for model, task_type in (("mathstral", TaskType.MATH), ("codestral", TaskType.CODE)):
        settings = Settings(MATHCODE_GENERAL_MODEL=model, MATHCODE_ROUTER_THRESHOLD=1.0)
        assert build_router(settings).route("Write a poem about the sea").task_type is task_type


def test_doubt_asks_both_models_and_says_so() -> None:
    route = build_router(Settings(MATHCODE_ROUTER_THRESHOLD=1.0)).route("Compute 3 + 4")
    assert (route.task_type, route.label) == (TaskType.HYBRID, RouteLabel.MATH)
    assert "both models answer" in route.reasons[-1]


def test_an_operators_keywords_count_beside_the_classifier() -> None:
    prompt = "Tell me about frobnication"
    router = build_router(Settings(MATHCODE_CODE_KEYWORDS="frobnication"))
    before, after = ROUTER.route(prompt), router.route(prompt)
    assert after.probabilities[RouteLabel.CODE] > before.probabilities[RouteLabel.CODE]
    assert any("your code keyword 'frobnication'" in reason for reason in after.reasons)


HOSTILE = ("(((,.*,[,\\,,, ,(?P<x>", "c++,矩阵,ß,İ", "w," * 1000)


@pytest.mark.parametrize("keywords", HOSTILE, ids=["signs", "scripts", "many"])
def test_hostile_keywords_are_only_words(keywords: str) -> None:
    for kind in ("learned", "keywords"):
        router = build_router(Settings(ROUTER=kind, MATHCODE_CODE_KEYWORDS=keywords))
        route = router.route("Prove (((the theorem .* [")
        assert not route.is_fallback


WEIGHTS = SHIPPED.read_bytes()
LENGTH = struct.unpack_from("<Q", WEIGHTS)[0]
BROKEN = [
    b"",
    b"nonsense",
    b"\xff" * 4000,
    WEIGHTS[:-4],
    WEIGHTS[: 8 + LENGTH] + struct.pack("<f", float("nan")) + WEIGHTS[12 + LENGTH :],
    WEIGHTS[:8] + b"[" * LENGTH + WEIGHTS[8 + LENGTH :],
    WEIGHTS.replace(b'"temperature": "', b'"temperature": "-'),
    WEIGHTS.replace(b'"piece_weight"', b'"other_weight"'),
]


@pytest.mark.parametrize("content", BROKEN)
def test_without_good_weights_keywords_answer_and_say_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w").write_bytes(content)
    router = build_router(Settings(MATHCODE_ROUTER_WEIGHTS=tmp_path / "w"))
    route = router.route("Prove the theorem")
    assert (route.task_type, route.is_fallback, route.version) == (TaskType.MATH, True, "keywords")
    assert router.alarm
    assert str(tmp_path) not in router.alarm


def test_missing_weights_are_an_expected_failure(tmp_path: Path) -> None:
    assert isinstance(load_weights(tmp_path / "none"), BadWeights)
    assert isinstance(load_weights(tmp_path), BadWeights)


def test_weights_of_this_installation_win_over_those_shipped(tmp_path: Path) -> None:
    settings = Settings(MATHCODE_DATA_DIR=tmp_path)
    assert build_router(settings).version == ROUTER.version
    (tmp_path / OWN).parent.mkdir()
    (tmp_path / OWN).write_bytes(WEIGHTS.replace(ROUTER.version.encode(), b"router-00000000"))
    assert build_router(settings).version == "router-00000000"


def test_a_fault_in_the_classifier_never_fails_a_request(caplog: pytest.LogCaptureFixture) -> None:
    good = load_weights()
    assert isinstance(good, Classifier)
    short = Classifier(good.version, good.weights[:8], good.bias, good.temperature, good.piece_weight)
    router = LearnedRouter(short, KeywordRouter(), threshold=0.9, general=TaskType.MATH)
    assert router.route("Debug this").model_dump(include={"task_type", "is_fallback"}) == {
        "task_type": TaskType.CODE,
        "is_fallback": True,
    }
    assert "ALARM" in caplog.text


def test_weights_survive_writing_and_reading() -> None:
    model = load_weights()
    assert isinstance(model, Classifier)
    assert render_weights(parse_weights(render_weights(model))) == WEIGHTS


def test_rows_of_older_ledgers_still_parse() -> None:
    old = '{"task_type": "math", "confidence": 0.5, "reasons": []}'
    assert Route.model_validate_json(old).version == "keywords"
