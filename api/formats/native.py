"""Our own dialect of `/v1/jobs`: flat JSON in, the job as it stands out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from werkzeug.datastructures import MultiDict

from core.errors import InvalidRequest
from core.jobs import Job, JobSummary
from core.messages import (
    MAX_DEADLINE_S,
    GenerationRequest,
    JobState,
    Priority,
    Prompt,
    Sampling,
    Strategy,
    TaskType,
)
from core.webhook_urls import LONGEST_URL, Network, check_url

PAGE_LIMIT = 100

_CODES = {"json_invalid": "invalid_json", "extra_forbidden": "unknown_field", "missing": "missing_field"}


def say_more_of_prompt(schema: dict[str, Any]) -> None:
    """What `Prompt` checks beyond the type."""
    schema["properties"]["prompt"]["pattern"] = r"^[^\u0000]*[^\s\u0000-\u001f\u0085][^\u0000]*$"


def _say_more(schema: dict[str, Any]) -> None:
    """What validators check beyond the types."""
    say_more_of_prompt(schema)
    fields = schema["properties"]
    stops = fields["stop"]
    stops["items"]["pattern"] = r"^[^\u0000]+$"
    fields["stop"] = {"anyOf": [dict(stops["items"]), {k: v for k, v in stops.items() if k != "default"}]}
    fields["webhook_url"]["anyOf"][0]["format"] = "uri"


class Submission(Sampling):
    """The body of POST /v1/jobs: the fields of `Sampling`, with its bounds, beside those of a request."""

    model_config = ConfigDict(strict=True, json_schema_extra=_say_more)

    prompt: Prompt
    force_task_type: TaskType | None = None
    strategy: Strategy | None = None
    priority: Priority = Priority.NORMAL
    deadline_s: Annotated[float, Field(gt=0.0, le=MAX_DEADLINE_S)] | None = None
    wait_s: Annotated[float, Field(ge=0.0, le=MAX_DEADLINE_S)] | None = None  # at the door, before it is a job
    webhook_url: Annotated[str, Field(max_length=LONGEST_URL)] | None = None

    @field_validator("stop", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        """One stop string or a list of them; anything else is left for validation to refuse."""
        if isinstance(value, str):
            return (value,)
        return tuple(value) if isinstance(value, list) else value

    def to_request(self, default_strategy: Strategy) -> GenerationRequest:
        return GenerationRequest(
            prompt=self.prompt,
            force_task_type=self.force_task_type,
            strategy=self.strategy or default_strategy,
            priority=self.priority,
            sampling=Sampling.model_validate({name: getattr(self, name) for name in Sampling.model_fields}),
            deadline_s=self.deadline_s,
        )

    def webhook(self, networks: Sequence[Network]) -> str | None:
        """The URL to call at the end. Raises InvalidRequest for one that may not be called."""
        if self.webhook_url is not None:
            check_url(self.webhook_url, networks)
        return self.webhook_url


class Page(BaseModel):
    """The query of GET /v1/jobs."""

    model_config = ConfigDict(extra="forbid")

    status: JobState | None = None
    after: str | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE_LIMIT)] = 20


def parse_submission(body: bytes) -> Submission:
    """Raises InvalidRequest naming the first field to change."""
    try:
        return Submission.model_validate_json(body)
    except ValidationError as error:
        raise refusal(error) from None


def parse_page(query: MultiDict[str, str]) -> Page:
    try:
        return Page.model_validate(query.to_dict())
    except ValidationError as error:
        raise refusal(error) from None


def render_job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "object": "job",
        "status": job.state,
        "created_at": _moment(job.created_at),
        "started_at": _moment(job.started_at),
        "finished_at": _moment(job.finished_at),
        "deadline_at": _moment(job.deadline_at),
        "cancel_requested_at": _moment(job.cancel_requested_at),
        "route": job.route.model_dump(mode="json"),
        "request": job.request.model_dump(mode="json"),
        "answer": job.answer.model_dump(mode="json") if job.answer else None,
        "error": job.error.model_dump(mode="json", include={"code", "message", "model"}) if job.error else None,
        "links": {name: f"/v1/jobs/{job.id}{suffix}" for name, suffix in _LINKS.items()},
    }


def render_page(jobs: list[JobSummary], limit: int) -> dict[str, Any]:
    """`jobs` holds one more than `limit` if there is a further page."""
    data = [_render_summary(job) for job in jobs[:limit]]
    return {"object": "list", "data": data, "has_more": len(jobs) > limit}


def _render_summary(job: JobSummary) -> dict[str, Any]:
    return {
        "id": job.id,
        "object": "job.summary",
        "status": job.state,
        "task_type": job.task_type,
        "prompt": job.prompt,
        "created_at": _moment(job.created_at),
        "finished_at": _moment(job.finished_at),
        "links": {"self": f"/v1/jobs/{job.id}"},
    }


_LINKS = {"self": "", "cancel": "/cancel", "events": "/events"}


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") if moment else None


def refusal(error: ValidationError) -> InvalidRequest:
    """The first thing to change, by the name of its field."""
    first = error.errors(include_url=False)[0]
    param = ".".join(str(part) for part in first["loc"]) or None
    code = _CODES.get(first["type"], "invalid_field" if param else "invalid_body")
    what = first["msg"].removeprefix("Value error, ")
    message = f"{param}: {what}" if param else what
    return InvalidRequest(message, param=param, code=code)
