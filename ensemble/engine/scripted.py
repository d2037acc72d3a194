"""A model without a network: the real loop over words drawn from the prompt's digest, for benchmarks and tests.

Everything above the runner is the engine that serves the real models, so limits, stop strings, deadlines and
cancellation are theirs and not an imitation. At every step the prompt decides what the model likes best and what
second best, all other words are alike; tokens are drawn and scored by this distribution. Knows no torch.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path
from random import Random
from zlib import crc32

from core.errors import AdapterError
from core.messages import ChatMessage, ModelName, Sampling
from ensemble.engine.detokenizer import Detokenizer, Piece, spell
from ensemble.engine.engine import ModelEngine
from ensemble.engine.plain_sampling import draw, score
from ensemble.engine.runner import Result, Scored
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
_FAVOUR, _SECOND_FAVOUR = 1.5, 1.0  # logits, all others have 0


class ScriptedVocabulary:
    """One token per word of the conversation."""

    end_tokens = frozenset({END})

    def encode(self, messages: tuple[ChatMessage, ...]) -> list[int]:
        return [crc32(word.encode()) for message in messages for word in message.content.split()]

    def detokenizer(self, *, continues: bool = False) -> Detokenizer:
        return Detokenizer(_PIECES, continues=continues)

    def spell(self, token: int) -> tuple[str, bytes]:
        return spell(_PIECES[token], name="</s>")


@dataclass(slots=True)
class Script:
    """What one sequence will say: `left` more tokens; `words` gives the favourites, `chance` draws."""

    words: Random
    left: int
    sampling: Sampling
    prompt: frozenset[int]
    chance: Random
    is_plain: bool  # always says the favourite
    last: int = END
    written: Counter[int] = field(default_factory=Counter)


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
        adapter = self._adapters[place] if place is not None else None
        script = Script(
            words=_random((list(prompt), adapter)),
            left=self._answer_tokens,
            sampling=sampling,
            prompt=frozenset(prompt),
            chance=_random((list(prompt), adapter, seed)),
            is_plain=not sampling.has_penalties and (sampling.temperature == 0.0 or sampling.top_k == 1),
        )
        for token in written:
            _draw_next(script, _logits(_favourite(script)))
            _say(script, token)
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

    def wake(self, places: Set[int]) -> None:
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


def _next_token(script: Script) -> int | Scored:
    logits = _logits(_favourite(script))
    token = _draw_next(script, logits)
    _say(script, token)
    alternatives = script.sampling.logprobs
    return token if alternatives is None else score(logits, token, alternatives)


def _draw_next(script: Script, logits: Mapping[int, float]) -> int:
    if script.is_plain:
        return max(logits, key=lambda token: logits[token])
    return draw(logits, script.sampling, prompt=script.prompt, written=script.written, chance=script.chance)


def _say(script: Script, token: int) -> None:
    script.left = max(script.left - 1, 0)
    script.last = token
    script.written[token] += 1


def _favourite(script: Script) -> int:
    if script.left == 0:
        return END
    if script.last == _FIRST_BYTE:
        return _SECOND_BYTE
    is_byte = script.words.random() < 0.1
    return _FIRST_BYTE if is_byte else script.words.randrange(_FIRST_WORD, len(_PIECES))


@cache
def _logits(favourite: int) -> Mapping[int, float]:
    """Half a character must be completed, and at the end nothing else can follow."""
    if favourite in (END, _SECOND_BYTE):
        return {favourite: 0.0}
    logits = dict.fromkeys((_FIRST_BYTE, *range(_FIRST_WORD, len(_PIECES))), 0.0)
    second = favourite + 1 if favourite + 1 in logits else _FIRST_WORD
    return {**logits, favourite: _FAVOUR, second: _SECOND_FAVOUR}


def _random(origin: object) -> Random:
    return Random(blake2b(repr(origin).encode()).digest())  # noqa: S311 - text, not secrets
