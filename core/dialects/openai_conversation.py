"""The messages of a chat: checked turn by turn, text alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from core.errors import InvalidRequest
from core.messages import Turn

_ROLES: Mapping[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_EMPTY: tuple[object, ...] = (None, [], {})  # what a client's own message objects carry along


def read_messages(messages: Sequence[Mapping[str, Any]]) -> tuple[tuple[Turn, ...], str]:
    """The turns before, and the user's last one, which is the prompt. Raises InvalidRequest.

    System messages come first, in their order: both models were trained on one system text, shown to them with the
    last turn, wherever in the conversation it was given.
    """
    turns = [_read(message, f"messages[{index}]") for index, message in enumerate(messages)]
    if turns[-1].role != "user":
        where = f"messages[{len(turns) - 1}].role"
        raise InvalidRequest(
            "the last message must be the user's: end with one of role user", param=where, code="invalid_value"
        )
    *earlier, last = turns
    if not last.content.strip():
        where = f"messages[{len(turns) - 1}].content"
        raise InvalidRequest("the last message is empty: ask something", param=where, code="invalid_value")
    system = [turn for turn in earlier if turn.role == "system"]
    return (*system, *(turn for turn in earlier if turn.role != "system")), last.content


def _read(message: Mapping[str, Any], where: str) -> Turn:
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        known = ", ".join(_ROLES)
        problem = f"{where}.role must be one of {known}: change it"
        raise InvalidRequest(problem, param=f"{where}.role", code="invalid_value")
    for name, value in message.items():
        if name not in ("role", "content") and value not in _EMPTY:
            problem = f"{where}.{name[:64]} is not supported here: leave it out"
            raise InvalidRequest(problem, param=f"{where}.{name[:64]}", code="unsupported_parameter")
    text = _text(message.get("content"), f"{where}.content")
    if role == "assistant" and not text:
        problem = f"{where}.content is empty: leave this turn out"
        raise InvalidRequest(problem, param=f"{where}.content", code="invalid_value")
    return Turn(role=_ROLES[role], content=text)


def _text(content: object, where: str) -> str:
    """A text, or parts of text as paragraphs."""
    if isinstance(content, str):
        return storable(content, where)
    if not isinstance(content, list) or not content:
        problem = f"{where} must be text or a list of text parts: send one"
        raise InvalidRequest(problem, param=where, code="invalid_value")
    return "\n".join(_part(part, f"{where}[{index}]") for index, part in enumerate(content))


def _part(part: object, where: str) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind != "text":
        name = repr(kind[:64]) if isinstance(kind, str) else "no type"
        problem = f"{where} has {name}, and only parts of type text can be read here: send text"
        raise InvalidRequest(problem, param=f"{where}.type", code="unsupported_content")
    assert isinstance(part, dict)  # noqa: S101 - it has a type
    text = part.get("text")
    if not isinstance(text, str) or len(part) != 2:
        problem = f"{where} must have a type and a text, and nothing else: change it"
        raise InvalidRequest(problem, param=where, code="invalid_value")
    return storable(text, where)


def storable(text: str, where: str) -> str:
    """`text`, or InvalidRequest where PostgreSQL cannot carry it."""
    if "\0" in text:
        problem = f"{where} must not contain NUL characters: remove them"
        raise InvalidRequest(problem, param=where, code="invalid_value")
    return text
