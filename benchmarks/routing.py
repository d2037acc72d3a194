"""How steady, fast and small is the router? (`mathcode router eval` says how often it is right.)

    python -m benchmarks.routing prompts.jsonl [--left-out]

Each line is an object with `prompt`, `label` and `source`. Flips: how often a polite prefix, a suffix, typos in
3 % of the letters, another case or white space changes where a prompt goes, and what it is taken for. Time: of
prompts of 500 characters, cut or repeated to that length, on one core. Memory: what the process grows by, weights
and remembered words included. Measured beside it: the keyword router.

Of the weights that are shipped these prompts were the lesson; with `--left-out` each prompt is routed by a router
that was fitted without its source, at the threshold of the settings, and nothing else is measured (a minute).
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from core.messages import RouteLabel, TaskType
from core.settings import Settings
from ensemble.router_files import build_router
from ensemble.router_training.generator import typos
from ensemble.routing.classifier import parse_weights
from ensemble.routing.keyword_router import KeywordRouter
from ensemble.routing.labelled_prompts import parse_rows
from ensemble.routing.learned_router import LearnedRouter
from ensemble.routing.measures import Row
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
Pair = tuple[Router, str]
"""A prompt, and who routes it."""


def flips(pairs: Sequence[Pair]) -> Iterator[str]:
    yield f"{'changed by':<16}{'goes else':>10}{'taken else':>12}"
    before = [router.route(prompt) for router, prompt in pairs]
    for name, change in CHANGES.items():
        chance = random.Random(SEED)  # noqa: S311 (no secret)
        after = [router.route(change(chance, prompt)) for router, prompt in pairs]
        routes = list(zip(before, after, strict=True))
        sent = statistics.fmean(old.task_type is not new.task_type for old, new in routes)
        taken = statistics.fmean(old.label is not new.label for old, new in routes)
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


def measure_left_out(rows: list[Row]) -> None:
    from ensemble.router_training.fitting import Lesson, leave_one_source_out, render

    settings = Settings()
    folds = leave_one_source_out(Lesson(rows))
    routers = {
        source: LearnedRouter(
            parse_weights(render(fitted, folds.temperature)),
            KeywordRouter(),
            threshold=settings.router_threshold,
            general=TaskType.MATH,
        )
        for source, fitted in folds.models.items()
    }
    pairs = [(routers[row.source], row.prompt) for row in rows]
    print("\n".join(flips(pairs)))
    sent = [(row.label, router.route(row.prompt).task_type) for row, (router, _) in zip(rows, pairs, strict=True)]
    served = statistics.fmean(
        task in (TaskType.HYBRID, label) for label, task in sent if label is not RouteLabel.OTHER
    )
    calls = statistics.fmean(1 + (task is TaskType.HYBRID) for _, task in sent)
    talk = statistics.fmean(task is TaskType.HYBRID for label, task in sent if label is RouteLabel.OTHER)
    print(f"served {served:.4f} at {calls:.3f} calls; of general talk {talk:.1%} goes to both models")


def measure(router: Router, prompts: list[str]) -> None:
    process = psutil.Process()
    spent = milliseconds(router, prompts)
    print("\n".join(flips([(router, prompt) for prompt in prompts])))
    p99 = spent[round(0.99 * (len(spent) - 1))]
    print(f"time: median {statistics.median(spent):.2f} ms, 99 of 100 {p99:.2f} ms, worst {spent[-1]:.2f} ms")
    print(f"memory: the process {process.memory_info().rss / 2**20:.0f} MiB", end="")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("prompts", type=Path, help="labelled prompts, one JSON object a line")
    parser.add_argument("--left-out", action="store_true", help="route each source by a router that never saw it")
    given = parser.parse_args()
    with given.prompts.open(encoding="utf-8") as lines:
        rows = parse_rows(lines)
    if given.left_out:
        measure_left_out(rows)
        return
    for kind in ("learned", "keywords"):
        empty = psutil.Process().memory_info().rss
        router = build_router(Settings(ROUTER=kind))
        print(f"{router.version}: {len(rows)} prompts")
        measure(router, [row.prompt for row in rows])
        print(f", {(psutil.Process().memory_info().rss - empty) / 2**20:.0f} MiB of them the router's\n")


if __name__ == "__main__":
    main()
