"""A training run as it goes on, read from the ledger: a progress bar, or JSON lines."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from core.errors import DatabaseUnavailable
from core.training_runs import Run, RunStore

POLL_S = 0.5


def follow_run(runs: RunStore, run_id: int, *, as_json: bool) -> Run:
    """Show run `run_id` until it has ended, through restarts of the ledger as well; the run as it ended."""
    return _print_lines(runs, run_id) if as_json else _show_bar(runs, run_id)


def _print_lines(runs: RunStore, run_id: int) -> Run:
    last = 0
    while True:
        run = _read(runs, run_id)
        for step in runs.steps(run_id, after=last):
            click.echo(json.dumps({"run": run_id, **asdict(step)}))
            last = step.step
        if run.state.is_final:
            summary = {"run": run_id, "state": run.state, "version": run.version, "reasons": run.reasons}
            click.echo(json.dumps(summary))
            return run
        time.sleep(POLL_S)


def _show_bar(runs: RunStore, run_id: int) -> Run:
    console, noted = Console(highlight=False), 0
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TextColumn("{task.fields[figures]}"), console=console) as bar:
        task = bar.add_task(f"run {run_id}", total=None, figures="")
        while True:
            run = _read(runs, run_id)
            for note in run.notes[noted:]:
                console.print(f"  {note}")
            noted = len(run.notes)
            progress = run.progress
            bar.update(
                task,
                description=f"run {run_id}: {run.stage or run.state}",
                total=progress.get("steps"),
                completed=progress.get("step", 0),
                figures=figures_of(run),
            )
            if run.state.is_final:
                break
            time.sleep(POLL_S)
    console.print(f"run {run_id} is {run.state}{f' as v{run.version}' if run.version else ''}")
    for reason in run.reasons:
        console.print(f"  {reason}")
    return run


def figures_of(run: Run) -> str:
    """Loss, learning rate, tokens per second, time left and held-out loss, as far as they are known."""
    formats = {
        "loss": "loss {:.3f}",
        "learning_rate": "lr {:.1e}",
        "tokens_per_s": "{:,.0f} tokens/s",
        "eta_s": "{:.0f} s left",
        "heldout_loss": "held out {:.3f}",
    }
    known = {name: value for name in formats if (value := run.progress.get(name)) is not None}
    return "  ".join(formats[name].format(value) for name, value in known.items())


def _read(runs: RunStore, run_id: int) -> Run:
    """The run, once the ledger answers. Raises RunNotFound."""
    while True:
        try:
            return runs.get(run_id)
        except DatabaseUnavailable:
            time.sleep(POLL_S)
