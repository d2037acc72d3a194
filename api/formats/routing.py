"""`/v1/route`: a prompt in, the decision out."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from api.formats.native import refusal, say_more_of_prompt
from core.messages import ModelName, Prompt, Route, TaskType
from ensemble.prompting import models_for


class RouteQuestion(BaseModel):
    """The body of POST /v1/route."""

    model_config = ConfigDict(strict=True, extra="forbid", json_schema_extra=say_more_of_prompt)

    prompt: Prompt
    force_task_type: TaskType | None = None


class DecisionBody(Route):
    """The decision, and the models that would be asked."""

    object: Literal["route"]
    models: list[ModelName]


def parse_question(body: bytes) -> RouteQuestion:
    """Raises InvalidRequest naming the first field to change."""
    try:
        return RouteQuestion.model_validate_json(body)
    except ValidationError as error:
        raise refusal(error) from None


def render_decision(route: Route) -> dict[str, Any]:
    models = [model.value for model in models_for(route.task_type)]
    return {"object": "route", **route.model_dump(mode="json"), "models": models}
