"""`mathcode keys`: who may use the API, and how much."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.table import Table

from cli.ledger import open_ledger
from cli.tables import print_table
from core.keys import ApiKey, KeyStore, Limits, Rate, parse_rate

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_UNITS = {1: "s", 60: "min", 3600: "h"}


@click.group()
def keys() -> None:
    """API keys: create, list and revoke them. Every subcommand speaks --json."""


@keys.command()
@click.argument("name")
@click.option("--rate", metavar="N/min", help="Most submissions in a second, minute or hour: 2/s, 60/min, 1000/h.")
@click.option("--tokens-rate", metavar="N/min", help="Most tokens asked for, prompts and max_tokens together.")
@click.option("--max-queued", type=click.IntRange(1, 10_000_000), help="Most jobs that wait at the same time.")
@click.option("--daily-tokens", type=click.IntRange(1, 2**62), help="Most tokens used in a day of UTC.")
@click.option("--operator", is_flag=True, help="It may also promote versions and roll back over HTTP.")
@_JSON
def create(
    *,
    name: str,
    rate: str | None,
    tokens_rate: str | None,
    max_queued: int | None,
    daily_tokens: int | None,
    operator: bool,
    as_json: bool,
) -> None:
    """Make a key and print it; nothing can show it again."""
    limits = Limits(
        requests=parse_rate(rate) if rate else None,
        tokens=parse_rate(tokens_rate) if tokens_rate else None,
        max_queued=max_queued,
        daily_tokens=daily_tokens,
    )
    with _store() as store:
        key, token = store.create(name, limits, is_operator=operator)
    if as_json:
        click.echo(json.dumps({**_document(key), "key": token}))
        return
    click.echo(f"{key.name} ({key.id}) was created. Keep its key, it is not shown again:", err=True)
    click.echo(token)


@keys.command("list")
@_JSON
def list_keys(as_json: bool) -> None:
    """List all keys, newest first, with what they used today (UTC)."""
    with _store() as store:
        found = store.all()
    if as_json:
        click.echo(json.dumps([_document(key) for key in found]))
        return
    if not found:
        click.echo("no key yet: make one with `mathcode keys create NAME`")
        return
    table = Table("name", "id", "state", "rate", "tokens", "queued", "daily tokens", "used today", "created")
    for column in table.columns[:2]:
        column.no_wrap = True  # they are copied into `revoke`
    for key in found:
        table.add_row(*_row(key))
    print_table(table)


@keys.command()
@click.argument("name")
@_JSON
def revoke(name: str, as_json: bool) -> None:
    """End the key NAME (or with this id); running API processes refuse it within two seconds.

    Its jobs go on, its batches are cancelled.
    """
    with _store() as store:
        key = store.revoke(name)
    click.echo(json.dumps(_document(key)) if as_json else f"{key.name} ({key.id}) is revoked")


@contextmanager
def _store() -> Iterator[KeyStore]:
    with open_ledger() as database:
        yield KeyStore(database)


def _document(key: ApiKey) -> dict[str, Any]:
    limits = key.limits
    return {
        "id": key.id,
        "name": key.name,
        "is_operator": key.is_operator,
        "created_at": key.created_at.isoformat(timespec="milliseconds"),
        "revoked_at": key.revoked_at.isoformat(timespec="milliseconds") if key.revoked_at else None,
        "rate": _rate(limits.requests),
        "tokens_rate": _rate(limits.tokens),
        "max_queued": limits.max_queued,
        "daily_tokens": limits.daily_tokens,
        "tokens_today": key.tokens_today,
        "batch_tokens_today": key.batch_tokens_today,
    }


def _rate(rate: Rate | None) -> str | None:
    return f"{rate.amount}/{_UNITS[rate.period_s]}" if rate else None


def _row(key: ApiKey) -> tuple[str, ...]:
    document = _document(key)
    named = ("rate", "tokens_rate", "max_queued", "daily_tokens")
    state = "revoked" if key.revoked_at else "operator" if key.is_operator else "in force"
    bounds = ("-" if document[name] is None else str(document[name]) for name in named)
    used = f"{key.tokens_today} + {key.batch_tokens_today} in batches"
    return (key.name, key.id, state, *bounds, used, f"{key.created_at:%Y-%m-%d %H:%M}")
