"""What the loop needs from a model: tokens for prompts. The only seam below which tensors exist."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from core.messages import ChatMessage, Sampling
from ensemble.engine.detokenizer import Detokenizer

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Scored:
    """A drawn token with its log-probability and the most probable tokens, best first, with theirs."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


Result = int | Scored | Exception | None
"""One sequence's next token (scored if it asked for that), what prevents it, or None while its prompt is read."""


class OutOfMemory(RuntimeError):
    """A step did not fit into the device's memory.

    `results` are those of the step before, to be used. What the runner holds of any sequence is void: each has to
    be released, and may be admitted again.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        super().__init__("the device has too little memory")
        self.results = results


class Vocabulary(Protocol):
    """Messages to tokens and tokens to text."""

    @property
    def end_tokens(self) -> frozenset[int]:
        """The tokens with which a model ends its answer."""

    def encode(self, messages: tuple[ChatMessage, ...]) -> list[int]:
        """The tokens of a conversation; raises `InvalidRequest` for one that cannot be shown to a model."""

    def detokenizer(self, *, continues: bool = False) -> Detokenizer:
        """A follower for one answer, or for one that `continues` a text."""

    def spell(self, token: int) -> tuple[str, bytes]:
        """What `token` alone adds to a text; a control token gives its name, and no bytes."""


class Runner(Protocol, Generic[State]):
    """A model that continues many sequences. Methods are called from the loop's thread only, but `load_adapter`.

    `State` is the runner's own: what it remembers of one sequence between steps.
    """

    @property
    def memory_bytes(self) -> int:
        """Reserved for what is remembered of sequences."""

    @property
    def memory_used_bytes(self) -> int:
        """Of these, what admitted sequences hold."""

    def admit(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        max_tokens: int,
        written: Sequence[int] = (),
        place: int | None = None,
    ) -> State | None:
        """Take one sequence in, or None while memory for it is lacking; cheap, steps read the prompt.

        `written` are the tokens of its answer that were drawn before it lost its state; `max_tokens` counts them.
        `place` is that of the adapter it is answered with, None for the model alone.
        """

    def step(self, batch: Sequence[State]) -> Sequence[Result]:
        """The result of each sequence. Raises OutOfMemory; raising anything else breaks the whole engine."""

    def release(self, state: State) -> None:
        """Let one sequence go."""

    def load_adapter(self, directory: Path) -> Any:
        """Read and check an adapter, on any thread; raises ConfigurationError."""

    def place_adapter(self, place: int, adapter: Any) -> None:
        """Put what `load_adapter` gave in a place that no sequence needs; also while asleep.

        Raises EngineUnavailable where memory is lacking; the place is then empty.
        """

    def sleep(self) -> None:
        """Give the device's memory back. No sequence is admitted until `wake`."""

    def wake(self, places: Set[int]) -> None:
        """Take the memory again, with the adapters in `places` and no others.

        Raises OutOfMemory, and sleeps on, where it is not to be had.
        """
