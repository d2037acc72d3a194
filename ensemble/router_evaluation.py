"""What a router reaches, from probabilities alone; pure Python, so that the command line prints it too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from ensemble.router_model import LABELS

THRESHOLDS = tuple(step / 20 for step in range(20))


class Labelled(Protocol):
    """A prompt's label and where it comes from."""

    @property
    def label(self) -> str: ...

    @property
    def source(self) -> str: ...


Probabilities = Sequence[Sequence[float]]


def report(rows: Sequence[Labelled], probabilities: Probabilities) -> Iterator[str]:
    """Lines: per source (worst first), confusion with precision and recall, calibration, served at calls."""
    said = [LABELS[max(range(4), key=list(row).__getitem__)] for row in probabilities]
    right = [row.label == label for row, label in zip(rows, said, strict=True)]
    by_source = means([row.source for row in rows], right)
    craft = [index for index, row in enumerate(rows) if row.label != "OTHER"]
    specialist = means([rows[index].source for index in craft], [right[index] for index in craft])
    yield (
        f"mean over sources: {mean(by_source):.3f}; specialists: {mean(specialist):.3f}; all prompts: "
        f"{sum(right) / len(right):.3f}"
    )
    cells = means([f"{row.source} {row.label}" for row in rows], right)
    sizes = Counter(f"{row.source} {row.label}" for row in rows)
    yield from (f"  {cell:<30}{sizes[cell]:>6}{value:>8.3f}" for cell, value in sorted(cells.items(), key=_second))
    yield from confusion([row.label for row in rows], said)
    yield f"expected calibration error: {calibration_error(probabilities, right):.3f}"
    for threshold in THRESHOLDS:
        served, calls = served_at(rows, probabilities, threshold)
        yield f"  threshold {threshold:.2f}: served {served:.3f} at {calls:.2f} calls  {'#' * round(40 * served)}"


def confusion(labels: Sequence[str], said: Sequence[str]) -> Iterator[str]:
    counts = Counter(zip(labels, said, strict=True))
    yield "label    " + "".join(f"{label:>8}" for label in LABELS) + "  recall  precision"
    for label in LABELS:
        row = [counts[label, other] for other in LABELS]
        column = sum(counts[other, label] for other in LABELS)
        right = counts[label, label]
        yield (
            f"{label:<9}" + "".join(f"{count:>8}" for count in row) + f"{_share(right, sum(row)):>8.3f}"
            f"{_share(right, column):>11.3f}"
        )


def calibration_error(probabilities: Probabilities, right: Sequence[bool], bins: int = 10) -> float:
    """Mean distance of confidence and accuracy over `bins` of equal width, weighted by their size."""
    gaps: dict[int, float] = {}
    for row, is_right in zip(probabilities, right, strict=True):
        at = min(int(max(row) * bins), bins - 1)
        gaps[at] = gaps.get(at, 0.0) + max(row) - is_right
    return sum(abs(gap) for gap in gaps.values()) / max(1, len(right))


def served_at(rows: Sequence[Labelled], probabilities: Probabilities, threshold: float) -> tuple[float, float]:
    """Part of the specialist prompts whose models were all called, and mean calls per prompt."""
    served, crafted, calls = 0, 0, 0
    for row, chances in zip(rows, probabilities, strict=True):
        said = decided(chances, threshold)
        calls += 2 if said == "HYBRID" else 1
        if row.label != "OTHER":
            crafted += 1
            served += said in {"HYBRID", row.label}
    return _share(served, crafted), _share(calls, len(rows))


def decided(chances: Sequence[float], threshold: float) -> str:
    """The label that is acted on: below `threshold` both models answer, but general talk goes to one."""
    best = max(range(4), key=list(chances).__getitem__)
    unsure = chances[best] < threshold and LABELS[best] != "OTHER"
    return "HYBRID" if unsure else LABELS[best]


def threshold_for(rows: Sequence[Labelled], probabilities: Probabilities, most_calls: float) -> float:
    """The highest threshold within `most_calls` calls a prompt; 0 where even none fits."""
    within = [t for t in THRESHOLDS if served_at(rows, probabilities, t)[1] <= most_calls]
    return max(within, default=0.0)


def means(names: Sequence[str], right: Sequence[bool]) -> dict[str, float]:
    totals = Counter(names)
    hits = Counter(name for name, is_right in zip(names, right, strict=True) if is_right)
    return {name: hits[name] / totals[name] for name in totals}


def mean(values: dict[str, float]) -> float:
    return sum(values.values()) / max(1, len(values))


def _share(part: int, total: int) -> float:
    return part / total if total else 0.0


def _second(pair: tuple[str, float]) -> float:
    return pair[1]
