"""Laws of the one document that two texts become."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.composition import ANSWER, IMPLEMENTATION, MATHEMATICS, NOTATION, compose_document
from tests.pace import slowness

QUESTION = "Implement Newton's method in Python and prove that it converges quadratically."


def compose(mathematics: str, implementation: str, question: str = QUESTION) -> str:
    return compose_document(question=question, mathematics=mathematics, implementation=implementation)


def test_the_mathematics_comes_before_the_implementation() -> None:
    assert compose("Lemma.", "def f") == f"{MATHEMATICS}\n\nLemma.\n\n{IMPLEMENTATION}\n\ndef f"


@pytest.mark.parametrize("form", ["{}", "**Question:** {}", "## {}", "> Task: {}"])
def test_the_question_is_not_repeated(form: str) -> None:
    document = compose(f"{form.format(QUESTION)}\n\nLemma.", f"{form.format(QUESTION)}\n\ndef f")
    assert "prove that it converges" not in document
    assert "Lemma." in document


def test_a_first_paragraph_that_says_more_than_the_question_stays() -> None:
    first = "Newton's method converges quadratically near a simple root, since the error is squared at each step."
    assert first in compose(f"{first}\n\nProof.", "def f")


def test_the_final_answer_stands_once_and_last() -> None:
    document = compose("We halve.\n\n**Final answer:** 12", "print(12)\n\nThe answer is 12")
    assert document.endswith(f"{ANSWER}\n\n12")
    assert document.count("answer") == 0
    assert document.count(ANSWER) == 1
    assert "disagree" not in document


def test_a_boxed_result_is_the_answer() -> None:
    assert compose(r"So $\boxed{\frac{1}{2}}$.", "code").endswith(f"{ANSWER}\n\n$\\frac{{1}}{{2}}$")


@pytest.mark.parametrize(
    ("first", "second"), [("12", "13"), ("3.14", "3.24"), ("$x = -2$", "x = 2"), ("1e3", "100")]
)
def test_results_that_differ_are_pointed_out_side_by_side(first: str, second: str) -> None:
    document = compose(f"Proof.\n\nAnswer: {first}", f"Run it.\n\nResult: {second}")
    (warning,) = [line for line in document.splitlines() if "disagree" in line]
    assert first in warning
    assert second in warning


@pytest.mark.parametrize(
    ("first", "second"),
    [("12", "12.0"), ("3.14", "3.14159"), ("1,000", "1000"), ("yes", "no number"), ("1e3", "1000")],
)
def test_the_same_result_written_otherwise_is_no_contradiction(first: str, second: str) -> None:
    assert "disagree" not in compose(f"Proof.\n\nAnswer: {first}", f"Run it.\n\nResult: {second}")


def test_costs_that_differ_are_pointed_out() -> None:
    assert "disagree on the cost" in compose("It takes $O(n \\log n)$ steps.", "This runs in O(n^2).")
    assert "disagree" not in compose("It takes O(n log n).", "This runs in $O(n \\log n)$.")


def test_symbols_that_both_use_are_explained_once() -> None:
    document = compose(
        r"Let $h$ be the step size and $\alpha$ is the damping factor; $q$ is the unused one.",
        "```python\ndef step(h, alpha):\n    return h * alpha\n```",
    )
    assert document.startswith(NOTATION)
    assert "| $h$ | `h` | the step size" in document
    assert r"| $\alpha$ | `alpha` | the damping factor |" in document
    assert "$q$ |" not in document


def test_headings_sink_below_ours_and_comments_in_code_do_not() -> None:
    document = compose("# Proof\n\nx", "# Usage\n\n```python\n# a comment\nThe answer is 3\n```")
    assert "### Proof" in document
    assert "### Usage" in document
    assert "\n# a comment\nThe answer is 3\n" in document
    assert ANSWER not in document


@given(
    st.text("ab `~\n#$:.\\{}O(n)", max_size=120), st.text("ab `~\n#$:.\\{}O(n)", max_size=120), st.text("ab \n")
)
def test_any_two_texts_become_the_same_document_each_time(first: str, second: str, question: str) -> None:
    document = compose(first, second, question)
    assert document == compose(first, second, question)
    assert document.count(MATHEMATICS) >= 1
    assert document.count(IMPLEMENTATION) >= 1


@pytest.mark.parametrize(
    "text", ["`" * 100_000, "$a$ is the " * 9_000, "\\boxed{" * 20_000, "O(" * 90_000, "# x\n" * 9_000]
)
def test_hostile_texts_cost_no_more_than_their_length(text: str) -> None:
    began = time.process_time()
    compose(text, text)
    assert time.process_time() - began < 2 * slowness()
