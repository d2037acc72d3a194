"""`mathcode doctor`: looks this machine over and says what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

import click
from rich.console import Console

from core.errors import ConfigurationError
from core.settings import load_settings
from stack.checkup.finding import Finding, Mark, failed
from stack.checkup.machine import check_machine
from stack.checkup.models import check_models
from stack.checkup.servers import check_servers

_STYLES = {Mark.OK: "green", Mark.WARNING: "yellow", Mark.FAILED: "bold red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check this machine for what the settings ask of it. Exit status 1 where something must be mended."""
    findings: list[Finding] = []
    for finding in _look():
        findings.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        click.echo(json.dumps({"findings": [asdict(finding) for finding in findings]}))
    ctx.exit(int(any(finding.mark is Mark.FAILED for finding in findings)))


def _look() -> Iterator[Finding]:
    try:
        settings = load_settings()
    except ConfigurationError as error:
        yield failed("settings", error.message, "docs/configuration.md lists every variable with its bounds")
        return
    yield from check_machine(settings)
    yield from check_servers(settings)
    yield from check_models(settings)


def _show(finding: Finding) -> None:
    console = Console(highlight=False)
    console.print(f"[{_STYLES[finding.mark]}]{finding.mark:8}[/] {finding.subject:12} ", end="", soft_wrap=True)
    console.print(finding.words, markup=False, soft_wrap=True)
    if finding.remedy:
        console.print(f"{'':21} -> {finding.remedy}", markup=False, soft_wrap=True)
