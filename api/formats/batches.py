"""Files and batches in OpenAI's dialect."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from werkzeug.datastructures import MultiDict

from core.batches import TIMES, Batch, NewBatch
from core.dialects import openai
from core.dialects.openai_parameters import refusal
from core.errors import InvalidRequest
from core.files import StoredFile
from core.webhook_urls import LONGEST_URL, Network, check_url

SHORTEST_KEPT_S, LONGEST_KEPT_S = 3600, 2_592_000
LONGEST_WINDOW_S = 24 * 3600
_WINDOW = re.compile("([1-9][0-9]{0,5})([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}

Kept = Annotated[int, Field(ge=SHORTEST_KEPT_S, le=LONGEST_KEPT_S)]
_M = TypeVar("_M", bound=BaseModel)


class _Given(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExpiresAfter(_Given):
    anchor: Literal["created_at"]
    seconds: Kept


class FileFields(_Given):
    """The fields of POST /v1/files beside the file."""

    purpose: Literal["batch"]
    anchor: Literal["created_at"] | None = Field(None, alias="expires_after[anchor]")
    seconds: Kept | None = Field(None, alias="expires_after[seconds]")


class FilePage(_Given):
    """The query of GET /v1/files."""

    after: str | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    order: Literal["asc", "desc"] = "desc"
    purpose: Annotated[str, Field(pattern="^[a-z_-]{1,64}$")] | None = None


class BatchPage(_Given):
    """The query of GET /v1/batches."""

    after: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class BatchBody(_Given):
    """The body of POST /v1/batches."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    output_expires_after: ExpiresAfter | None = None
    webhook_url: Annotated[str, Field(max_length=LONGEST_URL)] | None = None

    @field_validator("endpoint")
    @classmethod
    def _served(cls, value: str) -> str:
        if value not in openai.ENDPOINTS:
            raise ValueError(f"must be one of {', '.join(openai.ENDPOINTS)}: change it")
        return value

    @field_validator("completion_window")
    @classmethod
    def _bounded(cls, value: str) -> str:
        if not 0 < window_s(value) <= LONGEST_WINDOW_S:
            raise ValueError("must be 24h, or shorter as in 90s, 15m or 6h: change it")
        return value

    @field_validator("metadata")
    @classmethod
    def _short(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        for name, text in (value or {}).items():
            if len(name) > 64 or len(text) > 512 or "\0" in name + text:
                raise ValueError("names have at most 64 characters, values 512, and none is NUL: shorten them")
        return value


def window_s(text: str) -> int:
    """Seconds of a completion window; 0 for what is none."""
    found = _WINDOW.fullmatch(text)
    return int(found[1]) * _SECONDS[found[2]] if found else 0


def parse_file_fields(fields: Mapping[str, str]) -> FileFields:
    given = _validate(FileFields, dict(fields))
    if (given.anchor is None) != (given.seconds is None):
        problem = "expires_after needs both anchor and seconds: send both, or none"
        raise InvalidRequest(problem, param="expires_after", code="invalid_value")
    return given


def parse_file_page(query: MultiDict[str, str]) -> FilePage:
    return _validate(FilePage, query.to_dict())


def parse_batch_page(query: MultiDict[str, str]) -> BatchPage:
    return _validate(BatchPage, query.to_dict())


def parse_batch(body: bytes, *, key_id: str | None, webhook_networks: Sequence[Network] = ()) -> NewBatch:
    """Raises InvalidRequest naming the first parameter to change; also a webhook that may not be called."""
    given = _validate(BatchBody, openai.read_object(body))
    if given.webhook_url is not None:
        check_url(given.webhook_url, webhook_networks)
    kept = given.output_expires_after
    return NewBatch(
        file_id=given.input_file_id,
        endpoint=given.endpoint,
        window=given.completion_window,
        window_s=window_s(given.completion_window),
        metadata=given.metadata,
        output_kept_s=kept.seconds if kept else None,
        key_id=key_id,
        webhook_url=given.webhook_url,
    )


def render_file(file: StoredFile) -> dict[str, Any]:
    expiry = {"expires_at": _seconds(file.expires_at)} if file.expires_at else {}
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": _seconds(file.created_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        **expiry,
    }


def render_file_page(files: Sequence[StoredFile], limit: int) -> dict[str, Any]:
    """`files` holds one more than `limit` if there is a further page."""
    return {
        "object": "list",
        "data": [render_file(file) for file in files[:limit]],
        "has_more": len(files) > limit,
    }


def render_batch(batch: Batch) -> dict[str, Any]:
    times = {name: _seconds(batch.times[name]) for name in TIMES}
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": list(batch.errors)} if batch.errors else None,
        "input_file_id": batch.input_file_id,
        "completion_window": batch.completion_window,
        "status": batch.state,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        **times,
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "metadata": batch.metadata,
    }


def render_batch_page(batches: Sequence[Batch], limit: int) -> dict[str, Any]:
    """`batches` holds one more than `limit` if there is a further page."""
    data = [render_batch(batch) for batch in batches[:limit]]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(batches) > limit,
    }


def _validate(model: type[_M], given: Mapping[str, Any]) -> _M:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise refusal(error) from None


def _seconds(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None
