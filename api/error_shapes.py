"""The two shapes of an error: OpenAI's at its doors, ours at all others."""

from __future__ import annotations

from typing import Any

from uuid_utils import uuid7

from core.dialects.openai_errors import error_body

# The first word after /v1/ of what OpenAI's clients ask for, whether it is served here or not.
_OPENAI_DOORS = {
    "audio", "assistants", "batches", "chat", "completions", "conversations", "embeddings", "files", "fine_tuning",
    "images", "models", "moderations", "realtime", "responses", "threads", "uploads", "vector_stores",
}  # fmt: skip


def new_request_id() -> str:
    """What every answer carries as `x-request-id`, so that a client can name it."""
    return f"req_{uuid7().hex}"


def is_openai_door(path: str) -> bool:
    """Whether `path`, which need not exist, is one that a client of OpenAI's would ask for."""
    version, _, rest = path.removeprefix("/").partition("/")
    return version == "v1" and rest.partition("/")[0] in _OPENAI_DOORS


def render_error(path: str, *, status: int, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    """The body of an error answered at `path`."""
    if not is_openai_door(path):
        return {"error": {"code": code, "message": message, "param": param}}
    if param == "prompt" and path.startswith("/v1/chat/"):
        param = "messages"
    return error_body(status=status, message=message, code=code, param=param)
