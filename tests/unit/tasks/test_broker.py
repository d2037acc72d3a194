"""Reconnecting to Redis: at a steady pace, however kombu asks for it."""

from __future__ import annotations

import socket

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from tasks.broker import RECONNECT_S, Broker, Connection


class Enough(Exception):
    pass


def refusing_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"redis://127.0.0.1:{probe.getsockname()[1]}/0"


def test_the_pauses_do_not_grow() -> None:
    pauses: list[float] = []

    def note(_: Exception, pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 3:
            raise Enough

    with pytest.raises(Enough):
        Connection(refusing_url()).ensure_connection(note)
    assert pauses == [RECONNECT_S] * 3


def test_the_pauses_that_a_publisher_asks_for_by_position_are_kept_where_they_are_shorter() -> None:
    with pytest.raises(OperationalError):
        Connection(refusing_url())._ensure_connection(None, 2, 0.0, 0.01, 0.01)


def test_publishing_tries_again_by_its_own_policy_and_then_says_so() -> None:
    app = Celery("probe", amqp=Broker, broker=refusing_url(), set_as_current=False)
    policy = {"max_retries": 1, "interval_start": 0.0, "interval_step": 0.01, "interval_max": 0.01}
    with pytest.raises(OperationalError):
        app.send_task("any", retry=True, retry_policy=policy, ignore_result=True)
