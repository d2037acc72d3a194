"""What the API says, as far as the CLI reads it; unknown fields are kept and passed on by `--json`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from core.messages import JobState, TaskType


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class RouteView(_View):
    task_type: TaskType
    confidence: float = 0.0
    reasons: tuple[str, ...] = ()


class CompletionView(_View):
    model: str
    version: str = ""
    text: str = ""
    completion_tokens: int = 0
    seconds: float = 0.0


class AnswerView(_View):
    response: str
    model_used: str
    degraded: bool = False
    completions: tuple[CompletionView, ...] = ()


class ErrorView(_View):
    code: str
    message: str
    param: str | None = None


class JobView(_View):
    """A job as `GET /v1/jobs/{id}` shows it."""

    id: str
    status: JobState
    route: RouteView | None = None
    answer: AnswerView | None = None
    error: ErrorView | None = None

    @property
    def is_success(self) -> bool:
        return self.status is JobState.SUCCEEDED

    def to_json(self) -> str:
        return self.model_dump_json(exclude_unset=True)


class StreamEvent(_View):
    """One server-sent event; `id` resumes the stream after it."""

    event: str
    data: dict[str, Any]
    id: str | None = None
