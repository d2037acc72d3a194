"""How steady, fast and small is the router? (`mathcode router eval` says how often it is right.)

    python -m benchmarks.routing prompts.jsonl

Each line is an object with `prompt`, `label` and `source`. Flips: how often a polite prefix, a suffix, typos in
3 % of the letters, another case or white space changes where a prompt goes, and what it is taken for. Time: of
prompts of 500 characters, cut or repeated to that length, on one core. Memory: what the process grows by, weights
and remembered words included. Measured beside it: the keyword router.

Caveat: of the weights that are shipped these prompts were the lesson, so flips on unseen prompts may be more.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from core.settings import Settings
from ensemble.router_files import build_router
from ensemble.router_training.generator import typos
from ensemble.routing.labelled_prompts import parse_rows
from ensemble.routing.router import Router

SEED = 7
CHARACTERS = 500
PREFIXES = ("Hi, I would be grateful if you could help me with this: ", "Good morning! ", "Kindly answer: ")
SUFFIXES = (" Many thanks!", " Please and thank you.", " I appreciate your help.")
Change = Callable[[random.Random, str], str]
CHANGES: dict[str, Change] = {
    "polite prefix": lambda chance, prompt: chance.choice(PREFIXES) + prompt,
    "suffix": lambda chance, prompt: prompt + chance.choice(SUFFIXES),
    "3 % typos": typos,
    "lower case": lambda _, prompt: prompt.lower(),
    "upper case": lambda _, prompt: prompt.upper(),
    "white space": lambda _, prompt: "\n " + prompt.replace(" ", "  ") + "  \n",
}


def flips(router: Router, prompts: list[str]) -> Iterator[str]:
    before = [router.route(prompt) for prompt in prompts]
    for name, change in CHANGES.items():
        chance = random.Random(SEED)  # noqa: S311 (no secret)
        after = [router.route(change(chance, prompt)) for prompt in prompts]
        pairs = list(zip(before, after, strict=True))
        sent = statistics.fmean(old.task_type is not new.task_type for old, new in pairs)
        taken = statistics.fmean(old.label is not new.label for old, new in pairs)
        yield f"{name:<16}{sent:>10.1%}{taken:>12.1%}"


def milliseconds(router: Router, prompts: list[str]) -> list[float]:
    """Sorted; the processor's time, so that what else the machine does is not counted."""
    spent = []
    for prompt in prompts:
        text = (prompt * (1 + CHARACTERS // len(prompt)))[:CHARACTERS]
        start = time.process_time_ns()
        router.route(text)
        spent.append((time.process_time_ns() - start) / 1e6)
    return sorted(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("prompts", type=Path, help="labelled prompts, one JSON object a line")
    with parser.parse_args().prompts.open(encoding="utf-8") as lines:
        prompts = [row.prompt for row in parse_rows(lines)]
    process = psutil.Process()
    for kind in ("learned", "keywords"):
        empty = process.memory_info().rss
        router = build_router(Settings(ROUTER=kind))
        spent = milliseconds(router, prompts)
        grown = (process.memory_info().rss - empty) / 2**20
        print(f"{router.version}: {len(prompts)} prompts")
        print(f"{'changed by':<16}{'goes else':>10}{'taken else':>12}")
        print("\n".join(flips(router, prompts)))
        p99 = spent[round(0.99 * (len(spent) - 1))]
        print(f"time: median {statistics.median(spent):.2f} ms, 99 of 100 {p99:.2f} ms, worst {spent[-1]:.2f} ms")
        print(f"memory: {grown:.0f} MiB more, the process {process.memory_info().rss / 2**20:.0f} MiB\n")


if __name__ == "__main__":
    main()
