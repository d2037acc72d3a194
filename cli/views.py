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


class EngineView(_View):
    """What an engine shows of itself, of which another release may show less."""

    is_asleep: bool = False
    running: int = 0
    waiting: int = 0
    tokens_per_s: float = 0.0
    preemptions: int = 0
    first_token_p50_s: float | None = None
    token_p50_s: float | None = None
    memory_bytes: int = 0
    memory_used_bytes: int = 0


class WorkerView(_View):
    """A living worker in `GET /v1/status`; one without a model has no metrics."""

    name: str
    version: str | None = None
    slots: int = 0
    state: str = "serving"
    is_pinned: bool = False
    metrics: EngineView | None = None


class StreamEvent(_View):
    """One server-sent event; `id` resumes the stream after it."""

    event: str
    data: dict[str, Any]
    id: str | None = None
