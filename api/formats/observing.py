"""The seed's answers to `/health` and `/metrics`, as the API's document shows them."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel


class HealthyBody(BaseModel):
    status: Literal["healthy"]
    model: str


class UnhealthyBody(BaseModel):
    status: Literal["unhealthy"]
    model: str
    unhealthy: list[str]


class TrainingsBody(BaseModel):
    """Of runs that ended with a verdict; times in seconds."""

    total_trainings: int
    total_files_trained: int
    last_training_time: AwareDatetime | None
    avg_training_time: float | None
    model_version: int


class MetricsBody(BaseModel):
    """Ids are of files; per cent and GiB of the cards, null where there is none."""

    training_in_progress: bool
    last_training_id: int
    current_max_id: int
    metrics: TrainingsBody
    gpu_utilization: int | None
    gpu_memory_used: float | None
    gpu_memory_total: float | None
    model: str
