"""How many tokens does an engine write per second, greedy and sampled, beside what the device allows?

    python -m benchmarks.engine mistral|mamba2 --parts greedy sampled [--batches 1 64 256]

All requests arrive at once, each with a thread of its own that reads its text. `tokens/s` counts new tokens
from the first submission to the last outcome, prompts included. `decode/s` counts the tokens delivered while
all requests write: after the last one's first token and before the first one's end. `bound/s` is what the
device could decode: the larger of the time to move a step's bytes at the copy bandwidth and to multiply its
matrices at the matmul rate, both timed in the same run; `serial/s` takes their sum, as if nothing overlapped.
Caveats: Mamba2Network writes its state only every eighth token and so can pass its bound; attention counts as
matrices, Mamba2's scan does not. Sampled rows draw with temperature 1 and top_p 0.9 from a random model, whose
nucleus is nearly the whole vocabulary.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.machine import Machine
from benchmarks.report import Report, Row, print_table
from benchmarks.serving import Ask, Serving, median
from benchmarks.subjects import Subject
from core.messages import Sampling

GREEDY = Sampling()
SAMPLED = Sampling(temperature=1.0, top_p=0.9)
_COLUMNS = [
    ("requests", "at once", "d"),
    ("rate", "tokens/s", ".0f"),
    ("decode", "decode/s", ".0f"),
    ("bound", "bound/s", ".0f"),
    ("of_bound", "of bound", ".1%"),
    ("serial", "serial/s", ".0f"),
    ("of_serial", "of serial", ".1%"),
    ("first_ms", "first ms", ".0f"),
    ("last_first_ms", "last first ms", ".0f"),
]


def measure_rates(
    served: Serving, costs: Costs, report: Report, *, name: str, batches: list[int], how: Sampling
) -> None:
    """Print and keep one row for each of `batches`; one that fails leaves the others."""
    rows: list[Row] = []
    for requests in batches:
        with report.part(f"{name}, {requests} at once"):
            row = measure_batch(served, requests, tokens=costs.tokens, how=how)
            rows.append(row | costs.beside(requests, row["decode"]))
            report.keep(name, rows)
    print_table(_COLUMNS, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a model's steps cost at least on a machine, for prompts and answers of `tokens` tokens."""

    subject: Subject
    machine: Machine
    tokens: tuple[int, int]

    def beside(self, requests: int, decode: float) -> Row:
        """The bounds of so many requests, at their mean context, and which share of them `decode` reaches."""
        bound = self.subject.bound(self.machine, rows=requests, context=self.tokens[0] + self.tokens[1] / 2)
        return {
            "bound": requests / bound.step_s,
            "of_bound": decode * bound.step_s / requests,
            "serial": requests / bound.serial_s,
            "of_serial": decode * bound.serial_s / requests,
            "memory_ms": 1e3 * bound.memory_s,
            "matmul_ms": 1e3 * bound.matmul_s,
        }


def measure_batch(served: Serving, requests: int, *, tokens: tuple[int, int], how: Sampling) -> Row:
    sampling = how.model_copy(update={"max_tokens": tokens[1]})
    asks = served.asks(requests, prompt_tokens=tokens[0], sampling=sampling, label=f"{requests} at once")
    served.vocabulary.forget()
    begun = time.perf_counter()
    served.put_all(asks)
    seconds = time.perf_counter() - begun
    written = sum(ask.completion.completion_tokens for ask in asks)
    return {
        "requests": requests,
        "seconds": seconds,
        "rate": written / seconds,
        "decode": _decode_rate([follower.times for follower in served.vocabulary.followers]),
        "first_ms": median(ask.first_ms for ask in asks),
        "last_first_ms": max(ask.first_ms for ask in asks),
        "asks": [_raw(ask, begun) for ask in asks],
    }


def _decode_rate(streams: list[list[float]]) -> float:
    """Tokens per second while all streams write; nan where they never do."""
    begin, end = max(times[0] for times in streams), min(times[-1] for times in streams)
    if end <= begin:
        return float("nan")
    return sum(begin < at <= end for times in streams for at in times) / (end - begin)


def _raw(ask: Ask, begun: float) -> list[float]:
    """When its first text came and when it ended, in seconds since `begun`."""
    return [round((ask.first or ask.end) - begun, 6), round(ask.end - begun, 6)]
