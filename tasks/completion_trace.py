"""The spans of one completion: its wait for a worker, reading the prompt, writing the answer."""

from __future__ import annotations

from core.leases import Claim
from core.messages import Failure, Outcome
from core.tracing import Attributes, Tracer, created_at


def trace_completion(tracer: Tracer, claim: Claim, outcome: Outcome, *, start: float, end: float) -> None:
    """`start` is when the worker had the claim, `end` when the model was done."""
    about: Attributes = {"mathcode.model": claim.model.value, "mathcode.attempt": claim.attempt}
    if claim.attempt == 1 and claim.notes is None:
        tracer.add(claim.job_id, "wait", start=created_at(claim.job_id), end=start, attributes=about)
    if isinstance(outcome, Failure):
        failed = {**about, "mathcode.failure": outcome.code.value}
        tracer.add(claim.job_id, "generate", start=start, end=end, attributes=failed)
        return
    written = {
        **about,
        "mathcode.version": outcome.version,
        "mathcode.prompt_tokens": outcome.prompt_tokens,
        "mathcode.completion_tokens": outcome.completion_tokens,
    }
    tracer.add(claim.job_id, "generate", start=start, end=end, attributes=written)
    if outcome.first_token_s is not None:
        first = min(end, start + outcome.first_token_s)
        tracer.add(claim.job_id, "first token", start=start, end=first, attributes=about)
        tracer.add(claim.job_id, "further tokens", start=first, end=end, attributes=about)
