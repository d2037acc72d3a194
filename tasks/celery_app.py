"""The Celery application. Importing it reads no configuration; `celeryconfig` is read on first use."""

from __future__ import annotations

import os
from typing import Any

import click
from celery import Celery

from core.errors import ConfigurationError


class SettingsRefused(click.ClickException):
    """The command line `celery` prints it as one sentence instead of a traceback."""

    exit_code = os.EX_CONFIG


class Application(Celery):  # type: ignore[misc]
    def _load_config(self) -> Any:
        try:
            return super()._load_config()
        except ConfigurationError as error:
            context = click.get_current_context(silent=True)
            if context is None or "celery" not in (context.find_root().info_name or ""):
                raise  # `mathcode` and the API have ways of their own
            raise SettingsRefused(str(error)) from error


app = Application("mathcode", amqp="tasks.broker:Broker", config_source="celeryconfig")
