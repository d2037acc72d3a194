"""How a job ends, given how its models ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.messages import (
    Completion,
    Failure,
    FailureCode,
    FinishReason,
    JobState,
    ModelName,
    Outcome,
    TaskType,
    Verdict,
)
from ensemble.merging import HEADINGS, merge
from ensemble.prompting import models_for

MATHSTRAL, CODESTRAL = ModelName.MATHSTRAL, ModelName.CODESTRAL


def completion(model: ModelName, text: str = "text") -> Completion:
    return Completion(
        model=model,
        version=f"{model}-v1",
        text=text,
        finish_reason=FinishReason.STOP,
        prompt_tokens=3,
        completion_tokens=5,
    )


def failure(model: ModelName, code: FailureCode, text: str = "") -> Failure:
    return Failure(model=model, code=code, message=f"{code} happened", text=text)


def outcome_of(model: ModelName) -> st.SearchStrategy[Outcome]:
    texts = st.text(alphabet="abc", max_size=4)
    failures = st.builds(failure, st.just(model), st.sampled_from(FailureCode), texts)
    return st.one_of(st.builds(completion, st.just(model), texts), failures)


@st.composite
def jobs(draw: st.DrawFn) -> tuple[TaskType, list[Outcome]]:
    task_type = draw(st.sampled_from(TaskType))
    return task_type, [draw(outcome_of(model)) for model in models_for(task_type)]


def judge(*outcomes: Outcome, task_type: TaskType = TaskType.HYBRID) -> Verdict:
    return merge(task_type=task_type, outcomes=outcomes)


@pytest.mark.parametrize("task_type", [TaskType.MATH, TaskType.CODE])
def test_one_completion_is_the_answer_word_for_word(task_type: TaskType) -> None:
    (model,) = models_for(task_type)
    verdict = judge(completion(model, " x\n"), task_type=task_type)
    assert verdict.state is JobState.SUCCEEDED
    assert verdict.error is None
    assert verdict.answer is not None
    assert (verdict.answer.response, verdict.answer.model_used) == (" x\n", f"{model}-v1")
    assert not verdict.answer.degraded


def test_a_hybrid_answer_puts_the_mathematics_before_the_implementation() -> None:
    answer = judge(completion(CODESTRAL, "def f(): ..."), completion(MATHSTRAL, "Lemma.")).answer
    assert answer is not None
    assert answer.response == "## Mathematics\n\nLemma.\n\n## Implementation\n\ndef f(): ..."
    assert answer.model_used == "mathstral-v1 + codestral-v1"
    assert not answer.degraded


@pytest.mark.parametrize("model", list(ModelName))
@pytest.mark.parametrize("code", [code for code in FailureCode if code is not FailureCode.CANCELLED])
def test_one_failed_branch_degrades_a_hybrid_and_is_kept(model: ModelName, code: FailureCode) -> None:
    (other,) = set(ModelName) - {model}
    lost = failure(model, code, "half")
    verdict = judge(lost, completion(other))
    assert (verdict.state, verdict.error) == (JobState.SUCCEEDED, None)
    assert verdict.answer is not None
    assert (verdict.answer.response, verdict.answer.model_used) == ("text", f"{other}-v1")
    assert verdict.answer.degraded
    assert verdict.answer.failures == (lost,)


def test_a_hybrid_that_lacks_a_model_is_degraded_even_without_a_failure() -> None:
    answer = judge(completion(MATHSTRAL)).answer
    assert answer is not None
    assert answer.degraded


def test_a_cancellation_wins_over_a_completion_and_keeps_all_text() -> None:
    cancelled = failure(CODESTRAL, FailureCode.CANCELLED, "def f")
    verdict = judge(completion(MATHSTRAL, "Lemma."), cancelled)
    assert (verdict.state, verdict.error) == (JobState.CANCELLED, cancelled)
    assert verdict.answer is not None
    assert verdict.answer.response == "## Mathematics\n\nLemma.\n\n## Implementation\n\ndef f"
    assert verdict.answer.model_used == "mathstral-v1 + codestral"
    assert verdict.answer.degraded


@pytest.mark.parametrize(
    ("codes", "state"),
    [
        ((FailureCode.DEAD, FailureCode.CANCELLED), JobState.CANCELLED),
        ((FailureCode.EXPIRED, FailureCode.DEAD), JobState.DEAD),
        ((FailureCode.ENGINE_FAILED, FailureCode.EXPIRED), JobState.EXPIRED),
        ((FailureCode.ENGINE_FAILED, FailureCode.PROMPT_TOO_LONG), JobState.FAILED),
    ],
)
def test_the_gravest_failure_names_the_end(codes: tuple[FailureCode, FailureCode], state: JobState) -> None:
    verdict = judge(failure(MATHSTRAL, codes[0]), failure(CODESTRAL, codes[1]))
    assert verdict.state is state
    assert verdict.error is not None
    assert verdict.error.code is codes[1]
    assert verdict.answer is None


@pytest.mark.parametrize("code", [FailureCode.CANCELLED, FailureCode.EXPIRED])
def test_text_of_a_cancelled_or_expired_answer_is_kept(code: FailureCode) -> None:
    answer = judge(failure(MATHSTRAL, code, "x = "), task_type=TaskType.MATH).answer
    assert answer is not None
    assert (answer.response, answer.model_used, answer.degraded) == ("x = ", "mathstral", True)


def test_nothing_to_merge_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least one"):
        judge()


@given(jobs())
def test_the_order_of_outcomes_does_not_matter(job: tuple[TaskType, list[Outcome]]) -> None:
    task_type, outcomes = job
    assert merge(task_type=task_type, outcomes=outcomes) == merge(task_type=task_type, outcomes=outcomes[::-1])


@given(jobs())
def test_every_job_ends_finally_with_an_answer_or_a_reason(job: tuple[TaskType, list[Outcome]]) -> None:
    verdict = merge(task_type=job[0], outcomes=job[1])
    assert verdict.state.is_final
    assert (verdict.error is None) == (verdict.state is JobState.SUCCEEDED)
    assert verdict.answer is not None or verdict.error is not None


@given(jobs())
def test_every_completed_text_reaches_the_caller(job: tuple[TaskType, list[Outcome]]) -> None:
    verdict = merge(task_type=job[0], outcomes=job[1])
    for outcome in job[1]:
        if isinstance(outcome, Completion):
            assert verdict.answer is not None
            assert outcome.text.strip() in verdict.answer.response
            assert outcome in verdict.answer.completions


@given(jobs())
def test_headings_appear_only_where_there_are_two_texts(job: tuple[TaskType, list[Outcome]]) -> None:
    answer = merge(task_type=job[0], outcomes=job[1]).answer
    if answer is not None and job[0] is not TaskType.HYBRID:
        assert not any(heading in answer.response for heading in HEADINGS.values())
