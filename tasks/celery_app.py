"""The Celery application. Importing it reads no configuration; `celeryconfig` is read on first use."""

from __future__ import annotations

from celery import Celery

app = Celery("mathcode", amqp="tasks.broker:Broker", config_source="celeryconfig")
