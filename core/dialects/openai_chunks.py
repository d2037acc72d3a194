"""The chunks of a streamed response, and the text of one choice as far as it was sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.dialects.openai_results import (
    answer_of,
    fingerprint,
    finish_reason,
    render_chat_logprobs,
    render_origin,
    render_text_logprobs,
    render_usage,
)
from core.jobs import Job


class SentText:
    """What a client has of one choice. Text that begins again is sent only beyond that, if it is the same."""

    def __init__(self) -> None:
        self._sent = ""
        self._text = ""  # of the newest attempt
        self._attempt = 0

    def take(self, piece: str, *, attempt: int) -> str | None:
        """What to send now, perhaps nothing; None where a later attempt says something else."""
        if attempt != self._attempt:
            self._attempt, self._text = attempt, ""
        self._text += piece
        return "" if self._sent.startswith(self._text) else self._advance(self._text)

    def finish(self, whole: str) -> str | None:
        """What the whole text has beyond what was sent; None where it is another one."""
        return self._advance(whole)

    def _advance(self, text: str) -> str | None:
        if not text.startswith(self._sent):
            return None
        new = text[len(self._sent) :]
        self._sent = text
        return new


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunks:
    """Renders chunks of one response, all under one id."""

    id: str
    created: int
    model: str
    n: int
    is_chat: bool

    def opening(self, index: int) -> dict[str, Any] | None:
        """The chunk before any text of a choice: who speaks."""
        if not self.is_chat:
            return None
        return self._chunk([self._choice(index, {"role": "assistant", "content": "", "refusal": None})])

    def text(self, index: int, text: str) -> dict[str, Any]:
        return self._chunk([self._choice(index, text)])

    def scores(self, index: int, job: Job) -> dict[str, Any] | None:
        """The log-probabilities of all tokens, where they were asked for: known only when the text has ended."""
        answer = answer_of(job)
        logprobs = render_chat_logprobs(answer) if self.is_chat else render_text_logprobs(answer)
        if logprobs is None:
            return None
        return self._chunk([{**self._choice(index, ""), "logprobs": logprobs}])

    def end(self, index: int, job: Job) -> dict[str, Any]:
        """The last chunk of a choice."""
        choice = self._choice(index, {} if self.is_chat else "")
        chunk = self._chunk([{**choice, "finish_reason": finish_reason(answer_of(job))}])
        return {**chunk, "system_fingerprint": fingerprint([job]), "mathcode": {"jobs": [render_origin(job)]}}

    def usage(self, jobs: Sequence[Job]) -> dict[str, Any]:
        """The chunk after all choices, where it was asked for."""
        return {**self._chunk([]), "usage": render_usage(jobs, n=self.n)}

    def _choice(self, index: int, delta: dict[str, Any] | str) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "logprobs": None, "finish_reason": None}
        if not self.is_chat:
            return {**choice, "text": delta}
        return {**choice, "delta": {"content": delta} if isinstance(delta, str) else delta}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "chat.completion.chunk" if self.is_chat else "text_completion",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": None,
            "choices": choices,
            "usage": None,
        }
