"""The router's laws: what counts as evidence, what wins, and what it costs."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.messages import TaskType
from ensemble.routing.keyword_router import KeywordRouter as Router
from ensemble.routing.keyword_search import HEAD_CHARACTERS, TAIL_CHARACTERS
from tests.pace import slowness

ROUTER = Router()
SEED_HYBRID = "Implement a numerical gradient descent algorithm with mathematical proof"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Solve the equation: 2x^2 + 5x - 3 = 0", TaskType.MATH),
        ("Implement a binary search tree in Python", TaskType.CODE),
        (SEED_HYBRID, TaskType.HYBRID),
        ("Calculate the integral of x^2", TaskType.MATH),
        ("State the central limit theorem", TaskType.MATH),
        ("Debug this", TaskType.CODE),
        ("Please refactor my function", TaskType.CODE),
        ("What is the algorithm complexity of merge sort?", TaskType.HYBRID),
        ("Suggest a numerical algorithm", TaskType.HYBRID),
        ("Which optimization algorithms do you know?", TaskType.HYBRID),
        ("Write C++ code that proves the theorem by exhaustion", TaskType.HYBRID),
    ],
)
def test_the_documented_rules_hold(prompt: str, expected: TaskType) -> None:
    assert ROUTER.route(prompt).task_type is expected


@pytest.mark.parametrize(
    "prompt",
    [
        "what does this do?\n```\nx\n```",
        "def area(radius):\n    return 3",
        "    async def area(radius): ...",
        "class Tree:\n    pass",
        "import numpy as np\nwhat is np?",
        "> from os.path import join",
        "#include <stdio.h>",
    ],
)
def test_pasted_code_is_evidence_of_programming(prompt: str) -> None:
    assert ROUTER.route(prompt).task_type is TaskType.CODE


@pytest.mark.parametrize("prompt", ["The first class was full", "We import fruit from Spain", "a def of freedom"])
def test_prose_that_only_resembles_code_shows_no_pattern(prompt: str) -> None:
    assert not any("pattern" in reason for reason in ROUTER.route(prompt).reasons)


def test_words_both_crafts_share_do_not_make_a_hybrid() -> None:
    assert ROUTER.route("Let f be a function. Prove the theorem.").task_type is TaskType.MATH
    assert ROUTER.route("Write a function to calculate the sum of a list").task_type is TaskType.CODE


@pytest.mark.parametrize("forced", list(TaskType))
def test_forced_wins_over_all_evidence_and_says_so(forced: TaskType) -> None:
    route = ROUTER.route(SEED_HYBRID, forced=forced)
    assert (route.task_type, route.confidence) == (forced, 1.0)
    assert "forced" in route.reasons[0]


@pytest.mark.parametrize("default", list(TaskType))
def test_without_evidence_the_default_answers_with_low_confidence(default: TaskType) -> None:
    route = Router(default=default).route("Tell me about the sea")
    assert route.task_type is default
    assert route.confidence < 0.2
    assert "no keyword" in route.reasons[-1]


def test_a_draw_between_shared_words_goes_to_the_default() -> None:
    route = Router(default=TaskType.CODE).route("calculate the function")
    assert route.task_type is TaskType.CODE
    assert "draw" in route.reasons[-1]


@pytest.mark.parametrize(
    "prompt", ["terrorism", "presumably", "preclassical", "digits", "Erzählcodes", "naïvesum"]
)
def test_keywords_inside_other_words_do_not_count(prompt: str) -> None:
    router = Router(code_keywords=("error", "class", "git"), math_keywords=("sum",))
    assert router.route(prompt).reasons == ("no keyword: math",)


@pytest.mark.parametrize("prompt", ["用Python实现二分查找", "请用python", "C++で書いて", "Напиши на Python"])
def test_keywords_beside_scripts_without_spaces_count(prompt: str) -> None:
    assert ROUTER.route(prompt).task_type is TaskType.CODE


@given(st.sampled_from(["theorem", "Implement", "numerical algorithm", "c++", "正規表現"]), st.booleans())
def test_letter_case_never_matters(keyword: str, upper: bool) -> None:
    router = Router(code_keywords=("正規表現",))
    text = keyword.upper() if upper else keyword.lower()
    assert router.route(f"a {text} b") == router.route(f"a {keyword} b")


@pytest.mark.parametrize("form", ["solve", "solves", "solved", "solving"])
def test_regular_english_endings_count_as_the_keyword(form: str) -> None:
    assert any("'solve'" in reason for reason in ROUTER.route(f"{form} it").reasons)


def test_further_keywords_add_to_the_built_in_ones() -> None:
    router = Router(math_keywords=("Manifold", "矩阵"), code_keywords=("zig build",), hybrid_keywords=("kalman",))
    assert router.route("a manifold").task_type is TaskType.MATH
    assert router.route("求矩阵的逆").task_type is TaskType.MATH
    assert router.route("how does zig  build work").task_type is TaskType.CODE
    assert router.route("a Kalman filter").task_type is TaskType.HYBRID
    assert router.route("Prove the lemma").task_type is TaskType.MATH


def test_keywords_are_text_and_not_patterns() -> None:
    assert Router(code_keywords=(".*", "(")).route("the sea").confidence < 0.2
    assert Router(code_keywords=("", "  ")).route("the sea").confidence < 0.2


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_the_instruction_wrapper_is_no_evidence(prompt: str) -> None:
    router = Router(code_keywords=("inst",))
    if "[" not in prompt and prompt.strip():
        assert router.route(f"[INST] {prompt} [/INST]") == router.route(prompt)


@given(st.text(max_size=500))
def test_every_prompt_has_one_route_with_a_reason(prompt: str) -> None:
    route = ROUTER.route(prompt)
    assert 0.0 <= route.confidence <= 1.0
    assert route.reasons
    assert ROUTER.route(prompt) == route


def test_more_agreeing_evidence_means_more_confidence() -> None:
    weak, strong = ROUTER.route("the proof"), ROUTER.route("the proof of the theorem by a lemma")
    assert weak.confidence < strong.confidence


def test_a_long_prompt_is_judged_by_its_head_and_its_tail() -> None:
    filler = "the sea " * ((HEAD_CHARACTERS + TAIL_CHARACTERS) // 8 + 10)
    assert ROUTER.route(f"Prove the theorem. {filler}").task_type is TaskType.MATH
    route = ROUTER.route(f"{filler} Debug this Python program.")
    assert route.task_type is TaskType.CODE
    assert any(reason.startswith("long prompt") for reason in route.reasons)


@pytest.mark.parametrize(
    "unit",
    ["a", " ", "\n", "```", "def ", "import a.", "c+", "[INST]", "implement ", "矩", "#include ", "numerical "],
)
def test_a_megabyte_of_hostile_text_is_routed_within_fifty_milliseconds(unit: str) -> None:
    prompt = unit * (1_000_000 // len(unit))
    assert min(_seconds(prompt) for _ in range(5)) < 0.05 * slowness()


def test_four_kilobytes_are_routed_well_below_a_millisecond() -> None:
    prompt = ("Prove that the sea is wide; a function of the wind and of the moon above it. " * 60)[:4096]
    assert min(_seconds(prompt) for _ in range(50)) < 0.001 * slowness()


def _seconds(prompt: str) -> float:
    """CPU time, so that a busy machine does not count."""
    start = time.thread_time()
    ROUTER.route(prompt)
    return time.thread_time() - start
