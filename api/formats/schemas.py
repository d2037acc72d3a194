"""The shapes of what the API answers, for its documentation; a test holds every answer to them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from core.messages import Answer, FailureCode, GenerationRequest, JobState, ModelName, Route, TaskType
from core.observing.gpus import Gpu
from core.options import Profile
from core.roster import WorkerState
from core.training_runs import RunState, Trigger


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class ErrorDetail(_Shape):
    """`code` is stable, `message` says what to do, `param` names the field to change."""

    code: str
    message: str
    param: str | None


class ErrorBody(_Shape):
    """Every error of the API."""

    error: ErrorDetail


class JobFailure(_Shape):
    code: FailureCode
    message: str
    model: ModelName


class JobLinks(_Shape):
    self: str
    cancel: str
    events: str


class JobBody(_Shape):
    """A job as it stands; `answer` is there once there is text."""

    id: str
    object: Literal["job"]
    status: JobState
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    deadline_at: AwareDatetime
    cancel_requested_at: AwareDatetime | None
    route: Route
    request: GenerationRequest
    answer: Answer | None
    error: JobFailure | None
    links: JobLinks


class FollowingQuery(BaseModel):
    """The query of GET /v1/jobs/{id}/events, which `formats.events` reads."""

    after: str | None = None
    cancel_on_disconnect: Literal["true", "false"] = "false"


class SummaryLinks(_Shape):
    self: str


class JobSummaryBody(_Shape):
    id: str
    object: Literal["job.summary"]
    status: JobState
    task_type: TaskType
    prompt: str
    created_at: AwareDatetime
    finished_at: AwareDatetime | None
    links: SummaryLinks


class JobPageBody(_Shape):
    """Newest first; `has_more` says that a further page begins after the last id."""

    object: Literal["list"]
    data: list[JobSummaryBody]
    has_more: bool


class RouterBody(_Shape):
    """Which router decides; `alarm` says why keywords do where they should not."""

    version: str
    alarm: str | None


class HealthBody(_Shape):
    status: Literal["ok"]
    router: RouterBody


class WorkerBody(_Shape):
    name: str
    queue: str
    version: str | None
    slots: int
    started_at: AwareDatetime
    seen_at: AwareDatetime
    state: WorkerState
    card: str | None
    is_pinned: bool
    gpus: list[Gpu]
    metrics: dict[str, Any] | None


class ServiceBody(_Shape):
    """`database` and `broker` are "ok" or the code of what is wrong; the rest is left out without a key."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    profile: Profile
    router: str = ""
    database: str
    broker: str
    workers: dict[str, int]
    alarms: list[str] = []
    roster: list[WorkerBody] = []


class RunBody(_Shape):
    id: int
    status: RunState
    trigger: Trigger
    stage: str | None
    version: str | None
    parent: str | None
    attempt: int
    progress: dict[str, Any]
    scores: dict[str, Any] | None
    reasons: list[str]
    notes: list[str]
    options: dict[str, Any]
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None


class StepBody(_Shape):
    step: int
    loss: float | None
    learning_rate: float | None
    tokens: int | None
    tokens_per_s: float | None
    heldout_loss: float | None


class RunWithStepsBody(RunBody):
    steps: list[StepBody]


class TrainingBody(_Shape):
    in_progress: bool
    version: str | None
    new_files: int
    new_bytes: int
    last_trained_id: int
    current_max_id: int
    min_new_files: int
    runs: list[RunBody]
