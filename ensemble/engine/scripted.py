"""A model without a network: the real loop over words drawn from the prompt's digest, for benchmarks and tests.

Everything above the runner is the engine that serves the real models, so limits, stop strings, deadlines and
cancellation are theirs and not an imitation. Knows no torch.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from random import Random
from zlib import crc32

from core.errors import AdapterError
from core.messages import ChatMessage, ModelName, Sampling
from ensemble.engine.detokenizer import Detokenizer, Piece
from ensemble.engine.engine import ModelEngine
from ensemble.engine.runner import Result
from ensemble.engine.sequence import PIECE_INTERVAL_S
from ensemble.models import ModelSpec

END = 0
_WORDS = """
lemma proof bound axiom matrix vector tensor integral sum limit prime root graph tree heap queue stack list loop
node edge hash sort search scan merge split parse render fetch store naïve 数学 код 🧮
"""
# "é" comes as two tokens of one raw byte each, as in a real vocabulary.
_PIECES: tuple[Piece, ...] = ("", b"\xc3", b"\xa9", *(f" {word}" for word in _WORDS.split()))
_FIRST_BYTE, _SECOND_BYTE, _FIRST_WORD = 1, 2, 3


class ScriptedVocabulary:
    """One token per word of the conversation."""

    end_tokens = frozenset({END})

    def encode(self, messages: tuple[ChatMessage, ...]) -> list[int]:
        return [crc32(word.encode()) for message in messages for word in message.content.split()]

    def detokenizer(self) -> Detokenizer:
        return Detokenizer(_PIECES)


@dataclass(slots=True)
class Script:
    """What one sequence will say: `left` more tokens, drawn from `words`."""

    words: Random
    left: int
    last: int = END


class ScriptedRunner:
    """Says `answer_tokens` tokens to every prompt, one per step of `seconds_per_step` for the batch.

    An adapter is any directory; its name changes the words.
    """

    def __init__(self, *, answer_tokens: int, seconds_per_step: float) -> None:
        self._answer_tokens = answer_tokens
        self._seconds_per_step = seconds_per_step
        self._adapters: dict[int, str] = {}

    memory_bytes = memory_used_bytes = 0

    def admit(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        max_tokens: int = 0,
        written: Sequence[int] = (),
        place: int | None = None,
    ) -> Script:
        """Begin a script: prompt and adapter alone decide it when greedy, the seed too otherwise."""
        seed = sampling.seed if sampling.seed is not None else secrets.randbits(63)
        chance = seed if sampling.temperature > 0 else None
        adapter = self._adapters[place] if place is not None else None
        digest = blake2b(repr((list(prompt), chance, adapter)).encode()).digest()
        script = Script(Random(digest), self._answer_tokens)  # noqa: S311 - text, not secrets
        for _ in written:
            _next_token(script)
        return script

    def step(self, batch: Sequence[Script]) -> list[Result]:
        """The next token of each script."""
        if self._seconds_per_step > 0:
            time.sleep(self._seconds_per_step)
        return [_next_token(script) for script in batch]

    def release(self, state: Script) -> None:
        """Nothing is held."""

    def load_adapter(self, directory: Path) -> str:
        """Raises AdapterError."""
        if not directory.is_dir():
            raise AdapterError(directory, "is not a directory")
        return directory.name

    def place_adapter(self, place: int, adapter: str) -> None:
        self._adapters[place] = adapter

    def sleep(self) -> None:
        """Nothing is held."""

    def wake(self) -> None:
        """Nothing is needed."""


class ScriptedEngine(ModelEngine[Script]):
    """A started engine that answers with a `ScriptedRunner`."""

    def __init__(
        self,
        *,
        model: ModelName = ModelName.MATHSTRAL,
        answer_tokens: int = 64,
        seconds_per_step: float = 0.0,
        context_tokens: int = 4096,
        slots: int = 8,
        default_max_tokens: int = 512,
        piece_interval_s: float = PIECE_INTERVAL_S,
    ) -> None:
        super().__init__(
            spec=ModelSpec(model=model, version=f"{model.value}-scripted", context_tokens=context_tokens),
            vocabulary=ScriptedVocabulary(),
            runner=ScriptedRunner(answer_tokens=answer_tokens, seconds_per_step=seconds_per_step),
            slots=slots,
            default_max_tokens=default_max_tokens,
            piece_interval_s=piece_interval_s,
        )


def _next_token(script: Script) -> int:
    if script.left == 0:
        return END
    script.left -= 1
    if script.last == _FIRST_BYTE:
        script.last = _SECOND_BYTE
    else:
        is_byte = script.words.random() < 0.1
        script.last = _FIRST_BYTE if is_byte else script.words.randrange(_FIRST_WORD, len(_PIECES))
    return script.last
