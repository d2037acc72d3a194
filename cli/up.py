"""`mathcode up`: the whole stack in the foreground."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from stack.layout import Layout
from stack.state import ProcessPhase, StackState
from stack.up import run_stack

INTERRUPTED = 130


@click.command()
@click.option("--verbose", is_flag=True, help="Show every line the processes log, not only errors.")
@click.option("--json", "as_json", is_flag=True, help="When ready, print one JSON object instead of the summary.")
@click.pass_context
def up(ctx: click.Context, /, verbose: bool, as_json: bool) -> None:
    """Start everything and keep it running until Ctrl-C or `mathcode down`."""
    progress = Console(stderr=True, highlight=False)

    def say(name: str, text: str) -> None:
        progress.print(Text.assemble((f"{name:>16} ", "cyan"), text), soft_wrap=True)

    def announce(state: StackState) -> None:
        if as_json:
            click.echo(state.model_dump_json())
        else:
            Console(highlight=False, markup=False).print(_summary(state), soft_wrap=True)
        sys.stdout.flush()

    say("stack", "starting; Ctrl-C stops it")
    try:
        run_stack(say=say, announce=announce, shows_every_line=verbose)
    except KeyboardInterrupt:  # before the supervisor took the signals over
        ctx.exit(INTERRUPTED)
    finally:
        say("stack", "stopped")


def _summary(state: StackState) -> str:
    """Lines that stay whole when copied."""
    body = '{"prompt": "Solve the equation: 2x^2 + 5x - 3 = 0"}'
    refused = [process for process in state.processes if process.phase is ProcessPhase.REFUSED]
    lines = [
        "",
        f"mathcode is ready after {(state.ready or state.started) - state.started:.1f} s",
        "",
        f"  API       {state.api_url}",
        f"  Flower    {state.flower_url}",
        f"            user mathcode, MATHCODE_FLOWER_PASSWORD is in {Layout(Path(state.data_dir)).services_file}",
        f"  profile   {state.profile}",
        f"  data      {state.data_dir}",
        *(f"  MISSING   {process.name}: {process.reason}" for process in refused),
        "",
        "  mathcode ask 'Implement a binary search tree in Python' --stream",
        f"  curl {state.api_url}/v1/jobs -H 'Content-Type: application/json' -d {shlex.quote(body)}",
        "",
    ]
    return "\n".join(lines)
