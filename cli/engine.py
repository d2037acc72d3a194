"""`mathcode engine`: operate the engines that run, by the workers' own control commands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from core.errors import Unavailable
from core.messages import ModelName
from core.settings import child_environment, load_settings

REPLY_S = 2.0
EX_NO_REPLY = 69  # Celery's, where no worker answers
TIMEOUT_S = 60.0

_MODEL = click.Choice([model.value for model in ModelName])
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the workers' replies as one JSON object.")

Reply = Mapping[str, Any]


@click.group()
def engine() -> None:
    """Operate running engines. Each command returns at once with what was begun (all speak --json)."""


@engine.command()
@click.argument("model", type=_MODEL)
@_JSON
def sleep(model: str, as_json: bool) -> None:
    """Give the accelerator's memory of MODEL back; its requests wait until it wakes."""
    _show(_control("sleep_engine", model), as_json=as_json)


@engine.command()
@click.argument("model", type=_MODEL)
@_JSON
def wake(model: str, as_json: bool) -> None:
    """Take the memory of MODEL again and serve what waits."""
    _show(_control("wake_engine", model), as_json=as_json)


@engine.command()
@click.argument("model", type=_MODEL)
@click.argument("version", required=False)
@click.argument("directory", required=False, type=click.Path(path_type=Path, resolve_path=True))
@click.option("--base", "is_base", is_flag=True, help="Serve the base model, without an adapter.")
@_JSON
def adapter(*, model: str, version: str | None, directory: Path | None, is_base: bool, as_json: bool) -> None:
    """Serve the LoRA adapter in DIRECTORY as VERSION of MODEL, or its base model, until told to `follow`."""
    if is_base != (version is None) or (version is None) != (directory is None):
        raise click.UsageError("give VERSION and DIRECTORY, or --base")
    words = () if version is None else (version, str(directory))
    _show(_control("swap_adapter", model, *words), as_json=as_json)


@engine.command()
@click.argument("model", type=_MODEL)
@_JSON
def follow(model: str, as_json: bool) -> None:
    """Have MODEL serve the promoted version again, after `adapter`."""
    _show(_control("follow_versions", model), as_json=as_json)


def _control(command: str, model: str, *words: str) -> dict[str, Reply]:
    """What the workers of `model` replied, by their names. Raises Unavailable where there are none."""
    load_settings().require_redis_url()
    celery = [sys.executable, "-m", "celery", "-A", "worker.bootstrap", "control", "--json"]
    finished = subprocess.run(
        [*celery, "--timeout", str(REPLY_S), command, model, *words],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    if finished.returncode not in (0, EX_NO_REPLY):
        raise Unavailable(f"the workers cannot be asked: {_last_line(finished.stderr)}")
    nodes = json.loads(finished.stdout) if finished.returncode == 0 else []
    replies = {name: reply for node in nodes for name, reply in node.items() if _is_meant(reply)}
    if not replies:
        raise Unavailable(f"no worker of {model} answers: `mathcode status` shows what runs")
    return replies


def _is_meant(reply: Reply) -> bool:
    """Whether this worker serves the model; those of others answer too."""
    return "error" in reply or reply["ok"]["begun"] is not None


def _show(replies: dict[str, Reply], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(replies))
    for name, reply in replies.items():
        if "ok" in reply and not as_json:
            click.echo(f"{name}: {reply['ok']['begun']} has begun; `mathcode status` and its log show the rest")
    refused = [f"{name}: {reply['error']}" for name, reply in replies.items() if "error" in reply]
    if refused:
        raise Unavailable("; ".join(refused))


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason was given"])[-1]
