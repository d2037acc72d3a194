"""Labelled prompts as JSON lines: objects with `prompt`, `label` and perhaps `source`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from core.errors import InvalidRequest
from core.messages import RouteLabel
from ensemble.routing.measures import Row

UNNAMED = "unnamed"
KINDS = ", ".join(label.upper() for label in RouteLabel)

_Line = tuple[str, RouteLabel | None, str]


def parse_rows(lines: Iterable[str], name: str = "the file") -> list[Row]:
    """Raises InvalidRequest that names the first bad line, or says that there is none."""
    rows = []
    for number, (prompt, label, source) in _parse(lines, name):
        if label is None:
            raise InvalidRequest(f"line {number} of {name} has no `label`: give one of {KINDS}")
        rows.append(Row(prompt, label, source))
    return rows


def parse_prompts(lines: Iterable[str], name: str = "the file") -> list[tuple[str, RouteLabel | None]]:
    """As `parse_rows`, but the label may be missing."""
    return [(prompt, label) for _, (prompt, label, _) in _parse(lines, name)]


def _parse(lines: Iterable[str], name: str) -> Iterator[tuple[int, _Line]]:
    number = 0
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, _parse_line(line, f"line {number} of {name}")
    if not number:
        raise InvalidRequest(f"{name} is empty: give prompts, one JSON object a line")


def _parse_line(line: str, where: str) -> _Line:
    try:
        given = json.loads(line)
        prompt, source, label = given["prompt"], given.get("source", UNNAMED), given.get("label")
        if isinstance(prompt, str) and isinstance(source, str):
            return prompt, None if label is None else RouteLabel(str(label).lower()), source
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise InvalidRequest(f"{where} is no JSON object with a text `prompt`, and a `label` of {KINDS}")
