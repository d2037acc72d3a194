"""How the outcomes of one or two models become the end of a job; pure, and blind to the order of outcomes."""

from __future__ import annotations

from collections.abc import Sequence

from core.messages import (
    Answer,
    Completion,
    Failure,
    FailureCode,
    JobState,
    ModelName,
    Outcome,
    TaskType,
    Verdict,
)
from ensemble.composition import IMPLEMENTATION, MATHEMATICS, compose_document
from ensemble.prompting import models_for

HEADINGS = {ModelName.MATHSTRAL: MATHEMATICS, ModelName.CODESTRAL: IMPLEMENTATION}

# The first code present decides the state of a job that nobody answered; the failure that carries it is blamed.
_STATES = {
    FailureCode.CANCELLED: JobState.CANCELLED,
    FailureCode.DEAD: JobState.DEAD,
    FailureCode.EXPIRED: JobState.EXPIRED,
    FailureCode.PROMPT_TOO_LONG: JobState.FAILED,
    FailureCode.VERSION_NOT_SERVED: JobState.FAILED,
    FailureCode.ENGINE_FAILED: JobState.FAILED,
    FailureCode.TRAINING: JobState.FAILED,
}
_SEVERITY = {code: rank for rank, code in enumerate(_STATES)}
_KEEPS_TEXT = (FailureCode.CANCELLED, FailureCode.EXPIRED)
_POSITION = {model: position for position, model in enumerate(models_for(TaskType.HYBRID))}


def merge(*, task_type: TaskType, outcomes: Sequence[Outcome], question: str = "") -> Verdict:
    """Judge a job by the outcomes of all its models.

    One completion is enough to succeed, `degraded` where another was due. A cancellation wins over any completion,
    since the caller asked for it; text that exists is kept all the same. Two completions are composed into one
    document (`ensemble.composition`), for which `question` is the prompt.
    """
    if not outcomes:
        raise ValueError("a job ends with at least one outcome")
    ordered = sorted(outcomes, key=_reading_order)
    completions = tuple(outcome for outcome in ordered if isinstance(outcome, Completion))
    failures = tuple(outcome for outcome in ordered if isinstance(outcome, Failure))
    blamed = min(failures, key=lambda failure: _SEVERITY[failure.code], default=None)
    if blamed is None or (completions and blamed.code is not FailureCode.CANCELLED):
        return Verdict(state=JobState.SUCCEEDED, answer=_answer(task_type, completions, failures, question))
    answer = _partial(ordered, completions, failures)
    return Verdict(state=_STATES[blamed.code], answer=answer, error=blamed)


def _answer(
    task_type: TaskType, completions: tuple[Completion, ...], failures: tuple[Failure, ...], question: str
) -> Answer:
    due, done = models_for(task_type), {completion.model for completion in completions}
    return Answer(
        response=_composed(completions, question),
        model_used=_names(completions),
        degraded=not done.issuperset(due),
        completions=completions,
        failures=failures,
    )


def _partial(
    ordered: Sequence[Outcome], completions: tuple[Completion, ...], failures: tuple[Failure, ...]
) -> Answer | None:
    kept = [outcome for outcome in ordered if _is_kept(outcome)]
    if not kept:
        return None
    return Answer(
        response=_response(kept),
        model_used=_names(kept),
        degraded=True,
        completions=completions,
        failures=failures,
    )


def _is_kept(outcome: Outcome) -> bool:
    return isinstance(outcome, Completion) or (outcome.code in _KEEPS_TEXT and bool(outcome.text))


def _composed(completions: tuple[Completion, ...], question: str) -> str:
    texts = {completion.model: completion.text for completion in completions}
    if len(completions) != len(ModelName) or len(texts) != len(ModelName):
        return _response(completions)
    mathematics, implementation = texts[ModelName.MATHSTRAL], texts[ModelName.CODESTRAL]
    return compose_document(question=question, mathematics=mathematics, implementation=implementation)


def _response(parts: Sequence[Outcome]) -> str:
    if len(parts) == 1:
        return parts[0].text
    return "\n\n".join(f"{HEADINGS[part.model]}\n\n{part.text.strip()}" for part in parts)


def _names(parts: Sequence[Outcome]) -> str:
    """The exact versions that spoke, or the model's name where a failure knows no version."""
    names = (part.version or part.model.value for part in parts)
    return " + ".join(dict.fromkeys(names))


def _reading_order(outcome: Outcome) -> tuple[int, str]:
    return _POSITION[outcome.model], outcome.model_dump_json()
