"""What the loop needs from a model: tokens for prompts. The only seam below which tensors exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from core.messages import ChatMessage, Sampling
from ensemble.engine.detokenizer import Detokenizer

State = TypeVar("State")


class Vocabulary(Protocol):
    """Messages to tokens and tokens to text."""

    @property
    def end_tokens(self) -> frozenset[int]:
        """The tokens with which a model ends its answer."""

    def encode(self, messages: tuple[ChatMessage, ...]) -> list[int]:
        """The tokens of a conversation; raises `InvalidRequest` for one that cannot be shown to a model."""

    def detokenizer(self) -> Detokenizer:
        """A follower for one answer."""


class Runner(Protocol, Generic[State]):
    """A model that continues many sequences. Every method is called from the loop's thread only.

    `State` is the runner's own: what it remembers of one sequence between steps.
    """

    def admit(self, prompt: Sequence[int], sampling: Sampling, *, max_tokens: int) -> State | None:
        """Take one sequence in, or None while memory for it is lacking; cheap, steps read the prompt."""

    def step(self, batch: Sequence[State]) -> Sequence[int | Exception | None]:
        """The next token of each sequence, None while its prompt is being read, or what prevents it for this one.

        Raising breaks the whole engine.
        """

    def release(self, state: State) -> None:
        """Let one sequence go."""
