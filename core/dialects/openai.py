"""OpenAI's dialect: a request body into ours, one for each choice, and ended jobs into its response.

call = parse(CHAT, body)                    # raises InvalidRequest, naming the parameter
jobs = [... for request in call.requests]   # one for each choice, in this order
status, body = respond(call, id, jobs)      # once all of them have ended
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from core.dialects import openai_parameters
from core.dialects.openai_conversation import read_messages
from core.dialects.openai_errors import CallFailure, error_body, failure_of
from core.dialects.openai_models import HYBRID, Asked, parse_model
from core.dialects.openai_parameters import ChatParameters, Parameters, TextParameters, read_object
from core.dialects.openai_results import CHAT, render_body, render_usage
from core.errors import InvalidRequest
from core.jobs import Job
from core.messages import GenerationRequest, PromptForm, Sampling, Strategy, TaskType, Turn

TEXT = "/v1/completions"
ENDPOINTS = (CHAT, TEXT)

__all__ = [
    "CHAT",
    "ENDPOINTS",
    "TEXT",
    "Call",
    "CallFailure",
    "error_body",
    "failure_of",
    "parse",
    "read_object",
    "render",
    "render_usage",
    "respond",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A parsed request: `requests` has one for each choice, `n` of each prompt."""

    endpoint: str
    model: str  # as asked for
    requests: tuple[GenerationRequest, ...]
    n: int = 1
    stream: bool = False
    include_usage: bool = False

    @property
    def is_chat(self) -> bool:
        return self.endpoint == CHAT

    def reproducible(self, seed: int) -> Call:
        """With seeds from `seed` on where there are none, so that text begun again elsewhere is the same."""
        if any(request.sampling.seed is not None for request in self.requests):
            return self
        return replace(
            self, requests=tuple(_seeded(request, seed + index) for index, request in enumerate(self.requests))
        )


def parse(
    endpoint: str, body: bytes | Mapping[str, Any], *, default_strategy: Strategy = Strategy.PARALLEL
) -> Call:
    """Read the body of a POST to one of ENDPOINTS. Raises InvalidRequest, with the parameter to change."""
    if endpoint == CHAT:
        chat = openai_parameters.parse_chat(body)
        return _call(endpoint, chat, _chat_requests(chat, default_strategy))
    if endpoint == TEXT:
        text = openai_parameters.parse_text(body)
        return _call(endpoint, text, _text_requests(text, default_strategy))
    raise InvalidRequest(f"{endpoint[:64]!r} is none of {', '.join(ENDPOINTS)}: use one of them", param="url")


def render(call: Call, id: str, jobs: Sequence[Job]) -> dict[str, Any]:
    """The response's body; `jobs` have succeeded, one for each of `call.requests`."""
    return render_body(jobs, id=id, model=call.model, n=call.n, is_chat=call.is_chat)


def respond(call: Call, id: str, jobs: Sequence[Job]) -> tuple[int, dict[str, Any]]:
    """Status and body, whether the ended jobs succeeded or not: one that failed fails the call."""
    failure = next((found for job in jobs if (found := failure_of(job))), None)
    return (failure.status, failure.body) if failure else (200, render(call, id, jobs))


def _call(endpoint: str, given: Parameters, requests: tuple[GenerationRequest, ...]) -> Call:
    return Call(
        endpoint=endpoint,
        model=given.model,
        requests=requests,
        n=given.n,
        stream=given.stream,
        include_usage=given.stream_options is not None and given.stream_options.include_usage,
    )


def _chat_requests(given: ChatParameters, strategy: Strategy) -> tuple[GenerationRequest, ...]:
    asked = _asked(given)
    history, prompt = read_messages(given.messages)
    return _choices(given, asked, prompt=prompt, history=history, form=PromptForm.CHAT, strategy=strategy)


def _text_requests(given: TextParameters, strategy: Strategy) -> tuple[GenerationRequest, ...]:
    asked = _asked(given)
    if asked.task_type is TaskType.HYBRID:
        problem = f"the model {HYBRID} answers chats only: ask for another, or at /v1/chat/completions"
        raise InvalidRequest(problem, param="model" if given.model == HYBRID else "force_task_type")
    return tuple(
        request
        for prompt in given.prompt
        for request in _choices(given, asked, prompt=prompt, form=PromptForm.TEXT, strategy=strategy)
    )


def _asked(given: Parameters) -> Asked:
    asked = parse_model(given.model)
    if given.force_task_type in (None, asked.task_type):
        return asked
    if asked.task_type is not None:
        problem = f"the model {given.model} says {asked.task_type} already: leave force_task_type out"
        raise InvalidRequest(problem, param="force_task_type")
    return Asked(given.force_task_type)


def _choices(
    given: Parameters,
    asked: Asked,
    *,
    prompt: str,
    form: PromptForm,
    strategy: Strategy,
    history: tuple[Turn, ...] = (),
) -> tuple[GenerationRequest, ...]:
    """One request for each of the n choices; only their seeds differ."""
    try:
        return tuple(
            GenerationRequest(
                prompt=prompt,
                history=history,
                form=form,
                version=asked.version,
                force_task_type=asked.task_type,
                strategy=given.strategy or strategy,
                priority=given.priority,
                sampling=_sampling(given, choice),
                deadline_s=given.deadline_s,
            )
            for choice in range(given.n)
        )
    except ValidationError as error:
        raise openai_parameters.refusal(error) from None


def _seeded(request: GenerationRequest, seed: int) -> GenerationRequest:
    return request.model_copy(update={"sampling": request.sampling.model_copy(update={"seed": seed})})


def _sampling(given: Parameters, choice: int) -> Sampling:
    shared = {name: getattr(given, name) for name in _SHARED}
    seed = None if given.seed is None else (given.seed + choice) % 2**63
    return Sampling(max_tokens=given.most_tokens, logprobs=given.alternatives, seed=seed, **shared)


_SHARED = tuple(name for name in Sampling.model_fields if name not in ("max_tokens", "logprobs", "seed"))
