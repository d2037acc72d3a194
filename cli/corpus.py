"""`mathcode corpus`: what was kept for training, what was not and why, and how one file got its score."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from cli.ledger import open_ledger
from core.code_files import CodeFileStore, Count
from core.errors import InvalidRequest

MOST_ROWS = 25
FILE_COLUMNS = 140  # where the output is no terminal


@click.command()
@click.option("--repo", help="Only files of this repository.")
@click.option(
    "--file", "file_id", type=click.IntRange(1, 2**63 - 1), help="Why the file with this id is as it is."
)
@click.option("--why", metavar="PATH", help="Why files whose path ends so are as they are.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def corpus(*, repo: str | None, file_id: int | None, why: str | None, as_json: bool) -> None:
    """Show the files of code: by reason, language, repository and score; or explain one of them."""
    with open_ledger() as database:
        store = CodeFileStore(database)
        if file_id is not None or why is not None:
            rows = store.find(file_id=file_id, path=why, repo=repo)
            if not rows:
                raise InvalidRequest(
                    "no file is like that: `mathcode corpus` shows the repositories", param="file"
                )
            _explain([dict(row) for row in rows], as_json=as_json)
        else:
            _summarise(store.counts(repo), store.histogram(repo), as_json=as_json)


def _summarise(counts: Sequence[Count], histogram: Mapping[int, int], *, as_json: bool) -> None:
    document = {
        "reasons": _by(counts, lambda count: count.rejection or "kept"),
        "languages": _by(_kept(counts), lambda count: count.language or "unknown"),
        "repositories": _by(_kept(counts), lambda count: count.repo or "unknown"),
        "scores": {f"{step}-{step + 10}": histogram.get(step, 0) for step in range(0, 100, 10)},
        "kept_bytes": sum(count.size_bytes for count in _kept(counts)),
    }
    if as_json:
        click.echo(json.dumps(document))
        return
    console = _console()
    for heading in ("reasons", "languages", "repositories", "scores"):
        console.print(_table(heading, document[heading]))


def _kept(counts: Sequence[Count]) -> list[Count]:
    return [count for count in counts if count.rejection is None]


def _by(counts: Sequence[Count], key: Callable[[Count], str]) -> dict[str, int]:
    files: Counter[str] = Counter()
    for count in counts:
        files[key(count)] += count.files
    return dict(files.most_common())


def _table(heading: str, files: Any) -> Table:
    table = Table("files", heading if heading == "reasons" else f"{heading} of kept files")
    table.columns[0].justify = "right"
    for name, count in list(files.items())[:MOST_ROWS]:
        table.add_row(str(count), _plain(name))
    if len(files) > MOST_ROWS:
        table.add_row("", f"and {len(files) - MOST_ROWS} more: --json lists all")
    return table


def _explain(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"files": rows}))
        return
    console = _console()
    for row in rows:
        console.print(_plain(f"{row['id']}  {row['path']}  ({row['repo']}, {row['language']}, {row['licence']})"))
        for line in _verdict(row):
            console.print(f"  {_plain(line)}", soft_wrap=True)


def _verdict(row: Mapping[str, Any]) -> list[str]:
    """The score and the signals it came from, or the rejection. Strangers may have written any reasons."""
    reasons = row["reasons"] if isinstance(row["reasons"], dict) else {}
    if row["rejection"] is not None:
        return [f"rejected: {row['rejection']}" + (f", {reasons['because']}" if "because" in reasons else "")]
    signals = [(name, value) for name, value in reasons.items() if isinstance(value, dict)]
    lines = [f"{value.get('points', 0)!s:>6}  {name}: {value.get('because', '')}" for name, value in signals]
    return [f"score {row['quality_score']}", *lines]


def _plain(text: str) -> str:
    """`text` on one line, with nothing that a terminal could take for a command."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _console() -> Console:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = FILE_COLUMNS
    return console
