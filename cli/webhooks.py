"""`mathcode webhooks`: what was told to whom, what was given up, and the secret that signs it."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from rich.table import Table

from cli.ledger import open_ledger
from cli.tables import print_table
from core.errors import InvalidRequest
from core.webhook_secrets import SecretStore
from core.webhooks import DeliveryState, WebhookStore

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def webhooks() -> None:
    """Deliveries of webhooks, and the secret that signs them."""


@webhooks.command("list")
@click.option("--failed", is_flag=True, help="Only those that were given up.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at most.")
@_JSON
def list_deliveries(failed: bool, limit: int, as_json: bool) -> None:
    """List deliveries, newest first."""
    with open_ledger() as database:
        state = DeliveryState.FAILED if failed else None
        found = WebhookStore(database).latest(state=state, limit=limit)
    if as_json:
        click.echo(json.dumps([asdict(delivery) for delivery in found], default=str))
        return
    table = Table("id", "event", "of", "state", "tries", "created", "url", "last error")
    for each in found:
        created = f"{each.created_at:%Y-%m-%d %H:%M:%S}"
        row = (each.id, each.event, each.subject, each.state.value, str(each.tries), created, each.url)
        table.add_row(*row, each.error or "")
    print_table(table)


@webhooks.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that were given up.")
def retry(ids: tuple[str, ...], everything: bool) -> None:
    """Begin anew with the given-up deliveries IDS, for another day."""
    if everything == bool(ids):
        raise InvalidRequest("name the deliveries to retry (`mathcode webhooks list --failed`), or say --all")
    with open_ledger() as database:
        number = WebhookStore(database).retry(None if everything else list(ids))
    click.echo(f"{number} deliver{'y is' if number == 1 else 'ies are'} tried again")
    if number < len(set(ids)):
        raise InvalidRequest(
            "only what was given up is tried again: `mathcode webhooks list --failed` has the ids"
        )


@webhooks.command()
@click.option("--rotate", is_flag=True, help="Replace it; the old one goes on signing for a day.")
def secret(rotate: bool) -> None:
    """Print the secret that receivers verify signatures with."""
    with open_ledger() as database:
        store = SecretStore(database)
        click.echo(store.rotate() if rotate else store.signing()[0])
