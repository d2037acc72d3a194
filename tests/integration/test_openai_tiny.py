"""OpenAI's client against a real architecture with random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openai import OpenAI

from core.messages import ModelName
from ensemble.engine.tiny import ensure_tiny_checkpoint
from stack.servers import ServerUrls
from tests.harness import installation
from tests.openai_calls import client_of

VERSION = "mathstral-tiny-random"
CONVERSATION: list[Any] = [
    {"role": "system", "content": "Answer in one word."},
    {"role": "user", "content": "What is 2 + 2?"},
    {"role": "assistant", "content": "Four"},
    {"role": "user", "content": "And 2 + 3?"},
]


@pytest.fixture(scope="module")
def client(new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    urls, directory = new_urls(), tmp_path_factory.mktemp("installation")
    ensure_tiny_checkpoint(ModelName.MATHSTRAL, directory / "models" / "tiny" / "mathstral")
    with installation(
        database_url=urls.database_url,
        redis_url=urls.redis_url,
        data_dir=directory,
        settings={"MATHCODE_PROFILE": "tiny"},
    ) as made:
        made.start("api", "mathstral")
        with client_of(made) as opened:
            yield opened


def test_every_turn_of_a_conversation_counts(client: OpenAI) -> None:
    def ask(messages: list[Any]) -> Any:
        return client.chat.completions.create(
            model=f"mathstral@{VERSION}", messages=messages, temperature=0, max_tokens=8
        )

    whole = ask(CONVERSATION)
    assert whole.system_fingerprint == VERSION
    assert whole.choices[0].message.content
    shorter = [ask(CONVERSATION[:left] + CONVERSATION[left + 2 :]) for left in (0, 1)]
    assert all(other.usage.prompt_tokens < whole.usage.prompt_tokens for other in shorter)


def test_streams_choices_and_logprobs_are_those_of_the_call(client: OpenAI) -> None:
    fields: dict[str, Any] = {
        "model": "mathstral",
        "messages": CONVERSATION,
        "max_completion_tokens": 16,
        "seed": 3,
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
    }
    whole: Any = client.chat.completions.create(**fields)
    said, scored = ["", ""], [0, 0]
    with client.chat.completions.create(**fields, stream=True) as stream:
        for chunk in stream:
            for choice in chunk.choices:
                said[choice.index] += choice.delta.content or ""
                scored[choice.index] += len(choice.logprobs.content or []) if choice.logprobs else 0
    assert said == [choice.message.content for choice in whole.choices]
    assert scored == [len(choice.logprobs.content) for choice in whole.choices]


def test_bare_text_is_continued_with_its_offsets(client: OpenAI) -> None:
    response: Any = client.completions.create(
        model="mathstral", prompt="One, two, three,", temperature=0, max_tokens=12, logprobs=2
    )
    choice = response.choices[0]
    for token, offset in zip(choice.logprobs.tokens, choice.logprobs.text_offset, strict=True):
        if not token.startswith(("bytes:", "[control", "<")):
            assert choice.text[offset:].startswith(token if offset else token.lstrip(" "))
