"""The OpenAPI 3.1 document, assembled from the routes themselves and the pydantic models they name.

A route is documented by one declaration beside it:

    @blueprint.post("/things")
    @describe("Make one", tag="Things", body=NewThing, answers={201: Answer("The thing", Thing)}, errors=(409,))
    def make() -> ResponseReturnValue: ...

A route without one is an error of `build`, so no route is forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, TypeVar

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from api.cross_origin import UNSAFE_METHODS
from api.error_shapes import is_openai_door
from api.formats.openai_schemas import OpenAIErrorBody
from api.formats.schemas import ErrorBody

JSON = "application/json"
COMMON_ERRORS = (400, 401, 408, 431, 500, 503)
"""What any route may answer: bad HTTP, no key where one is needed, too slow or too much of it, our fault,
somebody away."""

_REFERENCE = "#/components/schemas/{model}"
_VARIABLE = re.compile(r"<(?:(?P<converter>[a-z]+)(?:\([^)]*\))?:)?(?P<name>[a-z_]+)>")
_UNDOCUMENTED_METHODS = {"HEAD", "OPTIONS"}
_MARK = "__openapi__"
_PHRASES = {499: "The client is gone"}

View = TypeVar("View", bound=Callable[..., Any])
Mode = Literal["validation", "serialization"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One status of a route: what it means, and its content (None: there is none)."""

    description: str
    model: type[BaseModel] | None = None
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)  # name -> what it says
    schema: Mapping[str, Any] | None = None  # for what is no model
    or_else: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # other media type -> schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    summary: str
    tag: str
    answers: Mapping[int, Answer]
    errors: Sequence[int] = ()
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # of the request: name -> what it says
    content: Mapping[str, Mapping[str, Any]] | None = (
        None  # of the request, where it is no model: media type -> schema
    )

    @property
    def models(self) -> Iterator[tuple[type[BaseModel], Mode]]:
        if self.body is not None:
            yield self.body, "validation"
        if self.query is not None:
            yield self.query, "validation"
        for answer in self.answers.values():
            if answer.model is not None:
                yield answer.model, "serialization"


def describe(summary: str, *, tag: str, answers: Mapping[int, Answer], **more: Any) -> Callable[[View], View]:
    """Document a view; `more` are further fields of `Operation`."""
    operation = Operation(summary=summary, tag=tag, answers=answers, **more)

    def mark(view: View) -> View:
        setattr(view, _MARK, operation)
        return view

    return mark


def build(app: Flask) -> dict[str, Any]:
    """The document. Raises LookupError, naming every route without `describe`."""
    documented = list(_operations(app))
    missing = [f"{method} {rule.rule}" for rule, method, operation in documented if operation is None]
    if missing:
        raise LookupError(f"not documented: {', '.join(missing)}: put @describe beside the route")
    operations = [(rule, method, operation) for rule, method, operation in documented if operation is not None]
    names, definitions = _schemas([operation for _, _, operation in operations])
    paths: dict[str, dict[str, Any]] = {}
    for rule, method, operation in operations:
        paths.setdefault(_path(rule), {})[method.lower()] = _Renderer(names).operation(operation, rule, method)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mathcode",
            "version": "0.1.0",
            "summary": "A self-hosted assistant for mathematics and code",
        },
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": definitions},
    }


def _operations(app: Flask) -> Iterator[tuple[Rule, str, Operation | None]]:
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - _UNDOCUMENTED_METHODS):
            yield rule, method, getattr(app.view_functions[rule.endpoint], _MARK, None)


Names = Mapping[tuple[Any, Mode], dict[str, Any]]


def _schemas(operations: Sequence[Operation]) -> tuple[Names, dict[str, Any]]:
    """A reference for each model in each mode, and the definitions they refer to."""
    wanted: list[tuple[type[BaseModel], Mode]] = [
        (model, "serialization") for model in (ErrorBody, OpenAIErrorBody)
    ]
    wanted += [pair for operation in operations for pair in operation.models]
    names, top = models_json_schema(list(dict.fromkeys(wanted)), ref_template=_REFERENCE)
    return names, top.get("$defs", {})


def _path(rule: Rule) -> str:
    return _VARIABLE.sub(lambda match: f"{{{match['name']}}}", rule.rule)


class _Renderer:
    def __init__(self, names: Names) -> None:
        self._names = names

    def operation(self, operation: Operation, rule: Rule, method: str) -> dict[str, Any]:
        parameters = [*self._path_parameters(rule), *self._query(operation), *self._headers(operation)]
        rendered: dict[str, Any] = {
            "summary": operation.summary,
            "operationId": rule.endpoint.replace(".", "_"),
            "tags": [operation.tag],
            "parameters": parameters,
            "responses": self._responses(operation, rule, method),
        }
        if content := self._request_content(operation):
            rendered["requestBody"] = {"required": True, "content": content}
        return rendered

    def _request_content(self, operation: Operation) -> Mapping[str, Any] | None:
        if operation.content is not None:
            return {media_type: {"schema": schema} for media_type, schema in operation.content.items()}
        return {JSON: {"schema": self._names[operation.body, "validation"]}} if operation.body else None

    def _path_parameters(self, rule: Rule) -> Iterator[dict[str, Any]]:
        for match in _VARIABLE.finditer(rule.rule):
            kind = {"type": "integer", "minimum": 0} if match["converter"] == "int" else {"type": "string"}
            yield {"name": match["name"], "in": "path", "required": True, "schema": kind}

    def _query(self, operation: Operation) -> Iterator[dict[str, Any]]:
        if operation.query is None:
            return
        schema = operation.query.model_json_schema(ref_template=_REFERENCE)
        for name, shape in schema["properties"].items():
            yield {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                "schema": _present(shape),
            }

    def _headers(self, operation: Operation) -> Iterator[dict[str, Any]]:
        for name, meaning in operation.headers.items():
            yield {"name": name, "in": "header", "description": meaning, "schema": {"type": "string"}}

    def _responses(self, operation: Operation, rule: Rule, method: str) -> dict[str, Any]:
        errors = {*COMMON_ERRORS, *operation.errors, *((415,) if method in UNSAFE_METHODS else ())}
        rendered = {status: self._answer(answer) for status, answer in operation.answers.items()}
        for status in errors - set(rendered):
            rendered[status] = self._error(status, OpenAIErrorBody if is_openai_door(rule.rule) else ErrorBody)
        return {str(status): rendered[status] for status in sorted(rendered)}

    def _answer(self, answer: Answer) -> dict[str, Any]:
        rendered: dict[str, Any] = {"description": answer.description, "headers": _answer_headers(answer.headers)}
        schema = self._names[answer.model, "serialization"] if answer.model else answer.schema
        if schema is not None:
            contents = {answer.media_type: schema, **answer.or_else}
            rendered["content"] = {media_type: {"schema": each} for media_type, each in contents.items()}
        return rendered

    def _error(self, status: int, shape: type[BaseModel]) -> dict[str, Any]:
        headers = {"Retry-After": "Seconds after which to try again, 1 to 120"} if status in {429, 503} else {}
        return {
            "description": _PHRASES.get(status) or HTTPStatus(status).phrase,
            "headers": _answer_headers(headers),
            "content": {JSON: {"schema": self._names[shape, "serialization"]}},
        }


def _answer_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    described = {"x-request-id": "Names this request in the log of the API", **headers}
    return {name: {"description": meaning, "schema": {"type": "string"}} for name, meaning in described.items()}


def _present(shape: Mapping[str, Any]) -> Mapping[str, Any]:
    """A query parameter is absent rather than null."""
    kinds = [kind for kind in shape.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else {name: value for name, value in shape.items() if name != "default"}
