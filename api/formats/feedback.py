"""`/v1/jobs/{id}/feedback`: a thumb, or what the prompt was."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, model_validator

from api.formats.native import refusal
from core.feedback import Feedback, Rating
from core.messages import RouteLabel


def _say_more(schema: dict[str, Any]) -> None:
    """One of the two must be given."""
    given = [{"required": [name], "properties": {name: {"type": "string"}}} for name in schema["properties"]]
    schema["anyOf"] = given


class FeedbackGiven(BaseModel):
    """The body of POST /v1/jobs/{id}/feedback; `label` is what the router should have taken the prompt for."""

    model_config = ConfigDict(strict=True, extra="forbid", json_schema_extra=_say_more)

    rating: Rating | None = None
    label: RouteLabel | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.rating is None and self.label is None:
            raise ValueError("give `rating` (up or down), `label` (math, code, hybrid or other), or both")
        return self


class FeedbackBody(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)

    object: Literal["feedback"]
    job_id: str
    rating: Rating | None
    label: RouteLabel | None
    updated_at: AwareDatetime


def parse_feedback(body: bytes) -> FeedbackGiven:
    """Raises InvalidRequest naming the field to change."""
    try:
        return FeedbackGiven.model_validate_json(body)
    except ValidationError as error:
        raise refusal(error) from None


def render_feedback(job_id: str, feedback: Feedback) -> dict[str, Any]:
    return {
        "object": "feedback",
        "job_id": job_id,
        "rating": feedback.rating,
        "label": feedback.label,
        "updated_at": feedback.updated_at.isoformat(timespec="milliseconds"),
    }
