"""`mathcode demo`: a whole stack, thirty-three prompts, one table."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.client import ApiClient
from cli.demo_prompts import demo_prompts
from cli.demo_stack import own_stack
from cli.views import JobView

MAX_TOKENS = 48
HEAD_CHARACTERS = 44
ANSWER_CHARACTERS = 40


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
        with own_stack() as state:
            progress.update(
                starting, description=f"stack started in {time.monotonic() - begun:.1f} s", total=1, completed=1
            )
            jobs = _answer(ApiClient(state.api_url), texts, progress)
            stopping = progress.add_task("stopping the stack", total=None)
        progress.update(stopping, description="stack stopped", total=1, completed=1)
    _print(texts, jobs, as_json=as_json)
    ctx.exit(0 if all(job.is_success and job.answer and not job.answer.degraded for job in jobs) else 1)


def _answer(client: ApiClient, texts: list[str], progress: Progress) -> list[JobView]:
    """Submit everything at once, then collect in order."""
    submitting = progress.add_task("submitting", total=len(texts))
    submitted = []
    for text in texts:
        submitted.append(client.submit({"prompt": text, "max_tokens": MAX_TOKENS}))
        progress.advance(submitting)
    answering = progress.add_task("answering", total=len(texts))
    jobs = []
    for job in submitted:
        jobs.append(client.wait(job.id))
        progress.advance(answering)
    return jobs


def _print(texts: list[str], jobs: list[JobView], *, as_json: bool) -> None:
    if as_json:
        for job in jobs:
            click.echo(job.to_json())
        return
    table = Table(
        "prompt", "route", "models", "tokens", "seconds", "answer", title="mathcode demo", show_lines=False
    )
    for text, job in zip(texts, jobs, strict=True):
        table.add_row(*_cells(text, job))
    console = Console(highlight=False, markup=False)
    console.print(table)
    tokens = sum(
        completion.completion_tokens for job in jobs if job.answer for completion in job.answer.completions
    )
    answered = sum(job.is_success for job in jobs)
    console.print(f"{answered} of {len(jobs)} jobs succeeded, {tokens} tokens generated")


def _cells(text: str, job: JobView) -> tuple[str, ...]:
    route = f"{job.route.task_type} {job.route.confidence:.2f}" if job.route else "-"
    if job.answer is None:
        reason = job.error.message if job.error else ""
        return (
            _head(text, HEAD_CHARACTERS),
            route,
            "-",
            "-",
            "-",
            f"{job.status}: {_head(reason, ANSWER_CHARACTERS)}",
        )
    completions = job.answer.completions
    mark = " (degraded)" if job.answer.degraded else ""
    return (
        _head(text, HEAD_CHARACTERS),
        route,
        " + ".join(completion.model for completion in completions) + mark,
        str(sum(completion.completion_tokens for completion in completions)),
        f"{max((completion.seconds for completion in completions), default=0.0):.2f}",
        _head(job.answer.response, ANSWER_CHARACTERS),
    )


def _head(text: str, characters: int) -> str:
    """The beginning of `text` on one line, with nothing a terminal could take for a command."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= characters else line[: characters - 1] + "…"


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
