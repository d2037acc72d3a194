"""How often does the router agree with labelled prompts, and how long does it take?

    python -m benchmarks.routing prompts.jsonl

Each line is an object with `prompt`, `label` (MATH, CODE, HYBRID or OTHER) and `source`. OTHER prompts have no
right answer: they are shown and not counted. Measured beside the router: always answering MATH, its default.
Caveat: who reads such prompts while writing rules will read higher here than on unseen sources.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from core.messages import TaskType
from ensemble.routing import DEFAULT_CONFIDENCE, Router


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One labelled prompt with the router's answer."""

    label: str
    source: str
    route: str
    confidence: float
    milliseconds: float

    @property
    def is_specialist(self) -> bool:
        return self.label != "OTHER"

    @property
    def is_right(self) -> bool:
        return self.label == self.route


def judge(router: Router, line: str) -> Judged:
    row = json.loads(line)
    start = time.perf_counter()
    route = router.route(row["prompt"])
    milliseconds = 1e3 * (time.perf_counter() - start)
    return Judged(
        label=row["label"],
        source=row["source"],
        route=route.task_type.name,
        confidence=route.confidence,
        milliseconds=milliseconds,
    )


def print_confusion(judged: list[Judged]) -> None:
    counts = Counter((item.label, item.route) for item in judged)
    routes = [task_type.name for task_type in TaskType]
    print(f"\n{'label':<8}" + "".join(f"{route:>8}" for route in routes) + f"{'right':>8}")
    for label in [*routes, "OTHER"]:
        of_label = [item for item in judged if item.label == label]
        right = f"{share(of_label):>8.1%}" if label != "OTHER" else f"{'-':>8}"
        print(f"{label:<8}" + "".join(f"{counts[label, route]:>8}" for route in routes) + right)


def print_by(title: str, judged: list[Judged], key: Callable[[Judged], str]) -> None:
    print(f"\n{title:<26}{'prompts':>8}{'right':>8}")
    for name in sorted({key(item) for item in judged}):
        chosen = [item for item in judged if key(item) == name]
        print(f"{name:<26}{len(chosen):>8}{share(chosen):>8.1%}")


def share(judged: Iterable[Judged]) -> float:
    return statistics.fmean(item.is_right for item in judged)


def print_report(judged: list[Judged]) -> None:
    specialist = [item for item in judged if item.is_specialist]
    milliseconds = sorted(item.milliseconds for item in judged)
    silent = statistics.fmean(item.confidence == DEFAULT_CONFIDENCE for item in specialist)
    always_math = statistics.fmean(item.label == "MATH" for item in specialist)
    print(f"{len(judged)} prompts, {len(specialist)} of them for a specialist")
    print(f"right: {share(specialist):.1%}   (always MATH: {always_math:.1%})")
    print(f"no keyword at all: {silent:.1%} of the specialist prompts")
    print(f"time: median {statistics.median(milliseconds):.3f} ms, worst {milliseconds[-1]:.3f} ms")
    print_confusion(judged)
    print_by("source and label", specialist, lambda item: f"{item.source} {item.label}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("prompts", type=Path, help="labelled prompts, one JSON object a line")
    router = Router()
    with parser.parse_args().prompts.open(encoding="utf-8") as lines:
        print_report([judge(router, line) for line in lines if line.strip()])


if __name__ == "__main__":
    main()
