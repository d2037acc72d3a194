"""The settings of the doors: the API, and how much each caller may ask of it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from core.messages import TaskType
from core.variables import env


class DoorSettings(BaseModel):
    """A part of `Settings`; units stand in the names."""

    api_threads: int = env(
        "MATHCODE_API_THREADS",
        32,
        "Threads of the API server; half of them may follow event streams.",
        ge=2,
        le=1024,
    )
    max_body_bytes: int = env("MATHCODE_MAX_BODY_BYTES", 1_048_576, "Largest request body, in bytes.", ge=1024)
    low_share: float = env(
        "MATHCODE_LOW_SHARE",
        0.75,
        "Part of all slots that jobs of low priority of one key, such as batches, may take.",
        gt=0,
        le=1,
    )
    router: Literal["learned", "keywords"] = env(
        "MATHCODE_ROUTER", "learned", "`learned` (a small classifier) or `keywords`."
    )
    router_threshold: float = env(
        "MATHCODE_ROUTER_THRESHOLD",
        0.9,
        "Below this probability both models answer; `mathcode router calibrate` chooses it on your prompts.",
        ge=0,
        le=1,
    )
    other_task_type: TaskType = env(
        "MATHCODE_OTHER_TASK_TYPE", TaskType.CODE, "Where general talk goes: `math` or `code`."
    )
