"""What the loop needs from a model: tokens for prompts. The only seam below which tensors exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from core.messages import ChatMessage, Sampling
from ensemble.engine.detokenizer import Detokenizer

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Scored:
    """A drawn token with its log-probability and the most probable tokens, best first, with theirs."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


class Vocabulary(Protocol):
    """Messages to tokens and tokens to text."""

    @property
    def end_tokens(self) -> frozenset[int]:
        """The tokens with which a model ends its answer."""

    def encode(self, messages: tuple[ChatMessage, ...]) -> list[int]:
        """The tokens of a conversation; raises `InvalidRequest` for one that cannot be shown to a model."""

    def detokenizer(self) -> Detokenizer:
        """A follower for one answer."""

    def spell(self, token: int) -> tuple[str, bytes]:
        """What `token` alone adds to a text; a control token gives its name, and no bytes."""


class Runner(Protocol, Generic[State]):
    """A model that continues many sequences. Every method is called from the loop's thread only.

    `State` is the runner's own: what it remembers of one sequence between steps.
    """

    def admit(self, prompt: Sequence[int], sampling: Sampling, *, max_tokens: int) -> State | None:
        """Take one sequence in, or None while memory for it is lacking; cheap, steps read the prompt."""

    def step(self, batch: Sequence[State]) -> Sequence[int | Scored | Exception | None]:
        """The next token of each sequence, None while its prompt is being read, or what prevents it for this one.

        Tokens are `Scored` for exactly the sequences that asked for it. Raising breaks the whole engine.
        """

    def release(self, state: State) -> None:
        """Let one sequence go."""
