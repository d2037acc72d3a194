"""`mathcode batch`: many prompts at once, at low priority."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.batch_client import BatchClient, BatchView
from cli.batch_files import RunFiles
from cli.batch_run import BatchRun, Observer
from cli.tables import print_table
from core.settings import load_settings
from stack.readiness import api_url

LISTED = 20
INTERRUPTED = 130


@click.group()
def batch() -> None:
    """Answer files of prompts, at low priority."""


@batch.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Results.")
@click.option("--window", default="24h", help="Give up what is not answered by then, as in 30m or 6h (24h).")
@click.option("--json", "as_json", is_flag=True, help="Print how the batch stands as JSON lines.")
@click.pass_context
def run(ctx: click.Context, *, source: Path, output: Path, window: str, as_json: bool) -> None:
    """Answer every line of SOURCE: OpenAI's batch lines, or {"custom_id": ..., "prompt": ...}.

    Run again after any interruption it goes on; lines with an answer in the output are not asked again, those that
    failed are. Exit status 0 if every line has an answer, 1 if one has none.
    """
    with _observing(as_json=as_json) as observer:
        try:
            found = BatchRun(RunFiles(source, output), _client(), window=window, observer=observer).run()
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
    failed = sum(not is_answered for is_answered in found.values())
    click.echo(f"{len(found) - failed} answered, {failed} failed: {output}", err=True)
    ctx.exit(1 if failed else 0)


@batch.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_batches(*, as_json: bool) -> None:
    """Show the latest batches."""
    found = list(islice(_client().batches(), LISTED))
    if as_json:
        click.echo(json.dumps([view.model_dump() for view in found]))
        return
    table = Table("batch", "state", "created", "total", "answered", "failed")
    for view in found:
        counts = view.request_counts
        created = datetime.fromtimestamp(view.created_at, UTC).strftime("%m-%d %H:%M")
        table.add_row(view.id, view.status, created, *map(str, (counts.total, counts.completed, counts.failed)))
    print_table(table)


@batch.command()
@click.argument("batch_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(batch_id: str, *, as_json: bool) -> None:
    """Show how one batch stands, and what is wrong with its lines."""
    _print(_client().batch(batch_id), as_json=as_json)


@batch.command()
@click.argument("batch_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cancel(batch_id: str, *, as_json: bool) -> None:
    """Cancel a batch; what is answered until then is kept."""
    _print(_client().cancel_batch(batch_id), as_json=as_json)


def _client() -> BatchClient:
    settings = load_settings()
    return BatchClient(api_url(settings), api_key=settings.api_key)


def _print(view: BatchView, *, as_json: bool) -> None:
    if as_json:
        click.echo(view.model_dump_json())
        return
    click.echo(f"{view.id} {view.status}: {view.figures}")
    for error in view.errors.data if view.errors else ():
        click.echo(f"  line {error.line}: {error.message}")


@contextmanager
def _observing(*, as_json: bool) -> Iterator[Observer]:
    if as_json:
        yield _Lines()
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, TimeElapsedColumn(), TextColumn("{task.fields[failed]}"), console=console) as progress:
        yield _Bar(progress)


class _Bar:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("batch", total=None, failed="")

    def show(self, batch: BatchView) -> None:
        counts = batch.request_counts
        self._progress.update(
            self._task,
            description=batch.status,
            total=counts.total or None,
            completed=counts.completed + counts.failed,
            failed=f"{counts.failed} failed" if counts.failed else "",
        )

    def note(self, text: str) -> None:
        self._progress.console.print(text, soft_wrap=True)


class _Lines:
    """A line whenever something has changed."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, batch: BatchView) -> None:
        line = json.dumps({"batch": batch.id, "status": batch.status, **batch.request_counts.model_dump()})
        if line != self._last:
            click.echo(line)
        self._last = line

    def note(self, text: str) -> None:
        click.echo(text, err=True)
