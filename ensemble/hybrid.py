"""Both models in one process, without queue or database: load, ask, get one merged answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self, TypedDict

from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from core.errors import ConfigurationError, InvalidRequest, MathcodeError, Unavailable
from core.messages import (
    Completion,
    Failure,
    FailureCode,
    GenerationRequest,
    ModelName,
    Outcome,
    Route,
    Sampling,
    Strategy,
    TaskType,
    Verdict,
)
from core.settings import Settings
from core.work import Delta, Work
from ensemble import merging, prompting
from ensemble.router_files import build_router

if TYPE_CHECKING:
    from ensemble.engine.engine import ModelEngine


_FULL_NAMES = {"profile": "profile_choice", "device": "device_override", "weights": "weights_override"}


class EnsembleConfig(Settings):
    """The process's settings, any of which may be given by name: `EnsembleConfig(profile="full", slots=2)`.

    `profile` is short for `profile_choice`, `device` and `weights` for `device_override` and `weights_override`.

    Raises:
        ConfigurationError: a name is unknown or a value out of range; all are reported together.
    """

    model_config = SettingsConfigDict(populate_by_name=True, extra="forbid")

    def __init__(self, **given: Any) -> None:
        named = {_FULL_NAMES.get(name, name): value for name, value in given.items()}
        try:
            super().__init__(**named)
        except ValidationError as error:
            problems = "; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
            raise ConfigurationError(f"bad EnsembleConfig: {problems}") from None


class HybridResult(TypedDict):
    """What `generate` returns; the first two are the seed's, `completions` and `failures` are per model."""

    response: str
    model_used: str
    task_type: str
    confidence: float
    reasons: list[str]
    state: str
    degraded: bool
    completions: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    tokens: int
    seconds: float


class HybridMathCodeEnsemble:
    """Routes a prompt to one model or both, in this process. `generate` may be called from any thread."""

    def __init__(self, config: EnsembleConfig | None = None) -> None:
        self.config = config if config is not None else EnsembleConfig()
        self._router = build_router(self.config)
        self._engines: dict[ModelName, ModelEngine[Any]] = {}

    def load_models(self) -> None:
        """Load both models, making or downloading their checkpoints where needed; a second call does nothing.

        Raises:
            ConfigurationError: a model cannot be served here; the message says what to do.
        """
        from ensemble.engine.build import build_engine

        for model in ModelName:
            if model not in self._engines:
                self._engines[model] = build_engine(model, self.config)

    def close(self) -> None:
        """Stop both models and let go of them. Idempotent."""
        while self._engines:
            self._engines.popitem()[1].close()

    def __enter__(self) -> Self:
        self.load_models()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def generate(self, prompt: str, force_task_type: TaskType | None = None, **options: Any) -> HybridResult:
        """Answer `prompt`, wrapped in `[INST] ... [/INST]` or not.

        `options` are the fields of `Sampling` (max_tokens, temperature, seed, stop, logprobs and so on), and of
        `GenerationRequest` `strategy`, `priority` and `deadline_s`.

        Raises:
            InvalidRequest: a value is out of range, or the prompt does not fit any model's context.
            Unavailable: no model gave an answer.
        """
        if not self._engines:
            raise RuntimeError("call load_models() before generate()")
        began = time.monotonic()
        request = _request(prompt, force_task_type, {"strategy": self.config.strategy, **options})
        route = self._router.route(request.prompt, request.force_task_type)
        outcomes = self._outcomes(request, route.task_type)
        verdict = merging.merge(task_type=route.task_type, outcomes=outcomes, question=request.prompt)
        return _result(route, verdict, time.monotonic() - began)

    def _outcomes(self, request: GenerationRequest, task_type: TaskType) -> list[Outcome]:
        models = prompting.models_for(task_type)
        deadline = time.time() + request.deadline_s if request.deadline_s is not None else None
        if request.strategy is Strategy.PARALLEL or len(models) == 1:
            with ThreadPoolExecutor(len(models)) as pool:
                return list(pool.map(lambda model: self._ask(model, task_type, request, deadline), models))
        outcomes: list[Outcome] = []
        for model in models:
            notes = next((outcome.text for outcome in outcomes if isinstance(outcome, Completion)), None)
            outcomes.append(self._ask(model, task_type, request, deadline, notes=notes))
        return outcomes

    def _ask(
        self,
        model: ModelName,
        task_type: TaskType,
        request: GenerationRequest,
        deadline: float | None,
        *,
        notes: str | None = None,
    ) -> Outcome:
        messages = prompting.compose(request, model=model, task_type=task_type, notes=notes)
        work = Work(messages=messages, sampling=request.sampling, priority=request.priority, deadline=deadline)
        for event in self._engines[model].generate(work):
            if not isinstance(event, Delta):
                return event
        raise RuntimeError(f"the engine of {model} ended without an outcome")


def _request(prompt: str, forced: TaskType | None, options: Mapping[str, Any]) -> GenerationRequest:
    outer = {name: value for name, value in options.items() if name in ("strategy", "priority", "deadline_s")}
    sampling = {name: value for name, value in options.items() if name not in outer}
    if isinstance(sampling.get("stop"), str):
        sampling["stop"] = (sampling["stop"],)
    try:
        return GenerationRequest(prompt=prompt, force_task_type=forced, sampling=Sampling(**sampling), **outer)
    except ValidationError as error:
        first = error.errors()[0]
        param = str(first["loc"][0])
        raise InvalidRequest(f"{param}: {first['msg']}", param=param) from error


def _result(route: Route, verdict: Verdict, seconds: float) -> HybridResult:
    answer = verdict.answer
    if answer is None:
        raise _error(verdict.error)
    return HybridResult(
        response=answer.response,
        model_used=answer.model_used,
        task_type=route.task_type.value,
        confidence=route.confidence,
        reasons=list(route.reasons),
        state=verdict.state.value,
        degraded=answer.degraded,
        completions=[completion.model_dump(mode="json") for completion in answer.completions],
        failures=[failure.model_dump(mode="json") for failure in answer.failures],
        tokens=sum(completion.completion_tokens for completion in answer.completions),
        seconds=seconds,
    )


def _error(failure: Failure | None) -> MathcodeError:
    if failure is None:
        return Unavailable("no model gave an answer")
    if failure.code is FailureCode.PROMPT_TOO_LONG:
        return InvalidRequest(failure.message, param="prompt", code=failure.code.value)
    return Unavailable(f"{failure.model}: {failure.message}")
