"""A simulation of one worker, iteration by iteration, beside what `mathcode plan` calculates for it.

The same figures of steps and prompts, but no formula: requests arrive at random, take a slot or wait in order,
have their prompts read, and get one token in every step. What it leaves out is what the figures leave out, too.

    python -m benchmarks.continuous_batching
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from core.messages import ModelName
from stack.capacity.figures import H200, ModelFigures
from stack.capacity.queueing import Load, expect, highest_rate


@dataclass
class Request:
    arrived_s: float
    left: int
    admitted_s: float = 0.0
    first_s: float = 0.0


@dataclass(frozen=True)
class Observed:
    queue_wait_s: float
    first_token_s: float
    token_s: float


def simulate(figures: ModelFigures, load: Load, *, jobs: int, seed: int = 1) -> Observed:
    """The averages over all but the first tenth of the jobs, while the worker fills."""
    dice = random.Random(seed)  # noqa: S311
    now, coming, ended = 0.0, deque(_arrivals(load, jobs, dice)), []
    waiting: deque[Request] = deque()
    decoding: list[Request] = []
    while coming or waiting or decoding:
        if not waiting and not decoding:
            now = max(now, coming[0].arrived_s)
        while coming and coming[0].arrived_s <= now:
            waiting.append(coming.popleft())
        now, joined = _read_prompts(figures, load, waiting, free=load.slots - len(decoding), now=now)
        now += figures.step_s(len(decoding)) if decoding else 0
        ended += _step(decoding, now)
        decoding += joined
    return _averages(ended[len(ended) // 10 :], figures, load)


def _arrivals(load: Load, jobs: int, dice: random.Random) -> list[Request]:
    now, requests = 0.0, []
    for _ in range(jobs):
        now += dice.expovariate(load.rate)
        requests.append(Request(now, max(1, round(load.tokens))))
    return requests


def _read_prompts(
    figures: ModelFigures, load: Load, waiting: deque[Request], *, free: int, now: float
) -> tuple[float, list[Request]]:
    joined = [waiting.popleft() for _ in range(min(free, len(waiting)))]
    end = now + len(joined) * figures.prompt_s(load.prompt_tokens)
    for request in joined:
        request.admitted_s, request.first_s = now, end
    return end, joined


def _step(decoding: list[Request], now: float) -> list[tuple[Request, float]]:
    for request in decoding:
        request.left -= 1
    ended = [(request, now) for request in decoding if request.left == 0]
    decoding[:] = [request for request in decoding if request.left]
    return ended


def _averages(ended: list[tuple[Request, float]], figures: ModelFigures, load: Load) -> Observed:
    count = len(ended)
    return Observed(
        queue_wait_s=sum(request.admitted_s - request.arrived_s for request, _ in ended) / count,
        first_token_s=sum(request.first_s - request.arrived_s for request, _ in ended) / count
        + figures.delivery_s,
        token_s=sum(end - request.first_s for request, end in ended) / count / load.tokens,
    )


def main() -> None:
    print("model      load  jobs/s   first token, ms        per token, ms")
    for model in ModelName:
        figures = H200.models[model]
        load = Load(rate=1, tokens=300, prompt_tokens=135, slots=256)
        for share in (0.5, 0.8, 0.95):
            asked = Load(rate=share * highest_rate(figures, load), tokens=300, prompt_tokens=135, slots=256)
            seen, said = simulate(figures, asked, jobs=6000), expect(figures, asked)
            if said is not None:
                print(
                    f"{model.value:10} {share:.2f}  {asked.rate:6.1f}   model {1e3 * said.first_token_s:6.1f} seen"
                    f" {1e3 * seen.first_token_s:6.1f}   model {1e3 * said.token_s:5.1f}"
                    f" seen {1e3 * seen.token_s:5.1f}"
                )


if __name__ == "__main__":
    main()
