"""`mathcode demo`: a whole stack, three answers in full, thirty more prompts in a table."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from cli.client import ApiClient
from cli.demo_prompts import FIRST_PROMPTS, demo_prompts
from cli.demo_stack import own_stack
from cli.demo_table import print_answers, print_table
from cli.views import JobView

MAX_TOKENS = 48  # of the prompts that only the table shows
DEADLINE_S = 900.0  # the demo ends, also where a model does not come up again


@click.command()
@click.option(
    "--prompts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON lines with the fields prompt and label; thirty of them are shown.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per job instead of the table.")
@click.pass_context
def demo(ctx: click.Context, prompts: Path | None, as_json: bool) -> None:
    """Start everything, submit prompts of all kinds, show the answers, stop everything.

    Exit status 0 only if every prompt was answered by every model it was meant for.
    """
    texts = demo_prompts(prompts)
    with _progress() as progress:
        starting = progress.add_task("starting the stack", total=None)
        begun = time.monotonic()

        def report(said: str) -> None:
            progress.update(starting, description=f"starting: {said[:60]}")

        with own_stack(report) as state:
            _finish(progress, starting, f"stack started in {time.monotonic() - begun:.1f} s")
            jobs = _answer(ApiClient(state.api_url), texts, progress)
            stopping = progress.add_task("stopping the stack", total=None)
        _finish(progress, stopping, "stack stopped")
    _print(texts, jobs, as_json=as_json)
    ctx.exit(0 if all(job.is_success and job.answer and not job.answer.degraded for job in jobs) else 1)


def _answer(client: ApiClient, texts: list[str], progress: Progress) -> list[JobView]:
    """Submit everything at once, then collect in order."""
    submitting = progress.add_task("submitting", total=len(texts))
    submitted = []
    for text in texts:
        length = {} if text in FIRST_PROMPTS else {"max_tokens": MAX_TOKENS}
        submitted.append(client.submit({"prompt": text, "deadline_s": DEADLINE_S, **length}))
        progress.advance(submitting)
    answering = progress.add_task("answering", total=len(texts))
    jobs = []
    for job in submitted:
        jobs.append(client.wait(job.id))
        progress.advance(answering)
    return jobs


def _finish(progress: Progress, task: TaskID, description: str) -> None:
    progress.update(task, description=description, total=1, completed=1)


def _print(texts: list[str], jobs: list[JobView], *, as_json: bool) -> None:
    if not as_json:
        first = len(FIRST_PROMPTS)
        print_answers(texts[:first], jobs[:first])
        print_table(texts, jobs)
        return
    for job in jobs:
        click.echo(job.to_json())


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
