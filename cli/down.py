"""`mathcode down`: stop the stack of the configured data directory."""

from __future__ import annotations

import json

import click

from core.settings import load_settings
from stack.down import stop_stack
from stack.layout import Layout


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def down(as_json: bool) -> None:
    """Stop the running stack and wait until it is gone."""
    data_dir = load_settings().data_dir
    holder = stop_stack(Layout(data_dir))
    if as_json:
        click.echo(json.dumps({"stopped": holder is not None, "pid": holder.pid if holder else None}))
    elif holder is None:
        click.echo(f"no stack runs on {data_dir}")
    else:
        click.echo(f"stopped the stack on {data_dir}")
