"""How long does an engine take to give the card back, and to return to service?

Two rounds, each with a request that runs when the engine falls asleep and ends after it woke. `sleep s` is until
the memory is free, weights copied to the host's memory among it; `wake s` until the engine serves again, weights
copied back and every graph captured anew; `idle GB` and `asleep GB` are what this process has allocated on the
device.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from benchmarks.report import Row, print_table
from benchmarks.serving import Serving, free_memory
from core.messages import Completion, Sampling

ROUNDS = 2
GB = 1e9
ANSWER_TOKENS = 256
_COLUMNS = [
    ("round", "round", "d"),
    ("sleep_s", "sleep s", ".1f"),
    ("wake_s", "wake s", ".1f"),
    ("idle", "idle GB", ".2f"),
    ("asleep", "asleep GB", ".2f"),
    ("survived", "request ended", "s"),
]


def measure_sleep(served: Serving) -> list[Row]:
    rows = [{"round": number, **_round(served)} for number in range(1, ROUNDS + 1)]
    print_table(_COLUMNS, rows)
    return rows


def _round(served: Serving) -> Row:
    ask = served.asks(1, prompt_tokens=64, sampling=Sampling(max_tokens=ANSWER_TOKENS), label="sleeper")[0]
    idle = _allocated()
    served.vocabulary.forget()
    with ThreadPoolExecutor(1) as pool:
        future = served.put(pool, [ask])[0]
        served.wait_until_writing(1)
        sleep_s = _seconds(served.engine.sleep)
        asleep = _allocated()
        wake_s = _seconds(served.engine.wake)
        ended = future.result()
    is_whole = isinstance(ended.outcome, Completion) and ended.outcome.completion_tokens == ANSWER_TOKENS
    survived = "whole" if is_whole else "NO"
    return {"sleep_s": sleep_s, "wake_s": wake_s, "idle": idle, "asleep": asleep, "survived": survived}


def _seconds(action: Callable[[], None]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def _allocated() -> float | None:
    free_memory()
    return torch.cuda.memory_allocated() / GB if torch.cuda.is_available() else None
