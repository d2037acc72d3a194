"""One worker as a queue: jobs arrive at random, share the decoding steps, and wait where every slot is taken.

A chain of births and deaths over the number of jobs in the worker. With k of them in slots a step takes s(k), so
together they end at k / (tokens x s(k)) per second, in the time that reading prompts leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, repeat
from math import exp, log

from stack.capacity.figures import ModelFigures

_LONGEST_QUEUE = 20_000  # jobs: what the chain looks at beyond the slots


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one worker is asked: jobs per second, tokens of answer and prompt; its share of its card's time."""

    rate: float
    tokens: float
    prompt_tokens: float
    slots: int
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What to expect on average. `utilisation` is the rate over the highest that can be kept up."""

    utilisation: float
    busy_slots: float
    queue_wait_s: float
    first_token_s: float
    token_s: float


def highest_rate(figures: ModelFigures, load: Load) -> float:
    """Jobs per second with every slot taken."""
    decoding = load.tokens * figures.step_s(load.slots) / load.slots
    return load.share / (decoding + figures.prompt_s(load.prompt_tokens))


def expect(figures: ModelFigures, load: Load) -> Service | None:
    """None where the worker cannot keep up: its queue grows without end."""
    utilisation = load.rate / highest_rate(figures, load)
    if utilisation >= 1:
        return None
    prompt = figures.prompt_s(load.prompt_tokens) / load.share
    left = 1 - load.rate * prompt
    steps = [figures.step_s(rows) / load.share / left for rows in range(1, load.slots + 1)]
    busy, waiting = _occupancy(load, steps)
    token = busy / (load.rate * load.tokens)
    return Service(
        utilisation=utilisation,
        busy_slots=busy,
        queue_wait_s=waiting / load.rate,
        first_token_s=waiting / load.rate + token / 2 + prompt * (1 + load.rate * token) + figures.delivery_s,
        token_s=token,
    )


def _occupancy(load: Load, steps: list[float]) -> tuple[float, float]:
    """(busy slots, jobs that wait), on average."""
    growth = [load.rate * load.tokens * step / rows for rows, step in enumerate(steps, 1)]
    queue = repeat(growth[-1], _LONGEST_QUEUE)
    weights = _scaled_products([*growth, *queue])
    total = sum(weights)
    busy = sum(min(jobs, load.slots) * weight for jobs, weight in enumerate(weights))
    waiting = sum(max(jobs - load.slots, 0) * weight for jobs, weight in enumerate(weights))
    return busy / total, waiting / total


def _scaled_products(factors: list[float]) -> list[float]:
    """1 and the running products, divided by the largest: their logarithms do not overflow."""
    logarithms = [0.0, *accumulate(log(factor) for factor in factors)]
    largest = max(logarithms)
    return [exp(each - largest) for each in logarithms]
