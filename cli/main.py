"""The entry point: every command under one name, every expected error as one line and an exit status."""

from __future__ import annotations

import os
from typing import Any

import click

from cli.ask import ask
from cli.batch import batch
from cli.corpus import corpus
from cli.demo import demo
from cli.doctor import doctor
from cli.down import down
from cli.engine import engine
from cli.ingest import ingest
from cli.keys import keys
from cli.plan import plan
from cli.route import route
from cli.router import router
from cli.status import status
from cli.train import train
from cli.up import up
from cli.versions import promote, rollback, versions
from cli.webhooks import webhooks
from core.errors import ConfigurationError, InvalidRequest, MathcodeError, Unavailable

_EXIT_STATUS: tuple[tuple[type[MathcodeError], int], ...] = (
    (InvalidRequest, 2),
    (Unavailable, os.EX_TEMPFAIL),
    (ConfigurationError, os.EX_CONFIG),
)


class MathcodeGroup(click.Group):
    """Translates the error tree; anything else is a bug and keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MathcodeError as error:
            click.echo(f"mathcode: {error}", err=True)
            ctx.exit(next((status for family, status in _EXIT_STATUS if isinstance(error, family)), 1))


@click.group(cls=MathcodeGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mathcode")
def main() -> None:
    """A self-hosted coding and mathematics assistant.

    Settings come from the environment: see docs/configuration.md. Exit status: 0 success, 1 a job did not succeed,
    2 a bad request, 75 something does not answer, 78 the installation must be changed.
    """


for command in (
    up,
    down,
    status,
    doctor,
    ask,
    batch,
    plan,
    route,
    router,
    demo,
    engine,
    keys,
    ingest,
    corpus,
    train,
    versions,
    promote,
    rollback,
    webhooks,
):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="mathcode")
