"""How long does a new request wait for its first token while others write, and how much does it hold them up?

    python -m benchmarks.engine mistral|mamba2 --parts first_token [--others 64 256]

While `others` requests write, further ones arrive one after another, each with a prompt of its own; `first ms`
is from the call to the first text in the caller's thread. `gap` is the time between two tokens of the same
answer, of all answers: `quiet` before the first arrival, `busy` from the first arrival to the end of the last;
the difference is what reading a prompt costs the others. `stall` is the longest gap during each arrival. The
first table is the engine without others: prompts read alone and together, with one token each, beside the time
their matrices take at the matmul rate of the same run. Caveats: gaps are measured where the engine's loop
delivers a token; one request more may need the graph of the next larger batch size, which is part of what it
costs.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise

from benchmarks.machine import Machine
from benchmarks.report import Row, print_table
from benchmarks.serving import Ask, Serving, median, quantile
from benchmarks.subjects import Subject
from core.messages import Sampling

ARRIVALS = 12
ARRIVAL_TOKENS = 4
PAUSE_S = 0.05
QUIET_S = 0.4
OTHERS_TOKENS = 768  # an answer long enough that nobody ends before the last arrival
PROMPT_ROUNDS = 3
PROMPT_COUNTS = (1, 8, 64)
_PREFILL_COLUMNS = [
    ("prompts", "prompts", "d"),
    ("ms", "ms", ".1f"),
    ("rate", "prompt tokens/s", ".0f"),
    ("of_bound", "of bound", ".1%"),
]
_COLUMNS = [
    ("others", "others", "d"),
    ("arrivals", "arrivals", "d"),
    ("least_writing", "least writing", "d"),
    ("first_p50_ms", "first ms p50", ".1f"),
    ("first_worst_ms", "worst", ".1f"),
    ("quiet_p50_ms", "quiet gap ms p50", ".1f"),
    ("quiet_p99_ms", "p99", ".1f"),
    ("busy_p50_ms", "busy gap ms p50", ".1f"),
    ("busy_p99_ms", "p99", ".1f"),
    ("stall_p50_ms", "stall ms p50", ".1f"),
    ("stall_worst_ms", "worst", ".1f"),
]


def measure_prefill(served: Serving, subject: Subject, machine: Machine, *, prompt_tokens: int) -> list[Row]:
    rows = []
    for count in [count for count in PROMPT_COUNTS if count <= served.slots]:
        timings = []
        for round_ in range(PROMPT_ROUNDS + 1):
            label = f"reading {count} {round_}"
            sampling = Sampling(max_tokens=1)
            asks = served.asks(count, prompt_tokens=prompt_tokens, sampling=sampling, label=label)
            begun = time.perf_counter()
            served.put_all(asks)
            timings.append(time.perf_counter() - begun)
        seconds = median(timings[1:])
        least = subject.prefill_bound_s(machine, rows=count, tokens=prompt_tokens)
        row = {"prompts": count, "ms": 1e3 * seconds, "rate": count * prompt_tokens / seconds}
        rows.append(row | {"of_bound": least / seconds, "seconds": timings})
    print_table(_PREFILL_COLUMNS, rows)
    return rows


def measure_first_token(served: Serving, *, others: int, prompt_tokens: int) -> Row:
    """Needs a free slot beside `others`."""
    label = f"beside {others}"
    background = served.asks(
        others, prompt_tokens=prompt_tokens, sampling=Sampling(max_tokens=OTHERS_TOKENS), label=label
    )
    late = Sampling(max_tokens=ARRIVAL_TOKENS)
    arrivals = served.asks(ARRIVALS, prompt_tokens=prompt_tokens, sampling=late, label=f"late {label}")
    served.vocabulary.forget()
    with ThreadPoolExecutor(others) as pool:
        writing = served.put(pool, background)
        try:
            served.wait_until_writing(others)
            quiet = time.perf_counter()
            time.sleep(QUIET_S)
            arrivals, least = _arrive(served, arrivals, writing)
        finally:
            for ask in background:
                ask.cancelled.set()
    streams = [list(follower.times) for follower in served.vocabulary.followers]
    return _row(arrivals, streams, quiet) | {"others": others, "least_writing": least}


def print_first_token(rows: list[Row]) -> None:
    print_table(_COLUMNS, rows)


def _arrive(served: Serving, asks: list[Ask], writing: list[Future[Ask]]) -> tuple[list[Ask], int]:
    """Put `asks` one after another as long as all others write; those put, and how many wrote at the end."""
    done = []
    least = len(writing)
    for ask in asks:
        done.append(ask.put_to(served.engine))
        now_writing = sum(not future.done() for future in writing)
        if now_writing < len(writing) and len(done) > 1:  # the last one was measured beside fewer
            done.pop()
            break
        least = min(least, now_writing)
        time.sleep(PAUSE_S)
    return done, least


def _row(arrivals: list[Ask], streams: list[list[float]], quiet: float) -> Row:
    firsts = [ask.first_ms for ask in arrivals]
    begin, end = arrivals[0].due, arrivals[-1].end
    busy_gaps, quiet_gaps = _gaps(streams, begin, end), _gaps(streams, quiet, begin)
    stalls = [max(_gaps(streams, ask.due, ask.end), default=float("nan")) for ask in arrivals]
    return {
        "arrivals": len(arrivals),
        "first_p50_ms": median(firsts),
        "first_worst_ms": max(firsts),
        "quiet_p50_ms": median(quiet_gaps),
        "quiet_p99_ms": quantile(quiet_gaps, 0.99),
        "busy_p50_ms": median(busy_gaps),
        "busy_p99_ms": quantile(busy_gaps, 0.99),
        "stall_p50_ms": median(stalls),
        "stall_worst_ms": max(stalls),
        "firsts_ms": firsts,
        "stalls_ms": stalls,
    }


def _gaps(streams: list[list[float]], begin: float, end: float) -> list[float]:
    """Milliseconds between tokens of the same stream that end between `begin` and `end`."""
    return [1e3 * (after - at) for times in streams for at, after in pairwise(times) if begin < after <= end]
