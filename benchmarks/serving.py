"""An engine over a model under test, and the clients that ask it: one thread each, as a worker has."""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import torch

from benchmarks.subjects import CONTEXT_TOKENS, Subject
from core.messages import ChatMessage, Completion, Failure, Sampling
from core.options import Device
from core.settings import Settings
from core.work import Delta, Work
from ensemble.engine.batching import build_runner
from ensemble.engine.detokenizer import Detokenizer, Piece
from ensemble.engine.engine import ModelEngine
from ensemble.engine.tokenizer import load_tokenizer
from ensemble.models import ModelSpec

PREFILL_TOKENS = 2048  # the default of MATHCODE_PREFILL_TOKENS
PATIENCE_S = 60.0
_TEXT_TOKENS = range(1100, 32_000)  # neither control tokens nor raw bytes
_FILLER = "."

Engine = ModelEngine[Any]


class TimedDetokenizer(Detokenizer):
    """Notes when the engine's loop delivers each token.

    What has no text (control tokens, parts of characters; a random model may repeat one for ever) becomes a dot,
    so that the loop delivers as many pieces as for real text.
    """

    __slots__ = ("times",)

    def __init__(self, pieces: Sequence[Piece]) -> None:
        super().__init__(pieces)
        self.times: list[float] = []

    def push(self, token: int) -> str:
        self.times.append(time.perf_counter())
        return super().push(token) or _FILLER


class BenchmarkVocabulary:
    """Prompts made up or tokenised beforehand, by their text; others, and answers, by the real tokenizer.

    No token ends an answer. `followers` are the detokenizers of all answers since the last `forget`.
    """

    end_tokens: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self._tokenizer = load_tokenizer()
        self._pieces = self._tokenizer.detokenizer()._pieces
        self._prompts: dict[str, list[int]] = {}
        self.followers: list[TimedDetokenizer] = []

    def add_random(self, name: str, tokens: int) -> None:
        """Make `name` stand for a prompt of exactly `tokens` random tokens, the same for the same name."""
        if name not in self._prompts:
            self._prompts[name] = random.Random(name).choices(_TEXT_TOKENS, k=tokens)  # noqa: S311

    def encode(self, messages: tuple[ChatMessage, ...]) -> list[int]:
        known = self._prompts.get(messages[0].content)
        return self._tokenizer.encode(messages) if known is None else list(known)

    def detokenizer(self) -> Detokenizer:
        follower = TimedDetokenizer(self._pieces)
        self.followers.append(follower)
        return follower

    def forget(self) -> None:
        self.followers = []


@dataclass(slots=True, kw_only=True)
class Ask:
    """One request as its client saw it; times by `time.perf_counter`."""

    prompt: str
    sampling: Sampling
    due: float = 0.0  # when it arrived, before any waiting
    cancelled: Event = field(default_factory=Event)
    first: float | None = None  # first text
    end: float = 0.0
    outcome: Completion | Failure | None = None

    def put_to(self, engine: Engine) -> Ask:
        """Read the answer to its end."""
        message = ChatMessage(role="user", content=self.prompt)
        work = Work(messages=(message,), sampling=self.sampling, cancelled=self.cancelled)
        self.due = self.due or time.perf_counter()
        for item in engine.generate(work):
            if not isinstance(item, Delta):
                self.outcome = item
            elif self.first is None:
                self.first = time.perf_counter()
        self.end = time.perf_counter()
        return self

    def again(self, cancelled: Event) -> Ask:
        """The same request, not yet put."""
        return Ask(prompt=self.prompt, sampling=self.sampling, cancelled=cancelled)

    @property
    def completion(self) -> Completion:
        """Raises RuntimeError where the request failed."""
        if not isinstance(self.outcome, Completion):
            reason = None if self.outcome is None else self.outcome.message
            raise RuntimeError(f"a request failed: {reason}")
        return self.outcome

    @property
    def first_ms(self) -> float:
        """From arrival to the first text."""
        return 1e3 * (self.first - self.due) if self.first is not None else float("nan")


@dataclass(slots=True, kw_only=True)
class Serving:
    """An engine under test with what its clients need."""

    engine: Engine
    vocabulary: BenchmarkVocabulary
    slots: int

    def close(self) -> None:
        """Stop the engine and free its memory, even while somebody still holds this object."""
        self.engine.close()
        del self.engine
        free_memory()

    def require_alive(self) -> None:
        """Raise RuntimeError where the engine's loop has died."""
        if not self.engine.alive:
            raise RuntimeError("the engine died")

    def asks(self, count: int, *, prompt_tokens: int, sampling: Sampling, label: str = "prompt") -> list[Ask]:
        """`count` requests with different prompts of equal length, not yet put."""
        names = [f"{label} {number}" for number in range(count)]
        for name in names:
            self.vocabulary.add_random(name, prompt_tokens)
        seeds = range(count) if sampling.temperature > 0 else [None] * count
        samplings = [sampling.model_copy(update={"seed": seed}) for seed in seeds]
        return [Ask(prompt=name, sampling=each) for name, each in zip(names, samplings, strict=True)]

    def put(self, pool: ThreadPoolExecutor, asks: Iterable[Ask]) -> list[Future[Ask]]:
        return [pool.submit(ask.put_to, self.engine) for ask in asks]

    def put_all(self, asks: Sequence[Ask]) -> None:
        """Put all at once, and wait for all."""
        with ThreadPoolExecutor(len(asks)) as pool:
            for future in self.put(pool, asks):
                future.result()

    def wait_until_writing(self, count: int) -> None:
        """Wait until `count` answers have their first token. Raises TimeoutError or RuntimeError."""
        limit = time.perf_counter() + PATIENCE_S
        while sum(bool(follower.times) for follower in self.vocabulary.followers) < count:
            self.require_alive()
            if time.perf_counter() > limit:
                raise TimeoutError(f"{count} requests had no first token within {PATIENCE_S:.0f} s")
            time.sleep(0.005)


def build_engine(
    subject: Subject,
    *,
    slots: int,
    prefill_tokens: int = PREFILL_TOKENS,
    context_tokens: int = CONTEXT_TOKENS,
    is_warm: bool = True,
) -> Serving:
    """The product's own engine over the module. All engines of the benchmarks come from here.

    Where not `is_warm`, kernels are compiled and graphs captured when they are first needed.
    """
    device = Device(subject.module.device.type)
    settings = Settings(MATHCODE_SLOTS=slots, MATHCODE_PREFILL_TOKENS=prefill_tokens, MATHCODE_DEVICE=device)
    runner, context_tokens = build_runner(subject.model, subject.module, settings, context_tokens=context_tokens)
    if is_warm:
        runner.warm_up()
    vocabulary = BenchmarkVocabulary()
    engine = ModelEngine(
        spec=ModelSpec(model=subject.model, version="random", context_tokens=context_tokens),
        vocabulary=vocabulary,
        runner=runner,
        slots=slots,
        default_max_tokens=context_tokens,
    )
    return Serving(engine=engine, vocabulary=vocabulary, slots=slots)


def free_memory() -> None:
    """Give what nobody refers to back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of `values` lie; nan of none."""
    finite = sorted(value for value in values if not math.isnan(value))
    return finite[min(len(finite) - 1, int(share * len(finite)))] if finite else float("nan")


def median(values: Iterable[float]) -> float:
    finite = [value for value in values if not math.isnan(value)]
    return statistics.median(finite) if finite else float("nan")
