"""What do requests wait that arrive at random, at fractions of what the engine can carry?

    python -m benchmarks.engine mistral|mamba2 --parts arrivals [--prompts FILE] [--loads 0.5 0.8 1.0]

Poisson arrivals from one fixed seed. Prompts are drawn from FILE (JSON lines with a field `prompt`), encoded by
the real tokenizer in the client's thread; without a file, random tokens of the lengths that stand in
`workload.py`. Answers have log-normal lengths: median 128 tokens, sigma 0.8, between 8 and 512. The engine's
capacity is measured first, with the same prompts and lengths and every slot always taken; a load of 0.8 offers
requests for 0.8 of its tokens/s. Clients are a worker's: as many threads as slots, so a request that finds all
of them taken waits for a thread, and its waiting counts. `in/s` and `out/s` are new tokens offered and
delivered per second; they and the times leave out the first quarter, in which the engine fills. After the last
arrival the rest gets `DRAIN_S` seconds and is then cancelled: `cut` counts requests without their end, and one
without a first token enters with its waiting until then, so under overload the times are lower bounds. Caveat:
one process makes the arrivals and serves them.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import cycle

from benchmarks.report import Row, print_table
from benchmarks.serving import Ask, Serving, quantile
from benchmarks.workload import Workload
from core.messages import Completion

CAPACITY_S = 8.0
DRAIN_S = 6.0
SETTLING = 0.25  # share of the time that is left out
_COLUMNS = [
    ("load", "load", ".2f"),
    ("requests_per_s", "requests/s", ".1f"),
    ("requests", "counted", "d"),
    ("offered", "in/s", ".0f"),
    ("delivered", "out/s", ".0f"),
    ("first_p50_ms", "first ms p50", ".0f"),
    ("first_p95_ms", "p95", ".0f"),
    ("first_p99_ms", "p99", ".0f"),
    ("token_p50_ms", "token ms p50", ".1f"),
    ("token_p95_ms", "p95", ".1f"),
    ("most_waiting", "most waiting", "d"),
    ("cut", "cut", "d"),
]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time that is measured."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin

    def counts(self, at: float) -> bool:
        return self.begin <= at < self.end

    @classmethod
    def settled(cls, begin: float, seconds: float) -> Window:
        return cls(begin + SETTLING * seconds, begin + seconds)


def measure_capacity(served: Serving, workload: Workload, *, seconds: float = CAPACITY_S) -> Row:
    """New tokens per second with every slot always taken."""
    asks = workload.asks(served, 64 * served.slots)
    taken, lock, stop = iter(cycle(asks)), threading.Lock(), threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            with lock:
                ask = next(taken).again(stop)
            ask.put_to(served.engine)
            if not stop.is_set():
                assert ask.completion  # else a dead engine would be asked again and again

    served.vocabulary.forget()
    window = Window.settled(time.perf_counter(), seconds)
    with ThreadPoolExecutor(served.slots) as pool:
        clients = [pool.submit(keep_asking) for _ in range(served.slots)]
        try:
            wait(clients, timeout=window.end - time.perf_counter(), return_when="FIRST_EXCEPTION")
        finally:
            stop.set()
        for client in clients:
            client.result()
    rate = _delivered(served, window)
    print(f"capacity: {rate:.0f} tokens/s with {served.slots} slots; {workload.describe()}", flush=True)
    return {"tokens_per_s": rate, "mean_answer_tokens": workload.mean_answer_tokens, "slots": served.slots}


def measure_arrivals(served: Serving, workload: Workload, *, capacity: float, load: float, seconds: float) -> Row:
    served.require_alive()
    rate = load * capacity / workload.mean_answer_tokens
    offsets = workload.arrivals(rate=rate, seconds=seconds)
    served.vocabulary.forget()
    begun = time.perf_counter() + 0.1
    window = Window.settled(begun, seconds)
    asks = workload.asks(served, len(offsets))
    for ask, offset in zip(asks, offsets, strict=True):
        ask.due = begun + offset
    most_waiting, cut_at = _put(served, asks, window)
    served.require_alive()
    counted = [ask for ask in asks if window.counts(ask.due)]
    return _row(counted, cut_at) | {
        "load": load,
        "requests_per_s": rate,
        "offered": sum(ask.sampling.max_tokens or 0 for ask in counted) / window.seconds,
        "delivered": _delivered(served, window),
        "most_waiting": most_waiting,
    }


def print_arrivals(rows: list[Row]) -> None:
    print_table(_COLUMNS, rows)


def _put(served: Serving, asks: list[Ask], window: Window) -> tuple[int, float]:
    """The most that waited, and when those without their end were cancelled."""
    with ThreadPoolExecutor(served.slots) as pool:
        try:
            futures, most_waiting = _submit(served, pool, asks)
            time.sleep(max(0.0, window.end - time.perf_counter()))
            wait(futures, timeout=DRAIN_S)
            cut_at = time.perf_counter()
        finally:
            for ask in asks:
                ask.cancelled.set()
        for future in futures:
            future.result()
    return most_waiting, cut_at


def _submit(served: Serving, pool: ThreadPoolExecutor, asks: list[Ask]) -> tuple[list[Future[Ask]], int]:
    """Put each request when it is due; and the most that waited for a slot at any arrival."""
    futures: list[Future[Ask]] = []
    done: list[Future[Ask]] = []
    most = 0
    for ask in asks:
        time.sleep(max(0.0, ask.due - time.perf_counter()))
        most = max(most, len(futures) - len(done) - served.engine.running)
        futures.append(pool.submit(ask.put_to, served.engine))
        futures[-1].add_done_callback(done.append)
    return futures, most


def _row(asks: list[Ask], cut_at: float) -> Row:
    """Times of `asks`, those without a first token as long as they waited."""
    ended = [ask for ask in asks if isinstance(ask.outcome, Completion)]
    is_late = [ask.first is None or ask.first > cut_at for ask in asks]
    firsts = [1e3 * (cut_at - ask.due) if late else ask.first_ms for ask, late in zip(asks, is_late, strict=True)]
    tokens = [each for each in map(_token_ms, ended) if each is not None]
    return {
        "requests": len(asks),
        "cut": len(asks) - len(ended),
        "first_p50_ms": quantile(firsts, 0.5),
        "first_p95_ms": quantile(firsts, 0.95),
        "first_p99_ms": quantile(firsts, 0.99),
        "token_p50_ms": quantile(tokens, 0.5),
        "token_p95_ms": quantile(tokens, 0.95),
        "firsts_ms": firsts,
        "tokens_ms": tokens,
    }


def _token_ms(ask: Ask) -> float | None:
    """Mean milliseconds between the tokens of an answer; None of a single one."""
    tokens = ask.completion.completion_tokens
    return 1e3 * (ask.end - ask.first) / (tokens - 1) if ask.first is not None and tokens > 1 else None


def _delivered(served: Serving, window: Window) -> float:
    streams = [list(follower.times) for follower in served.vocabulary.followers]
    return sum(window.counts(at) for times in streams for at in times) / window.seconds
