"""Requests as they might come: prompts of real lengths, answers of drawn lengths, arrivals at random times."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from benchmarks.serving import Ask, Serving
from benchmarks.subjects import CONTEXT_TOKENS
from core.messages import ChatMessage, Sampling
from ensemble.engine.tokenizer import load_tokenizer

SEED = 20_240_716
MEDIAN_ANSWER, SIGMA, LEAST_ANSWER, MOST_ANSWER = 128, 0.8, 8, 512
MOST_PROMPT = CONTEXT_TOKENS - MOST_ANSWER
# Tokens of 1,590 prompts of public mathematics and code sources, at 32 evenly spaced quantiles.
PROMPT_LENGTHS = (
    *(12, 14, 16, 17, 18, 19, 20, 22, 24, 26, 28, 30, 34, 37, 40, 44),
    *(49, 53, 59, 66, 71, 78, 89, 103, 125, 164, 226, 291, 352, 442, 633, 971),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Prompts to draw from, each with its tokens: text of a file, or the name of a length."""

    prompts: tuple[tuple[str, int], ...]
    is_random: bool
    source: str

    @classmethod
    def of(cls, path: Path | None) -> Workload:
        """Raises OSError, or ValueError where a line is not an object with a `prompt`."""
        if path is None:
            lengths = tuple((f"{count} tokens", count) for count in PROMPT_LENGTHS)
            return cls(prompts=lengths, is_random=True, source="built-in lengths")
        tokenizer = load_tokenizer()
        texts = [_prompt(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        counted = [(text, tokenizer.count((ChatMessage(role="user", content=text),))) for text in texts]
        fitting = tuple((text, count) for text, count in counted if count <= MOST_PROMPT)
        if not fitting:
            raise ValueError(f"{path} has no prompt of at most {MOST_PROMPT} tokens")
        return cls(
            prompts=fitting, is_random=False, source=f"{len(fitting)} of {len(texts)} prompts of {path.name}"
        )

    def describe(self) -> str:
        lengths = sorted(count for _, count in self.prompts)
        return (
            f"{self.source}: median {lengths[len(lengths) // 2]}, mean {fmean(lengths):.0f}, most {lengths[-1]} "
            f"tokens; answers of {self.mean_answer_tokens:.0f} tokens in the mean"
        )

    @property
    def mean_answer_tokens(self) -> float:
        draw = random.Random(SEED)  # noqa: S311
        return fmean(_answer_tokens(draw) for _ in range(20_000))

    def asks(self, served: Serving, count: int) -> list[Ask]:
        """The first `count` requests of the fixed sequence, greedy, not yet put."""
        draw = random.Random(SEED)  # noqa: S311
        asks = []
        for _ in range(count):
            prompt, tokens = draw.choice(self.prompts)
            if self.is_random:
                served.vocabulary.add_random(prompt, tokens)
            asks.append(Ask(prompt=prompt, sampling=Sampling(max_tokens=_answer_tokens(draw))))
        return asks

    def arrivals(self, *, rate: float, seconds: float) -> list[float]:
        """Seconds from the beginning, in order: a Poisson process of `rate` per second."""
        draw = random.Random(SEED)  # noqa: S311
        times = [draw.expovariate(rate)]
        while times[-1] < seconds:
            times.append(times[-1] + draw.expovariate(rate))
        return times[:-1]


def _answer_tokens(draw: random.Random) -> int:
    return round(min(MOST_ANSWER, max(LEAST_ANSWER, draw.lognormvariate(math.log(MEDIAN_ANSWER), SIGMA))))


def _prompt(line: str) -> str:
    row = json.loads(line)
    if not isinstance(row, dict) or not isinstance(row.get("prompt"), str):
        raise ValueError(f"no `prompt` in {line[:80]!r}")
    return str(row["prompt"])
