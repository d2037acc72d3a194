"""Ended jobs as OpenAI's chat completion or text completion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.jobs import Job
from core.messages import Answer, FinishReason, TokenChance, TokenLogprob

CHAT = "/v1/chat/completions"


def render_body(jobs: Sequence[Job], *, id: str, model: str, n: int, is_chat: bool) -> dict[str, Any]:
    """The whole response; `jobs` have answers, `n` for each prompt."""
    choose = render_chat_choice if is_chat else render_text_choice
    return {
        "id": id,
        "object": "chat.completion" if is_chat else "text_completion",
        "created": int(jobs[0].created_at.timestamp()),
        "model": model,
        "system_fingerprint": fingerprint(jobs),
        "choices": [choose(index, answer_of(job)) for index, job in enumerate(jobs)],
        "usage": render_usage(jobs, n=n),
        "mathcode": {"jobs": [render_origin(job) for job in jobs]},
    }


def render_origin(job: Job) -> dict[str, Any]:
    """Where a choice comes from: an extension."""
    answer = answer_of(job)
    return {
        "id": job.id,
        "task_type": job.route.task_type,
        "confidence": job.route.confidence,
        "router": job.route.version,
        "degraded": answer.degraded,
        "model": answer.model_used,
    }


def fingerprint(jobs: Sequence[Job]) -> str:
    """The exact versions that answered."""
    return ", ".join(dict.fromkeys(answer_of(job).model_used for job in jobs))


def render_chat_choice(index: int, answer: Answer) -> dict[str, Any]:
    return {
        "index": index,
        "message": {"role": "assistant", "content": answer.response, "refusal": None},
        "logprobs": render_chat_logprobs(answer),
        "finish_reason": finish_reason(answer),
    }


def render_text_choice(index: int, answer: Answer) -> dict[str, Any]:
    return {
        "index": index,
        "text": answer.response,
        "logprobs": render_text_logprobs(answer),
        "finish_reason": finish_reason(answer),
    }


def finish_reason(answer: Answer) -> str:
    """`length` if any part of a hybrid answer was cut."""
    reasons = {completion.finish_reason for completion in answer.completions}
    return (FinishReason.LENGTH if FinishReason.LENGTH in reasons else FinishReason.STOP).value


def render_usage(jobs: Sequence[Job], *, n: int) -> dict[str, int]:
    """Tokens of both models; a prompt counts once, however many choices it has."""
    prompts = sum(c.prompt_tokens for job in jobs[::n] for c in answer_of(job).completions)
    completions = sum(c.completion_tokens for job in jobs for c in answer_of(job).completions)
    return {
        "prompt_tokens": prompts,
        "completion_tokens": completions,
        "total_tokens": prompts + completions,
    }


def answer_of(job: Job) -> Answer:
    if job.answer is None:
        raise ValueError(f"job {job.id} has no answer")
    return job.answer


def render_chat_logprobs(answer: Answer) -> dict[str, Any] | None:
    """Those of both parts of a hybrid answer, one after the other; its headings have none."""
    tokens = _scored(answer)
    if tokens is None:
        return None
    content = [{**_chance(token), "top_logprobs": [_chance(top) for top in token.top]} for token in tokens]
    return {"content": content, "refusal": None}


def render_text_logprobs(answer: Answer) -> dict[str, Any] | None:
    tokens = _scored(answer)
    if tokens is None:
        return None
    return {
        "tokens": [_name(token) for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{_name(top): top.logprob for top in token.top} for token in tokens],
        "text_offset": _offsets(tokens, answer.response),
    }


def _scored(answer: Answer) -> list[TokenLogprob] | None:
    scored = [completion.logprobs for completion in answer.completions if completion.logprobs is not None]
    return [token for tokens in scored for token in tokens] if scored else None


def _chance(chance: TokenChance) -> dict[str, Any]:
    return {"token": chance.token, "logprob": chance.logprob, "bytes": list(chance.bytes)}


def _name(chance: TokenChance) -> str:
    """As OpenAI writes tokens that are a part of a character, which would else be one key."""
    if "\N{REPLACEMENT CHARACTER}" not in chance.token:
        return chance.token
    return "bytes:" + "".join(f"\\x{byte:02x}" for byte in chance.bytes)


def _offsets(tokens: Sequence[TokenLogprob], text: str) -> list[int]:
    """Where each token begins in `text`, in characters; the space that begins a text is not part of it."""
    written = b"".join(bytes(token.bytes) for token in tokens)
    dropped = int(written.startswith(b" ") and not text.startswith(" "))
    offsets, length = [], -dropped
    for token in tokens:
        offsets.append(max(length, 0))
        length += sum(byte & 0xC0 != 0x80 for byte in token.bytes)  # a character begins
    return offsets
