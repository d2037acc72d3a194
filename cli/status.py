"""`mathcode status`: what runs, since when, how large, and what the API says of the rest."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click
import psutil
from rich.console import Console
from rich.table import Table

from cli.engine_lines import engine_lines
from core.settings import load_settings
from stack.layout import Layout
from stack.lock import running_stack
from stack.readiness import ask_health, ask_status
from stack.state import ProcessPhase, ProcessState, StackState, created, read_state


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One line of the table. `rss_bytes` includes the process's own children."""

    name: str
    state: str
    pid: int | None
    restarts: int
    since_s: float
    rss_bytes: int | None
    reason: str | None


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Show the running stack. Exit status 1 where none runs."""
    layout = Layout(load_settings().data_dir)
    state = read_state(layout) if running_stack(layout) else None
    if state is None:
        click.echo(json.dumps({"running": False}) if as_json else f"no stack runs on {layout.data_dir}")
        ctx.exit(1)
    rows = [_row(process) for process in state.processes]
    service = ask_status(state.api_url, api_key=load_settings().api_key)
    unwell = unwell_parts(rows, ask_health(state.api_url))
    if as_json:
        click.echo(json.dumps({**_document(state, rows, service), "unhealthy": unwell}))
    else:
        _show_health(unwell)
        _show(state, rows, service)


def unwell_parts(rows: Sequence[ProcessRow], told: Sequence[str] | None) -> list[str]:
    """What does not run, or is not well by what the API says (None: it does not answer)."""
    still = [row.name for row in rows if row.state != ProcessPhase.RUNNING]
    return list(dict.fromkeys([*still, *(told if told is not None else ["api"])]))


def _show_health(unwell: Sequence[str]) -> None:
    console = Console(highlight=False)
    if unwell:
        console.print(f"UNHEALTHY: {', '.join(unwell)}", style="bold red", soft_wrap=True)
    else:
        console.print("healthy: every part is well", style="green")


def _row(process: ProcessState) -> ProcessRow:
    return ProcessRow(
        name=process.name,
        state=process.phase.value,
        pid=process.pid,
        restarts=process.restarts,
        since_s=round(time.time() - process.since, 1),
        rss_bytes=_resident(process),
        reason=process.reason,
    )


def _resident(process: ProcessState) -> int | None:
    if process.pid is None or created(process.pid) != process.created:
        return None
    try:
        parent = psutil.Process(process.pid)
        return sum(member.memory_info().rss for member in (parent, *parent.children(recursive=True)))
    except psutil.Error:
        return None


def _document(state: StackState, rows: list[ProcessRow], service: Any) -> dict[str, Any]:
    return {
        "running": True,
        "ready": state.ready is not None,
        **state.model_dump(mode="json", include={"pid", "profile", "api_url", "flower_url", "data_dir"}),
        "uptime_s": round(time.time() - state.started, 1),
        "service": service,
        "processes": [asdict(row) for row in rows],
    }


def _show(state: StackState, rows: list[ProcessRow], service: Any) -> None:
    console = Console(highlight=False)
    table = Table("process", "state", "pid", "restarts", "for", "memory", "", title_justify="left")
    for row in rows:
        memory = f"{row.rss_bytes / 2**20:.0f} MiB" if row.rss_bytes else "-"
        cells = (row.name, row.state, str(row.pid or "-"), str(row.restarts), _duration(row.since_s), memory)
        table.add_row(*cells, row.reason or "")
    console.print(table)
    answer = service or {"database": "unknown", "broker": "unknown", "workers": {}}
    workers = ", ".join(f"{queue} {count}" for queue, count in answer.get("workers", {}).items()) or "none"
    console.print(
        f"API {state.api_url} ({'answers' if service else 'does not answer'})   Flower {state.flower_url}"
    )
    console.print(f"database {answer['database']}   broker {answer['broker']}   workers: {workers}")
    for alarm in answer.get("alarms", ()):
        console.print(f"ALARM {alarm}", style="bold red", soft_wrap=True)
    for line in engine_lines(answer):
        console.print(line, soft_wrap=True)
    console.print(f"profile {state.profile}   data {state.data_dir}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
