"""`mathcode versions`, `promote` and `rollback`: which adapters there are, and which one serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from cli.ledger import open_ledger
from core.model_versions import Version, VersionStore
from core.settings import load_settings
from training.publishing import Publisher

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@_JSON
def versions(as_json: bool) -> None:
    """List every version of the code model's adapter, newest first."""
    with _store() as store:
        found = store.all()
    if as_json:
        click.echo(json.dumps([{"name": version.name, **asdict(version)} for version in found], default=str))
        return
    if not found:
        click.echo("no version yet: the base model serves")
        return
    table = Table("version", "state", "parent", "held out", "created", "directory")
    for version in found:
        table.add_row(*_row(version))
    Console(highlight=False).print(table)
    for version in found:
        if version.alarm:
            click.echo(f"{version.name}: {version.alarm}")


@click.command()
@click.argument("number", type=int)
@click.option("--restored", is_flag=True, help="It was broken, and its files have been restored.")
def promote(number: int, restored: bool) -> None:
    """Put version NUMBER into service; running workers switch to it with their next heartbeats."""
    with _store() as store:
        if restored:
            store.mend(number)
        version = store.promote(number)
        _publisher(store).settle_link()
    click.echo(f"{version.name} is in service")


@click.command()
def rollback() -> None:
    """Put the parent of the version in service back; without one, the base model."""
    with _store() as store:
        version = store.rollback()
        _publisher(store).settle_link()
    click.echo(f"{version.name if version else 'the base model'} is in service")


@contextmanager
def _store() -> Iterator[VersionStore]:
    with open_ledger() as database:
        yield VersionStore(database)


def _publisher(store: VersionStore) -> Publisher:
    return Publisher(store, load_settings().data_dir / "models")


def _row(version: Version) -> tuple[str, ...]:
    loss = version.scores.get("candidate", {}).get("losses", {}).get("heldout")
    return (
        version.name,
        version.state.value,
        f"v{version.parent}" if version.parent else "base",
        f"{loss:.4f}" if isinstance(loss, float) else "-",
        f"{version.created_at:%Y-%m-%d %H:%M}",
        str(version.directory),
    )
