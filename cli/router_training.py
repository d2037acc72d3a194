"""`mathcode router train`: fit the router anew, in a process of its own, since torch does the arithmetic."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click

from cli.ledger import open_ledger
from core.feedback import FeedbackStore
from core.settings import load_settings
from ensemble.router_files import OWN


@click.command()
@click.argument("files", type=click.Path(exists=True, dir_okay=False, path_type=Path), nargs=-1, required=True)
@click.option("--with-feedback", is_flag=True, help="Also learn from what callers said, forced and asked again.")
@click.option("--promote", is_flag=True, help="Without feedback: put the new version into service.")
@click.pass_context
def train(ctx: click.Context, files: tuple[Path, ...], with_feedback: bool, promote: bool) -> None:
    """Fit a new version to the labelled prompts of FILES.

    With feedback it is put into service if it is better than without, on prompts of both kinds that it has not
    seen. Running processes take it within seconds. Takes a minute or two.
    """
    command = [sys.executable, "-m", "ensemble.router_training", *map(str, files)]
    feedback = ""
    if with_feedback:
        with open_ledger() as database:
            labels = FeedbackStore(database).labels()
        feedback = "".join(json.dumps({"prompt": each.prompt, "label": each.label}) + "\n" for each in labels)
        command.append("--with-feedback")
    if with_feedback or promote:
        command += ["--out", str(load_settings().data_dir / OWN)]
    finished = subprocess.run(command, input=feedback, encoding="utf-8", check=False)
    ctx.exit(finished.returncode)
