"""The parameters of an OpenAI request: those served, with their bounds, and those refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import from_json, to_json

from core.errors import InvalidRequest
from core.messages import MAX_DEADLINE_S, MAX_LOGPROBS, Priority, StopString, Strategy, TaskType, Text

MAX_CHOICES = 8
DEFAULT_TEXT_TOKENS = 16  # OpenAI's default of /v1/completions, where max_tokens is not given

Tokens = Annotated[int, Field(ge=1, le=1_000_000)]
Label = Annotated[str, Field(max_length=512)]
_Trivial = tuple[object, ...]
_P = TypeVar("_P", bound=BaseModel)

_CODES = {"extra_forbidden": "unknown_parameter", "missing": "missing_parameter"}

_UNSUPPORTED: Mapping[str, _Trivial] = {
    "logit_bias": ({},),
    "store": (False,),
    "service_tier": ("auto", "default"),
}
"""Refused by name unless null or one of these values, which ask for nothing."""

_UNSUPPORTED_IN_CHAT: Mapping[str, _Trivial] = {
    **_UNSUPPORTED,
    "audio": (),
    "function_call": ("none",),
    "functions": ([],),
    "modalities": (["text"],),
    "parallel_tool_calls": (True,),
    "prediction": (),
    "reasoning_effort": ("none",),
    "response_format": ({"type": "text"},),
    "tool_choice": ("none",),
    "tools": ([],),
    "verbosity": ("medium",),
    "web_search_options": (),
}
_UNSUPPORTED_IN_TEXT: Mapping[str, _Trivial] = {**_UNSUPPORTED, "echo": (False,), "suffix": ("",)}


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class StreamOptions(_Strict):
    include_usage: bool = False
    include_obfuscation: bool = False

    @field_validator("include_obfuscation")
    @classmethod
    def _never(cls, value: bool) -> bool:
        if value:
            raise ValueError("is not supported here: leave it out")
        return value


class Parameters(_Strict):
    """What both endpoints take, with OpenAI's defaults; what follows `deadline_s` is accepted without effect."""

    model: Annotated[Text, Field(min_length=1, max_length=256)]
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] = 1
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Tokens | None = None
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 1.0
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    frequency_penalty: Annotated[float, Field(ge=-2.0, le=2.0)] = 0.0
    presence_penalty: Annotated[float, Field(ge=-2.0, le=2.0)] = 0.0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Annotated[tuple[StopString, ...], Field(max_length=16)] = ()
    # Extensions: what OpenAI does not have, sent by its client as extra_body.
    top_k: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    min_p: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    repetition_penalty: Annotated[float, Field(gt=0.0, le=2.0)] = 1.0
    force_task_type: TaskType | None = None
    strategy: Strategy | None = None
    priority: Priority = Priority.NORMAL
    deadline_s: Annotated[float, Field(gt=0.0, le=MAX_DEADLINE_S)] | None = None
    user: Label | None = None
    safety_identifier: Label | None = None
    prompt_cache_key: Label | None = None
    prompt_cache_retention: Label | None = None
    metadata: Annotated[dict[Label, Label], Field(max_length=16)] | None = None

    @model_validator(mode="after")
    def _options_need_a_stream(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise _Refused("stream_options", "is only for streams: set stream to true, or leave it out")
        return self

    @property
    def alternatives(self) -> int | None:
        """How many log-probabilities of other tokens are asked for with each token; None: of no token."""
        raise NotImplementedError

    @property
    def most_tokens(self) -> int | None:
        return self.max_tokens


class ChatParameters(Parameters):
    """The body of /v1/chat/completions; `messages` are read by `openai_conversation`."""

    messages: Annotated[list[dict[str, Any]], Field(min_length=1)]
    max_completion_tokens: Tokens | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise _Refused("top_logprobs", "needs logprobs: set logprobs to true, or leave it out")
        if self.max_tokens and self.max_completion_tokens and self.max_tokens != self.max_completion_tokens:
            raise _Refused("max_tokens", "differs from max_completion_tokens: send one of them")
        return self

    @property
    def alternatives(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None

    @property
    def most_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens


class TextParameters(Parameters):
    """The body of /v1/completions; several prompts give n choices each, in their order."""

    prompt: tuple[Text, ...]
    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    best_of: int | None = None

    @model_validator(mode="after")
    def _is_no_search(self) -> Self:
        if self.best_of is not None and self.best_of != self.n:
            raise _Refused("best_of", "is not supported here unless it is n: leave it out")
        if not 1 <= len(self.prompt) * self.n <= MAX_CHOICES:
            raise _Refused(
                "prompt", f"one call gives 1 to {MAX_CHOICES} choices, n for each prompt: send others apart"
            )
        return self

    @property
    def alternatives(self) -> int | None:
        return self.logprobs

    @property
    def most_tokens(self) -> int | None:
        return self.max_tokens or DEFAULT_TEXT_TOKENS


class _Refused(ValueError):
    """A parameter to blame from a check of several."""

    def __init__(self, param: str, problem: str) -> None:
        super().__init__(problem)
        self.param = param


def parse_chat(body: bytes | Mapping[str, Any]) -> ChatParameters:
    """Raises InvalidRequest naming the first parameter to change."""
    given = _supported(read_object(body), ChatParameters, _UNSUPPORTED_IN_CHAT)
    return _validate(ChatParameters, _with_stops(given))


def parse_text(body: bytes | Mapping[str, Any]) -> TextParameters:
    """As `parse_chat`."""
    given = _supported(read_object(body), TextParameters, _UNSUPPORTED_IN_TEXT)
    prompt = given.get("prompt")
    if isinstance(prompt, list) and any(not isinstance(each, str) for each in prompt):
        problem = "prompt: tokens are not supported here: send text"
        raise InvalidRequest(problem, param="prompt", code="unsupported_value")
    if isinstance(prompt, str):
        given["prompt"] = [prompt]
    return _validate(TextParameters, _with_stops(given))


def read_object(body: bytes | Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object. Raises InvalidRequest."""
    if isinstance(body, Mapping):
        return dict(body)
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(
            f"the body is not valid JSON ({error}): send a JSON object", code="invalid_json"
        ) from None
    if not isinstance(value, dict):
        raise InvalidRequest("the body is no JSON object: send one", code="invalid_json")
    return value


def _supported(
    given: dict[str, Any], parameters: type[Parameters], unsupported: Mapping[str, _Trivial]
) -> dict[str, Any]:
    """`given` without what asks for nothing: nulls, and trivial values of what is unsupported."""
    kept: dict[str, Any] = {}
    for name, value in given.items():
        if name in unsupported:
            if value is not None and not any(_is(value, trivial) for trivial in unsupported[name]):
                problem = f"{name} is not supported here: leave it out"
                raise InvalidRequest(problem, param=name, code="unsupported_parameter")
        elif value is not None or name not in parameters.model_fields:
            kept[name] = value
    return kept


def _is(value: object, trivial: object) -> bool:
    return type(value) is type(trivial) and value == trivial


def _with_stops(given: dict[str, Any]) -> dict[str, Any]:
    return {**given, "stop": [given["stop"]]} if isinstance(given.get("stop"), str) else given


def _validate(parameters: type[_P], given: dict[str, Any]) -> _P:
    try:
        return parameters.model_validate_json(to_json(given, inf_nan_mode="constants"))
    except ValidationError as error:
        raise refusal(error) from None
    except ValueError:  # a lone surrogate, which only a Mapping can carry
        raise InvalidRequest(
            "the body holds text that is not Unicode: send valid text", code="invalid_json"
        ) from None


def refusal(error: ValidationError) -> InvalidRequest:
    """The first problem, its parameter written as OpenAI does: `messages[0].role`."""
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    param = cause.param if isinstance(cause, _Refused) else _path(first["loc"])
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        what = "there is no such parameter: leave it out"
    code = _CODES.get(first["type"], "invalid_value")
    return InvalidRequest(f"{param}: {what}" if param else what, param=param, code=code)


def _path(location: tuple[int | str, ...]) -> str | None:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".")[:200] or None
