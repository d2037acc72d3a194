"""`mathcode route`: what the router makes of a prompt. No model is called and no server is needed."""

from __future__ import annotations

import sys

import click

from core.messages import Route
from core.settings import load_settings
from ensemble.prompting import models_for
from ensemble.router_files import build_router


@click.command()
@click.argument("prompt")
@click.option("--explain", is_flag=True, help="Say what spoke for it, and how much.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, always with the reasons.")
def route(prompt: str, explain: bool, as_json: bool) -> None:
    """Show where PROMPT would be sent (`-` reads it from standard input)."""
    text = sys.stdin.buffer.read().decode(errors="replace") if prompt == "-" else prompt
    if not text.strip():
        raise click.UsageError("the prompt is empty: give one as the argument, or `-` and pipe it in")
    decision = build_router(load_settings()).route(text)
    click.echo(decision.model_dump_json() if as_json else _described(decision, explain=explain))


def _described(decision: Route, *, explain: bool) -> str:
    models = " + ".join(models_for(decision.task_type))
    line = f"{decision.task_type} (confidence {decision.confidence:.2f}) -> {models}"
    if not explain:
        return line
    chances = ", ".join(f"{label} {chance:.2f}" for label, chance in decision.probabilities.items())
    by = f"  by {decision.version}" + (", in place of the learned router" if decision.is_fallback else "")
    return "\n".join([line, by + (f": {chances}" if chances else ""), *(f"  {why}" for why in decision.reasons)])
