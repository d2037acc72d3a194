"""Whether a request fits the models it would go to; asked before anything is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from core.errors import PromptTooLong
from core.messages import ChatMessage, GenerationRequest, ModelName, Route
from ensemble import prompting

# What the chat format adds around each message, in tokens, is always less than this.
FORMAT_TOKENS = 16
# What `prompting` adds to a request, in bytes, is always less than this.
FRAME_BYTES = 1024


class Tokenizer(Protocol):
    def count(self, messages: tuple[ChatMessage, ...]) -> int:
        """Tokens of the formatted conversation."""


class Admission:
    """Counts tokens only where bytes alone do not settle it: a token stands for at least one byte."""

    def __init__(
        self, *, context_tokens: Mapping[ModelName, int], tokenizer_of: Callable[[ModelName], Tokenizer]
    ) -> None:
        self._context_tokens = context_tokens
        self._tokenizer_of = tokenizer_of

    def check(self, request: GenerationRequest, route: Route) -> None:
        """Raise PromptTooLong if a model of this route cannot hold prompt and answer."""
        for model in prompting.models_for(route.task_type):
            messages = prompting.compose(request, model=model, task_type=route.task_type)
            self._check_one(model, messages, max_tokens=request.sampling.max_tokens or 1)

    def surely_fits(self, request: GenerationRequest) -> bool:
        """Whether bytes alone settle that every model can hold it, alone or with the other."""
        texts = (request.prompt, *(turn.content for turn in request.history))
        upper_bound = FRAME_BYTES + sum(len(text.encode()) + FORMAT_TOKENS for text in texts)
        return upper_bound + (request.sampling.max_tokens or 1) <= min(self._context_tokens.values())

    def _check_one(self, model: ModelName, messages: tuple[ChatMessage, ...], *, max_tokens: int) -> None:
        context = self._context_tokens[model]
        upper_bound = sum(len(m.content.encode()) + FORMAT_TOKENS for m in messages)
        if upper_bound + max_tokens <= context:
            return
        count = self._tokenizer_of(model).count(messages)
        if count + max_tokens > context:
            raise PromptTooLong(model=model, prompt_tokens=count, max_tokens=max_tokens, context_tokens=context)
