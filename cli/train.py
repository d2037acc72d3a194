"""`mathcode train`: what continuous training has done and is doing; begin, follow or cancel a run."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta

import click
from rich.console import Console
from rich.table import Table

from cli.ledger import open_ledger
from cli.training_progress import follow_run
from core.database import Database
from core.errors import Unavailable
from core.manifests import ManifestStore
from core.messages import ModelName
from core.settings import load_settings
from core.training import TrainingOptions
from core.training_runs import Run, RunState, RunStore, Trigger
from ensemble.models import describe_model

LISTED = 10


@click.command()
@click.option("--now", is_flag=True, help="Begin a run without waiting for MIN_NEW_FILES.")
@click.option("--dry-run", is_flag=True, help="Show what a run would train, and change nothing.")
@click.option("--follow", is_flag=True, help="Show the open or latest run until it ends.")
@click.option("--cancel", is_flag=True, help="Cancel the open run; its files count as new again.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def train(ctx: click.Context, *, now: bool, dry_run: bool, follow: bool, cancel: bool, as_json: bool) -> None:
    """Show the latest runs of continuous training, or begin, follow or cancel one.

    With --follow, exit status 0 if the run was promoted, 1 if it ended in another way.
    """
    if now + dry_run + cancel > 1:
        raise click.UsageError("give one of --now, --dry-run and --cancel")
    if follow and (dry_run or cancel):
        raise click.UsageError("--follow goes with --now, or alone")
    with open_ledger() as database:
        runs = RunStore(database)
        if dry_run:
            _forecast(database, runs, as_json=as_json)
        elif cancel:
            _cancel(runs, as_json=as_json)
        else:
            run_id = _begin(runs) if now else None
            if follow:
                ended = follow_run(runs, run_id or _latest(runs).id, as_json=as_json)
                ctx.exit(0 if ended.state is RunState.PROMOTED else 1)
            _list(database, runs, as_json=as_json)


def _begin(runs: RunStore) -> int:
    """Claim a run; the reconciler of the running stack announces it."""
    run_id = runs.claim(Trigger.OPERATOR, TrainingOptions.of(load_settings()))
    if run_id is None:
        raise Unavailable(
            f"run {_open(runs).id} is not finished: follow it with --follow, or end it with --cancel"
        )
    return run_id


def _cancel(runs: RunStore, *, as_json: bool) -> None:
    run = runs.request_cancel(_open(runs).id)
    if as_json:
        document = {"run": run.id, "state": run.state, "cancel_requested": run.cancel_requested}
        click.echo(json.dumps(document))
    else:
        click.echo(f"run {run.id} is {run.state if run.state.is_final else 'being cancelled'}")


def _open(runs: RunStore) -> Run:
    run = next(iter(runs.latest(1)), None)
    if run is None or run.state.is_final:
        raise Unavailable("no run is open: begin one with `mathcode train --now`")
    return run


def _latest(runs: RunStore) -> Run:
    run = next(iter(runs.latest(1)), None)
    if run is None:
        raise Unavailable("there was no run yet: begin one with `mathcode train --now`")
    return run


def _forecast(database: Database, runs: RunStore, *, as_json: bool) -> None:
    from ensemble.engine.tokenizer import load_tokenizer  # takes a second to import
    from training.forecast import forecast

    settings = load_settings()
    store, options = ManifestStore(database), TrainingOptions.of(settings)
    tokenizer = load_tokenizer(describe_model(ModelName.CODESTRAL, settings).tokenizer_directory)
    found = forecast(store, options, latest=runs.latest(LISTED), tokenizer=tokenizer)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    counts = ", ".join(f"{count} {purpose}" for purpose, count in found.files.items())
    click.echo(f"files: {counts}; trained ones of {found.repositories} repositories")
    for reason, count in sorted(found.rejected.items()):
        click.echo(f"refused: {count} {reason}")
    for note in found.notes:
        click.echo(f"note: {note}")
    took = "unknown, as no run has been timed yet" if found.seconds is None else _duration(found.seconds)
    click.echo(f"about {found.tokens:,} tokens in {found.steps:,} steps; time: {took}")


def _list(database: Database, runs: RunStore, *, as_json: bool) -> None:
    settings, latest = load_settings(), runs.latest(LISTED)
    corpus = ManifestStore(database).corpus(min_quality_score=settings.min_quality_score)
    if as_json:
        views = [{**asdict(run), "options": run.options.model_dump(mode="json")} for run in latest]
        document = {"corpus": asdict(corpus), "min_new_files": settings.min_new_files, "runs": views}
        click.echo(json.dumps(document, default=str))
        return
    click.echo(f"{corpus.new_files} new files; a run begins at {settings.min_new_files}")
    if latest:
        table = Table("run", "state", "version", "step", "loss", "held out", "")
        for run in latest:
            table.add_row(*_row(run))
        Console(highlight=False).print(table)


def _row(run: Run) -> tuple[str, ...]:
    progress = run.progress
    steps = f"{progress['step']}/{progress['steps']}" if "step" in progress else "-"
    loss, heldout = (_number(progress.get(name)) for name in ("loss", "heldout_loss"))
    what = "; ".join(run.reasons) if run.state.is_final else (run.stage or "waits for the training worker")
    version = f"v{run.version}" if run.version else "-"
    return str(run.id), run.state.value, version, steps, loss, heldout, what


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "-"


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
