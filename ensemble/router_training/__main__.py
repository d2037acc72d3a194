"""Fit the router: `python -m ensemble.router_training PROMPTS.jsonl... [--out FILE]`.

Prints what is reached on each source left out, worst first, and writes the weights, if it is told where. With
`--with-feedback`, reads further labelled prompts from standard input, and writes only if they made it better.
No text of the data is kept.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from core.errors import InvalidRequest
from ensemble.router_training.fitting import Lesson, leave_one_source_out, render
from ensemble.router_training.promotion import compare, find_obstacle
from ensemble.routing.classifier import parse_weights
from ensemble.routing.labelled_prompts import parse_rows
from ensemble.routing.measures import Row, choose_point, curve, report, sure
from ensemble.routing.plotting import print_curve

MOST_CALLS = 1.35
FEEDBACK = "feedback"


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the router's weights to labelled prompts.")
    parser.add_argument("prompts", type=Path, nargs="+", help="JSON lines with prompt, label and source")
    parser.add_argument("--out", type=Path, help="where the weights go; the file is replaced in one step")
    parser.add_argument("--with-feedback", action="store_true")
    given = parser.parse_args()
    try:
        rows = [row for path in given.prompts for row in _read(path)]
        weights = _with_feedback(rows) if given.with_feedback else _from_sources(rows)
    except (InvalidRequest, OSError) as error:
        sys.exit(f"mathcode: {error}")
    if weights is not None:
        _write(weights, given.out)


def _from_sources(rows: list[Row]) -> bytes:
    lesson = Lesson(rows)
    folds = leave_one_source_out(lesson)
    print("\n".join(report(rows, folds.probabilities)))
    points = curve(sure(rows), folds.probabilities)
    point = choose_point(points, MOST_CALLS)
    print("\n" + "\n".join(print_curve(points, point)))
    print(f"\nserved {point.served:.3f} at {point.calls:.2f} calls with threshold {point.threshold:.2f}")
    print(f"temperature on sources left out: {folds.temperature:.2f}")
    return render(lesson.fit_all(), folds.temperature)


def _with_feedback(rows: list[Row]) -> bytes | None:
    lines = sys.stdin.read().splitlines()
    feedback = [Row(row.prompt, row.label, FEEDBACK) for row in parse_rows(lines)] if lines else []
    if obstacle := find_obstacle(rows, feedback):
        print(f"not promoted: {obstacle}")
        return None
    lesson = Lesson([*rows, *feedback])
    comparison = compare(lesson, len(rows))
    print("\n".join(comparison.lines()))
    if not comparison.is_better:
        print("not promoted: it is not better on held-out prompts of both kinds")
        return None
    return render(lesson.fit_all(), comparison.temperature)


def _write(weights: bytes, out: Path | None) -> None:
    version = parse_weights(weights).version
    if out is None:
        print(f"{version}: not written; say where with --out, or --promote it")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    new = out.with_name(f"{out.name}.new")
    new.write_bytes(weights)
    new.replace(out)
    print(f"promoted: {version}")


def _read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8") as lines:
        return parse_rows(lines, str(path))


if __name__ == "__main__":
    main()
