"""`mathcode ingest`: fill the corpus from directories and repositories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.ledger import open_ledger
from core.code_files import CodeFileStore
from core.database import Database
from core.errors import InvalidRequest
from core.settings import Settings, load_settings

if TYPE_CHECKING:
    from training.ingest.ingestion import Ingestion, Tally


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="PATH|GIT_URL...")
@click.option("--by-directory", is_flag=True, help="Every directory in PATH is a repository: site-packages.")
@click.option("--licence", metavar="SPDX", help="The licence of all of it, where you are the one to say.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def ingest(*, sources: tuple[str, ...], by_directory: bool, licence: str | None, as_json: bool) -> None:
    """Judge files of code and store them for training.

    Running it again looks at new and changed files only; after an interruption it goes on.
    """
    settings = load_settings()
    with open_ledger() as database:
        ingestion = _ingestion(settings, database, licence)
        with _progress(hidden=as_json) as progress:
            for source in sources:
                _ingest(ingestion, source, by_directory=by_directory, progress=progress)
    if as_json:
        click.echo(json.dumps(_document(ingestion.tally)))
    else:
        _show(ingestion.tally)


def _ingestion(settings: Settings, database: Database, licence: str | None) -> Ingestion:
    from training.ingest.assessment import Assessor
    from training.ingest.ingestion import Ingestion
    from training.ingest.licence_expressions import spdx

    declared = None if licence is None else spdx(licence)
    if licence is not None and declared is None:
        raise InvalidRequest(
            f"{licence!r} is no SPDX expression: write MIT, or Apache-2.0 OR MIT", param="licence"
        )
    return Ingestion(CodeFileStore(database), Assessor(settings.licences), declared=declared)


def _ingest(ingestion: Ingestion, source: str, *, by_directory: bool, progress: Progress) -> None:
    from training.ingest.sources import open_source

    task = progress.add_task(source, total=0)
    for repository in open_source(source, by_directory=by_directory):
        progress.update(task, total=(progress.tasks[task].total or 0) + len(repository.paths))
        progress.update(task, description=_plain(repository.name))
        ingestion.ingest(repository, lambda count: progress.advance(task, count))
    progress.update(task, description=_plain(source))


@contextmanager
def _progress(*, hidden: bool) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), disable=hidden) as progress:
        yield progress


def _plain(name: str) -> str:
    """The end of a name, with nothing that a terminal could take for a command."""
    return "".join(character if character.isprintable() else "?" for character in name)[-60:]


def _document(tally: Tally) -> dict[str, object]:
    return {"kept": tally.kept, "unchanged": tally.unchanged, "rejected": dict(tally.rejected.most_common())}


def _show(tally: Tally) -> None:
    table = Table("files", "")
    table.columns[0].justify = "right"
    table.add_row(str(tally.kept), "kept")
    for reason, count in tally.rejected.most_common():
        table.add_row(str(count), f"rejected: {reason}")
    table.add_row(str(tally.unchanged), "looked at by an earlier ingest")
    Console(highlight=False).print(table)
