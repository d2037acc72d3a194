"""One run on disk: what the training process is told, and what it leaves. Knows neither torch nor the ledger.

run-12/plan.json       TrainingPlan, written by the pipeline before anything starts
       dataset/        packed rows, written once by training.dataset
       trainer.lock    held by the one that trains, with its process number
       checkpoints/    of the trainer; only whole ones count
       adapter/        what came of it, in peft's layout; there once training is complete, whole or not at all
       trained.json    TrainingResult, written after adapter/
       scores.json     Scores, by the evaluation
       loss.svg        the curve
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from core.options import Device
from core.training import Purpose, TrainingOptions

EX_INTERRUPTED = 75
"""Exit status of a trainer that was told to stop and has saved: begun again, it goes on there."""


class _Document(BaseModel):
    """A loss that is no number survives being written and read."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class TrainingPlan(_Document):
    """`base` is a whole checkpoint; `parent` the serving version's adapter, measured against.

    `is_warm` says that training begins with the parent's adapter rather than with a fresh one.
    """

    run_id: int
    base: Path
    base_hash: str
    parent: Path | None
    is_warm: bool
    device: Device
    options: TrainingOptions


class TrainingResult(_Document):
    """Of a training that went through to its last step."""

    steps: int
    tokens: int
    seconds: float
    micro_batch_rows: int


class Losses(_Document):
    """Mean cross-entropy per token, in nats, by set; a set without files is left out."""

    losses: Mapping[Purpose, float]
    passed: int
    """Functions written by the model that did what their tests ask."""


class Scores(_Document):
    """A candidate beside the version in service."""

    candidate: Losses
    serving: Losses
    tasks: int
    """How many functions were asked for."""
    smoke: tuple[str, ...]
    """What is wrong with the candidate's texts; empty where nothing is."""


class StepEvent(_Document):
    """A logged step. `tokens` counts trained ones since the first step, padding left out."""

    event: Literal["step"] = "step"
    step: int
    steps: int
    loss: float
    learning_rate: float
    tokens: int
    tokens_per_s: float


class HeldoutEvent(_Document):
    event: Literal["heldout"] = "heldout"
    step: int
    loss: float


class NoteEvent(_Document):
    """Something a reader of the run should know: a torn checkpoint passed over, a micro-batch halved."""

    event: Literal["note"] = "note"
    message: str


class AliveEvent(_Document):
    """Progress without a step: loading, compiling, evaluating. Keeps the watchdog quiet."""

    event: Literal["alive"] = "alive"
    stage: str


class FailedEvent(_Document):
    """The last word of a process that ends with status 1; `code` is that of an error in `core.errors`."""

    event: Literal["failed"] = "failed"
    code: str
    message: str


Event = StepEvent | HeldoutEvent | NoteEvent | AliveEvent | FailedEvent
EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])
"""What a training or evaluating process says: one JSON object per line of its standard output."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names the files of one run."""

    path: Path

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def dataset(self) -> Path:
        return self.path / "dataset"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        return self.path / "adapter"

    @property
    def trained(self) -> Path:
        return self.path / "trained.json"

    @property
    def scores(self) -> Path:
        return self.path / "scores.json"

    @property
    def plot(self) -> Path:
        return self.path / "loss.svg"

    def read_plan(self) -> TrainingPlan:
        return TrainingPlan.model_validate_json(self.plan.read_text(encoding="utf-8"))
