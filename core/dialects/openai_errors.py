"""Errors in OpenAI's shape, and which of them tells how a job ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.jobs import Job
from core.messages import FailureCode, JobState

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# OpenAI's names for codes of ours, which programs look for.
_CODES = {"prompt_too_long": "context_length_exceeded", "version_not_served": "model_not_found"}

_STATUSES = {
    FailureCode.PROMPT_TOO_LONG: 400,
    FailureCode.VERSION_NOT_SERVED: 404,
    FailureCode.CANCELLED: 409,
    FailureCode.ENGINE_FAILED: 500,
    FailureCode.DEAD: 500,
    FailureCode.TRAINING: 503,
    FailureCode.EXPIRED: 504,
}
_FINAL = (FailureCode.CANCELLED, FailureCode.DEAD, FailureCode.EXPIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailure:
    """What to answer instead of choices; `is_final`: the client shall not try again by itself."""

    status: int
    message: str
    code: str
    is_final: bool = False

    @property
    def body(self) -> dict[str, Any]:
        return error_body(status=self.status, message=self.message, code=self.code)


def error_body(*, status: int, message: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    """`{"error": {message, type, param, code}}`; `code` and `param` may be ours."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": _CODES.get(code or "", code)}}


def failure_of(job: Job) -> CallFailure | None:
    """Why this job has no answer to give; None for one that has."""
    if job.state is JobState.SUCCEEDED:
        return None
    if not job.state.is_final:
        return CallFailure(status=503, message="this server stops: ask again", code="server_stopping")
    if job.error is None:
        return CallFailure(status=500, message=f"the job {job.id} has no answer: ask again", code="engine_failed")
    code = job.error.code
    return CallFailure(
        status=_STATUSES[code],
        message=f"{job.error.message} (job {job.id})",
        code=code.value,
        is_final=code in _FINAL,
    )
