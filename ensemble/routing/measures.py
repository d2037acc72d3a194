"""What a router reaches on labelled prompts, from probabilities alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.messages import RouteLabel, TaskType
from ensemble.routing.labels import LABELS, decide

Probabilities = Sequence[Sequence[float]]
"""(rows, labels), in the order of `LABELS`."""
Truths = Sequence[Sequence[float]]
"""(rows, labels): what the prompts are, 1 for one label, or shares where nobody has said."""

CRAFTS = LABELS[:3]
THRESHOLDS = tuple(step / 100 for step in range(101))
BINS = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled prompt; `source` says where it comes from."""

    prompt: str
    label: RouteLabel
    source: str


@dataclass(frozen=True, slots=True)
class Point:
    """One threshold: the part of specialist prompts whose models were all asked, and the mean calls a prompt."""

    threshold: float
    served: float
    calls: float


def likeliest(chances: Sequence[float], among: Sequence[RouteLabel] = LABELS) -> RouteLabel:
    return max(among, key=lambda label: chances[LABELS.index(label)])


def sure(rows: Sequence[Row]) -> Truths:
    """What the labels say, without doubt."""
    return [[float(row.label is label) for label in LABELS] for row in rows]


def served_at(
    truths: Truths, probabilities: Probabilities, threshold: float, general: TaskType = TaskType.MATH
) -> Point:
    """Served is what goes to its model or to both; OTHER prompts count as calls only: any one model is right."""
    crafted = served = 0.0
    calls = 0
    for truth, chances in zip(truths, probabilities, strict=True):
        named = dict(zip(LABELS, chances, strict=True))
        task_type = decide(named, threshold=threshold, general=general).task_type
        calls += 1 + (task_type is TaskType.HYBRID)
        for label, share in zip(CRAFTS, truth, strict=False):
            crafted += share
            served += share * (task_type in (TaskType.HYBRID, label))
    return Point(threshold, served / (crafted or 1.0), _share(calls, len(probabilities)))


def curve(truths: Truths, probabilities: Probabilities, general: TaskType = TaskType.MATH) -> list[Point]:
    """One point for each of `THRESHOLDS`."""
    return [served_at(truths, probabilities, threshold, general) for threshold in THRESHOLDS]


def choose_point(points: Sequence[Point], most_calls: float) -> Point:
    """The highest threshold within `most_calls` a prompt; the lowest of all where none is within."""
    return max((point for point in points if point.calls <= most_calls), default=points[0], key=_threshold)


def calibration_error(probabilities: Probabilities, right: Sequence[bool]) -> float:
    """Expected calibration error (Naeini et al., 2015): `BINS` of equal width, weighted by their size."""
    gaps = [0.0] * BINS
    for chances, is_right in zip(probabilities, right, strict=True):
        gaps[min(int(max(chances) * BINS), BINS - 1)] += max(chances) - is_right
    return _share(sum(map(abs, gaps)), len(right))


@dataclass(frozen=True, slots=True)
class Scores:
    """Accuracies; `specialists` are of prompts that are not OTHER, first as one of four, then of three classes."""

    sources: float
    specialists: float
    specialists_of_three: float
    prompts: float
    calibration_error: float


def score(rows: Sequence[Row], probabilities: Probabilities) -> Scores:
    """The first three are means over sources."""
    right = [likeliest(chances) is row.label for row, chances in zip(rows, probabilities, strict=True)]
    crafted = [index for index, row in enumerate(rows) if row.label is not RouteLabel.OTHER]
    of_three = [likeliest(probabilities[index], CRAFTS) is rows[index].label for index in crafted]
    sources = [rows[index].source for index in crafted]
    return Scores(
        sources=mean(means([row.source for row in rows], right)),
        specialists=mean(means(sources, [right[index] for index in crafted])),
        specialists_of_three=mean(means(sources, of_three)),
        prompts=_share(sum(right), len(right)),
        calibration_error=calibration_error(probabilities, right),
    )


def report(rows: Sequence[Row], probabilities: Probabilities) -> Iterator[str]:
    """Lines: accuracies, each source and label (worst first), confusion, calibration."""
    scores = score(rows, probabilities)
    yield f"right, mean over sources            {scores.sources:.3f}"
    yield f"right, specialists only             {scores.specialists:.3f}"
    yield f"right, specialists among three      {scores.specialists_of_three:.3f}"
    yield f"right, all prompts                  {scores.prompts:.3f}"
    yield f"expected calibration error          {scores.calibration_error:.3f}"
    yield from _cells(rows, probabilities)
    yield from _confusion(rows, probabilities)


def _cells(rows: Sequence[Row], probabilities: Probabilities) -> Iterator[str]:
    said = Counter((row.source, row.label, likeliest(c)) for row, c in zip(rows, probabilities, strict=True))
    sizes = Counter((row.source, row.label) for row in rows)
    rates = sorted((said[*cell, cell[1]] / sizes[cell], cell) for cell in sizes)
    yield f"\n{'source':<24}{'label':<8}{'prompts':>8}{'right':>8}  taken for"
    for rate, cell in rates:
        taken = ", ".join(f"{label} {said[*cell, label]}" for label in LABELS if said[*cell, label])
        yield f"{cell[0]:<24}{cell[1]:<8}{sizes[cell]:>8}{rate:>8.3f}  {taken}"


def _confusion(rows: Sequence[Row], probabilities: Probabilities) -> Iterator[str]:
    counts = Counter((row.label, likeliest(chances)) for row, chances in zip(rows, probabilities, strict=True))
    yield "\nlabel   " + "".join(f"{label:>8}" for label in LABELS) + f"{'recall':>10}{'precision':>11}"
    for label in LABELS:
        row = [counts[label, other] for other in LABELS]
        column = sum(counts[other, label] for other in LABELS)
        figures = f"{_share(counts[label, label], sum(row)):>10.3f}{_share(counts[label, label], column):>11.3f}"
        yield f"{label:<8}" + "".join(f"{count:>8}" for count in row) + figures


def means(names: Sequence[str], right: Sequence[bool]) -> dict[str, float]:
    """The part that is right, of each name."""
    totals = Counter(names)
    hits = Counter(name for name, is_right in zip(names, right, strict=True) if is_right)
    return {name: hits[name] / totals[name] for name in totals}


def mean(values: dict[str, float]) -> float:
    return _share(sum(values.values()), len(values))


def _threshold(point: Point) -> float:
    return point.threshold


def _share(part: float, total: int) -> float:
    return part / total if total else 0.0
