"""What OpenAI's doors take and answer, for the documentation; a test holds every answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from api.formats.batches import BatchBody, FileFields
from core.batches import BatchState
from core.dialects.openai import ENDPOINTS
from core.dialects.openai_models import FAMILIES
from core.dialects.openai_parameters import MAX_CHOICES, ChatParameters, TextParameters
from core.messages import TaskType

Schema = dict[str, Any]

STREAM: Schema = {
    "type": "object",
    "description": "Server-sent events of chunks as OpenAI writes them; the last one is `[DONE]`.",
    "required": ["data"],
    "properties": {"data": {"type": "string"}},
}
BINARY: Schema = {"type": "string", "format": "binary"}

_MODEL: Schema = {
    "description": "One of the four, or exact weights of one model: `GET /v1/models` lists them.",
    "anyOf": [
        {"type": "string", "enum": list(FAMILIES)},
        {"type": "string", "pattern": "^(mathstral|codestral)@."},
    ],
}
_TEXT: Schema = {"type": "string", "pattern": r"^[^\u0000]*$"}
_PART: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"type": {"const": "text"}, "text": _TEXT},
    "required": ["type", "text"],
}
_MESSAGE: Schema = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"type": "string", "enum": ["system", "developer", "user", "assistant"]},
        "content": {"anyOf": [_TEXT, {"type": "array", "items": _PART, "minItems": 1}]},
    },
    "additionalProperties": {"enum": [None, [], {}]},
}


def _nullable(properties: Schema, *, required: list[str]) -> None:
    """Null says the same as leaving a parameter out."""
    for name, shape in properties.items():
        if name not in required and {"type": "null"} not in shape.get("anyOf", []):
            default = {"default": shape.pop("default")} if "default" in shape else {}
            properties[name] = {"anyOf": [shape, {"type": "null"}], **default}


def _say_more(schema: Schema) -> None:
    """What is read before the parameters are checked."""
    properties = schema["properties"]
    properties["model"] = _MODEL
    stops = properties["stop"]
    stops.pop("default", None)
    properties["stop"] = {"anyOf": [dict(stops["items"]), stops]}
    if "messages" in properties:
        properties["messages"] = {"type": "array", "items": _MESSAGE, "minItems": 1}
    if "prompt" in properties:
        prompts = {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_CHOICES}
        properties["prompt"] = {"anyOf": [_TEXT, prompts]}
    _nullable(properties, required=schema["required"])


class ChatBody(ChatParameters):
    """Of what OpenAI has beside these, what is not served is refused by name."""

    model_config = ConfigDict(json_schema_extra=_say_more)


class TextBody(TextParameters):
    """Of what OpenAI has beside these, what is not served is refused by name."""

    model_config = ConfigDict(json_schema_extra=_say_more)


def _say_more_of_batches(schema: Schema) -> None:
    properties = schema["properties"]
    properties["endpoint"]["enum"] = list(ENDPOINTS)
    properties["completion_window"]["description"] = "`24h`, or shorter, such as `90s`, `15m` or `6h`."
    properties["webhook_url"]["anyOf"][0]["format"] = "uri"


class NewBatchBody(BatchBody):
    model_config = ConfigDict(json_schema_extra=_say_more_of_batches)


def upload_content() -> Mapping[str, Mapping[str, Any]]:
    """The form of POST /v1/files."""
    fields = FileFields.model_json_schema(by_alias=True)
    fields["properties"] = {"file": BINARY, **fields["properties"]}
    fields["required"] = ["file", *fields["required"]]
    return {"multipart/form-data": {name: value for name, value in fields.items() if name != "title"}}


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class OpenAIErrorDetail(_Shape):
    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIErrorBody(_Shape):
    """Every error of OpenAI's doors."""

    error: OpenAIErrorDetail


class ModelBody(_Shape):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelListBody(_Shape):
    object: Literal["list"]
    data: list[ModelBody]


class Usage(_Shape):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChoiceOrigin(_Shape):
    """Which job a choice was, how it was routed, and who answered it."""

    id: str
    task_type: TaskType
    confidence: float
    router: str
    degraded: bool
    model: str


class Origins(_Shape):
    jobs: list[ChoiceOrigin]


class AssistantMessage(_Shape):
    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(_Shape):
    index: int
    message: AssistantMessage
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length"]


class TextChoice(_Shape):
    index: int
    text: str
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length"]


class _Completion(_Shape):
    id: str
    created: int
    model: str
    system_fingerprint: str
    usage: Usage
    mathcode: Origins


class ChatCompletionBody(_Completion):
    object: Literal["chat.completion"]
    choices: list[ChatChoice]


class TextCompletionBody(_Completion):
    object: Literal["text_completion"]
    choices: list[TextChoice]


class FileBody(_Shape):
    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    filename: str
    purpose: Literal["batch", "batch_output"]
    status: Literal["processed"]
    expires_at: int = 0


class FileListBody(_Shape):
    """`has_more` says that a further page begins after the last id."""

    object: Literal["list"]
    data: list[FileBody]
    has_more: bool


class DeletedFileBody(_Shape):
    id: str
    object: Literal["file"]
    deleted: Literal[True]


class BatchProblem(_Shape):
    code: str | None
    message: str
    line: int | None
    param: str | None


class BatchProblems(_Shape):
    object: Literal["list"]
    data: list[BatchProblem]


class RequestCounts(_Shape):
    total: int
    completed: int
    failed: int


class BatchView(_Shape):
    """A batch as it stands; moments are seconds since the epoch."""

    id: str
    object: Literal["batch"]
    endpoint: str
    errors: BatchProblems | None
    input_file_id: str
    completion_window: str
    status: BatchState
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    expires_at: int
    in_progress_at: int | None
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    metadata: dict[str, str] | None


class BatchListBody(_Shape):
    """Newest first; a further page begins after `last_id`."""

    object: Literal["list"]
    data: list[BatchView]
    first_id: str | None
    last_id: str | None
    has_more: bool
