"""`mathcode router`: measure the router on labelled prompts, choose its threshold, fit it anew."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import asdict
from pathlib import Path

import click

from cli.router_training import train
from core.errors import ConfigurationError
from core.messages import ModelName, Route, RouteLabel, TaskType
from core.settings import load_settings
from ensemble.router_files import build_router
from ensemble.routing.labelled_prompts import parse_prompts, parse_rows
from ensemble.routing.labels import LABELS
from ensemble.routing.measures import CRAFTS, Point, choose_point, curve, report, score
from ensemble.routing.plotting import draw_curve, print_curve
from ensemble.routing.router import Router

_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group()
def router() -> None:
    """Measure, calibrate and train the router. FILE holds prompts, one JSON object a line: see docs/routing.md."""


@router.command("eval")
@_FILE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(file: Path, as_json: bool) -> None:
    """Print what the router of the settings reaches on the labelled prompts of FILE."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        rows = parse_rows(lines, str(file))
    decider = build_router(load_settings())
    routes, milliseconds = _ask(decider, [row.prompt for row in rows])
    probabilities = [_chances(route) for route in routes]
    point = _served([row.label for row in rows], routes)
    p50, p99 = statistics.median(milliseconds), milliseconds[round(0.99 * (len(milliseconds) - 1))]
    if as_json:
        figures = {**asdict(score(rows, probabilities)), "served": point.served, "calls": point.calls}
        click.echo(json.dumps({"version": decider.version, **figures, "p50_ms": p50, "p99_ms": p99}))
        return
    click.echo(f"{decider.version} on {len(rows)} prompts\n")
    click.echo("\n".join(report(rows, probabilities)))
    click.echo(f"\nserved {point.served:.3f} of the prompts for a specialist, at {point.calls:.2f} calls a prompt")
    click.echo(f"time {p50:.2f} ms (median), {p99:.2f} ms (99 of 100), {milliseconds[-1]:.2f} ms (worst)")


@router.command()
@_FILE
@click.option("--max-calls", type=click.FloatRange(1, 2), default=1.35, show_default=True, help="Models a prompt.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Also draw the curve into this file.")
def calibrate(file: Path, max_calls: float, svg: Path | None) -> None:
    """Choose the threshold below which both models answer, on the prompts of FILE.

    Prompts without a label count as what the router takes them for, by its probabilities.
    """
    with file.open(encoding="utf-8", errors="replace") as lines:
        asked = parse_prompts(lines, str(file))
    settings = load_settings()
    routes, _ = _ask(build_router(settings), [prompt for prompt, _ in asked])
    probabilities = [_chances(route) for route in routes]
    if not any(route.probabilities for route in routes):
        raise ConfigurationError("keywords route here, which have no threshold: set ROUTER=learned")
    truths = [
        chances if label is None else [float(each is label) for each in LABELS]
        for (_, label), chances in zip(asked, probabilities, strict=True)
    ]
    general = TaskType.MATH if settings.general_model is ModelName.MATHSTRAL else TaskType.CODE
    points = curve(truths, probabilities, general)
    chosen = choose_point(points, max_calls)
    click.echo("\n".join(print_curve(points, chosen)))
    if svg is not None:
        svg.write_text(draw_curve(points, chosen), encoding="utf-8")
    if chosen.calls > max_calls:
        click.echo(f"no threshold stays within {max_calls:g} calls: with 0 it is {chosen.calls:.2f}", err=True)
    click.echo(f"\nMATHCODE_ROUTER_THRESHOLD={chosen.threshold:g}")


router.add_command(train)


def _ask(decider: Router, prompts: list[str]) -> tuple[list[Route], list[float]]:
    """The decisions, and the sorted milliseconds of each."""
    routes, milliseconds = [], []
    for prompt in prompts:
        start = time.perf_counter()
        routes.append(decider.route(prompt))
        milliseconds.append(1e3 * (time.perf_counter() - start))
    return routes, sorted(milliseconds)


def _chances(route: Route) -> list[float]:
    """The probability of each label; where no classifier was asked, all of it on the one that was chosen."""
    if route.probabilities:
        return [route.probabilities[label] for label in LABELS]
    said = route.label or RouteLabel(route.task_type.value)
    return [float(label is said) for label in LABELS]


def _served(labels: list[RouteLabel], routes: list[Route]) -> Point:
    """At the threshold of the settings."""
    asked = [(label, route.task_type) for label, route in zip(labels, routes, strict=True)]
    crafted = [sent in (TaskType.HYBRID, label) for label, sent in asked if label in CRAFTS]
    calls = statistics.fmean(1 + (sent is TaskType.HYBRID) for _, sent in asked)
    return Point(load_settings().router_threshold, statistics.fmean(crafted or [0]), calls)
