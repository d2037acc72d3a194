"""`mathcode ask`: one prompt, one answer."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console

from cli.client import ApiClient
from cli.stream_printer import StreamPrinter
from cli.views import JobView
from core.errors import MathcodeError
from core.messages import Priority, Strategy, TaskType
from core.settings import load_settings
from stack.readiness import api_url

INTERRUPTED = 130


@click.command()
@click.argument("prompt")
@click.option(
    "--force", "force_task_type", type=click.Choice([kind.value for kind in TaskType]), help="Skip the router."
)
@click.option(
    "--strategy", type=click.Choice([kind.value for kind in Strategy]), help="How a hybrid prompt uses both."
)
@click.option(
    "--priority",
    type=click.Choice([kind.value for kind in Priority]),
    help="Who is served first (normal).",
)
@click.option("--max-tokens", type=int, help="Most tokens of the answer.")
@click.option("--temperature", type=float, help="0 (default) is deterministic.")
@click.option("--top-p", type=float, help="Sample from the likeliest tokens of this mass only.")
@click.option("--seed", type=int, help="Makes sampling repeatable.")
@click.option("--stop", multiple=True, help="End the answer before this text; may be repeated.")
@click.option("--deadline", "deadline_s", type=float, help="Give up after this many seconds.")
@click.option("--stream", is_flag=True, help="Print text as it appears.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the job as JSON; with --stream, one event per line first."
)
@click.pass_context
def ask(ctx: click.Context, /, prompt: str, stream: bool, as_json: bool, **options: Any) -> None:
    """Ask the running stack; PROMPT `-` reads standard input. Ctrl-C cancels the job."""
    settings = load_settings()
    client = ApiClient(api_url(settings), api_key=settings.api_key)
    job = client.submit(_body(_read(prompt), options))
    with _cancelling(client, job.id):
        if stream:
            _follow(client, job, as_json=as_json)
        with _spinner(job):
            job = client.wait(job.id)
    _print(job, as_json=as_json, is_printed=stream)
    ctx.exit(0 if job.is_success else 1)


def _read(prompt: str) -> str:
    """Bytes that are not UTF-8 travel as lone surrogates, and the API says what is wrong with them."""
    return sys.stdin.buffer.read().decode(errors="surrogateescape") if prompt == "-" else prompt


def _body(prompt: str, options: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if value is not None and value != ()}
    return {"prompt": prompt, **given}


def _follow(client: ApiClient, job: JobView, *, as_json: bool) -> None:
    is_hybrid = job.route is not None and job.route.task_type is TaskType.HYBRID
    printer = StreamPrinter(sys.stdout, is_hybrid=is_hybrid)
    for event in client.follow(job.id):
        if as_json:
            click.echo(event.model_dump_json())
        else:
            printer.show(event)


def _print(job: JobView, *, as_json: bool, is_printed: bool) -> None:
    if as_json:
        click.echo(job.to_json())
        return
    if job.answer is not None and not is_printed:
        click.echo(job.answer.response)
    click.echo(_remark(job), err=True)


def _remark(job: JobView) -> str:
    """What the reader should know beside the text."""
    words = [f"job {job.id} {job.status}"]
    if job.route is not None:
        words.append(f"{job.route.task_type} (confidence {job.route.confidence:.2f})")
    if job.answer is not None:
        tokens = sum(completion.completion_tokens for completion in job.answer.completions)
        words.append(f"{job.answer.model_used}, {tokens} tokens")
        words.extend(["DEGRADED: one model is missing"] if job.answer.degraded else [])
    if job.error is not None:
        words.append(f"{job.error.code}: {job.error.message}")
    return " · ".join(words)


@contextmanager
def _cancelling(client: ApiClient, job_id: str) -> Iterator[None]:
    """Ctrl-C cancels the job before it ends this program."""
    try:
        yield
    except KeyboardInterrupt:
        try:
            client.cancel(job_id)
            click.echo(f"\ncancelled job {job_id}", err=True)
        except MathcodeError as error:
            click.echo(f"\njob {job_id} could not be cancelled: {error}", err=True)
        sys.exit(INTERRUPTED)


@contextmanager
def _spinner(job: JobView) -> Iterator[None]:
    """Something that moves on standard error, where that is a terminal."""
    kind = f" ({job.route.task_type})" if job.route else ""
    if os.isatty(2):
        with Console(stderr=True).status(f"answering{kind} ..."):
            yield
    else:
        yield
