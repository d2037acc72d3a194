"""Calls by OpenAI's client, and what is read of their responses."""

from __future__ import annotations

from typing import Any

from openai import OpenAI

from tests.harness import Installation

MATH_PROMPT = "Solve the equation: 2x^2 + 5x - 3 = 0"


def client_of(installation: Installation) -> OpenAI:
    """One that does not try again by itself."""
    return OpenAI(base_url=f"{installation.url}/v1", api_key="unused", max_retries=0)


def ask(client: OpenAI, prompt: str = MATH_PROMPT, model: str = "mathcode", **fields: Any) -> Any:
    """A chat of one turn, greedy and short unless `fields` say otherwise."""
    given = {"max_completion_tokens": 12, "temperature": 0, **fields}
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": prompt}], **given)


def texts(chunks: list[Any], n: int = 1) -> list[str]:
    """What was streamed of each choice."""
    joined = [""] * n
    for chunk in chunks:
        for choice in chunk.choices:
            joined[choice.index] += choice.delta.content or ""
    return joined


def job_ids(response: Any) -> list[str]:
    return [job["id"] for job in response.mathcode["jobs"]]
