"""What does a hybrid answer cost in turn (`sequential`) beside at the same time (`parallel`)?

    python -m benchmarks.hybrid_strategies [--jobs 20] [--tokens 64] [--at-once 1 8]

A whole stack of its own is started in the profile of the settings (`tiny` by default) and asked the same hybrid
prompts under both strategies, one strategy after the other for each prompt. `seconds` is from submitting to the
ended job in the ledger; `read` and `written` are tokens of both models together. Sequential hands what the
mathematics model wrote to the code model, which therefore reads more and begins later. Every answer is as long as
`--tokens` allows, since random weights hardly ever end by themselves.

Caveat: both workers share this machine's cores, so that parallel answers slow each other down; with a card for
each model they do not.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import requests

from cli.demo_stack import own_stack

PROMPTS = (
    "Implement a numerical gradient descent algorithm with mathematical proof",
    "Write a Python function that finds eigenvalues by QR iterations and derive why it converges.",
    "Implement Simpson's rule in C++ and prove its order of accuracy.",
    "Program the Euclidean algorithm in Rust and prove its number of steps.",
)
STRATEGIES = ("parallel", "sequential")
FINAL = {"succeeded", "failed", "dead", "cancelled", "expired"}
POLL_S = 0.01
TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class Cost:
    seconds: float
    read: int
    written: int


def ask(url: str, prompt: str, strategy: str, tokens: int) -> Cost:
    asked = {"prompt": prompt, "force_task_type": "hybrid", "strategy": strategy, "max_tokens": tokens}
    start = time.perf_counter()
    response = requests.post(f"{url}/v1/jobs", json=asked, timeout=TIMEOUT_S)
    response.raise_for_status()
    path = f"{url}{response.json()['links']['self']}"
    while (job := requests.get(path, timeout=TIMEOUT_S).json())["status"] not in FINAL:
        time.sleep(POLL_S)
    seconds = time.perf_counter() - start
    if job["status"] != "succeeded":
        raise SystemExit(f"a job ended as {job['status']}: {job}")
    completions = job["answer"]["completions"]
    read = sum(completion["prompt_tokens"] for completion in completions)
    return Cost(seconds, read, sum(completion["completion_tokens"] for completion in completions))


def measure(url: str, *, jobs: int, tokens: int, at_once: int) -> dict[str, list[Cost]]:
    costs: dict[str, list[Cost]] = {strategy: [] for strategy in STRATEGIES}
    prompts = [PROMPTS[index % len(PROMPTS)] for index in range(jobs)]
    with ThreadPoolExecutor(at_once) as pool:
        for start in range(0, jobs, at_once):
            for strategy in STRATEGIES:
                some = prompts[start : start + at_once]
                costs[strategy] += pool.map(lambda prompt, how=strategy: ask(url, prompt, how, tokens), some)
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, default=20, help="of each strategy")
    parser.add_argument("--tokens", type=int, default=64, help="that each model writes")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 8], help="jobs in the system")
    given = parser.parse_args()
    with own_stack(lambda _: None) as stack:
        measure(stack.api_url, jobs=2, tokens=given.tokens, at_once=1)  # warm
        print(f"{'strategy':<12}{'at once':>8}{'jobs':>6}{'seconds p50':>13}{'worst':>8}{'read':>8}{'written':>9}")
        for at_once in given.at_once:
            for strategy, costs in measure(
                stack.api_url, jobs=given.jobs, tokens=given.tokens, at_once=at_once
            ).items():
                seconds = [cost.seconds for cost in costs]
                read, written = (statistics.fmean(getattr(c, name) for c in costs) for name in ("read", "written"))
                print(
                    f"{strategy:<12}{at_once:>8}{len(costs):>6}{statistics.median(seconds):>13.2f}"
                    f"{max(seconds):>8.2f}{read:>8.0f}{written:>9.0f}"
                )


if __name__ == "__main__":
    main()
