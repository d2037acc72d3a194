"""An API told to stop: who is connected is answered, nobody new is taken in, and the end comes soon."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator

import pytest
import requests

from tests.harness import Installation, eventually

BODY = json.dumps({"prompt": "Prove it", "max_tokens": 1}).encode()
REQUEST = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


def _refuses(installed: Installation) -> bool:
    try:
        socket.create_connection(("127.0.0.1", installed.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def _answer(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


@pytest.fixture
def stopping(fresh: Installation) -> Iterator[tuple[Installation, list[socket.socket]]]:
    """Told to stop just after twenty have connected and before any has sent a byte."""
    fresh.start("api")
    assert requests.get(f"{fresh.url}/healthz", timeout=5).ok
    made = [socket.create_connection(("127.0.0.1", fresh.port), timeout=20) for _ in range(20)]
    fresh.signal("api", signal.SIGTERM)
    yield fresh, made
    for connection in made:
        connection.close()


def test_who_was_connected_is_answered_and_told_that_this_was_the_last(
    stopping: tuple[Installation, list[socket.socket]],
) -> None:
    installed, connections = stopping
    eventually(lambda: _refuses(installed), within_s=5)
    for connection in connections:
        connection.sendall(REQUEST % (len(BODY), BODY))
    answers = [_answer(connection) for connection in connections]
    assert [answer.split(b" ", 2)[1] for answer in answers] == [b"202"] * len(connections)
    assert all(b"connection: close" in answer.lower() for answer in answers)
    assert installed.processes["api"].wait(10) == 0


def test_who_sends_nothing_holds_up_the_end_no_longer_than_the_grace(
    stopping: tuple[Installation, list[socket.socket]],
) -> None:
    installed, _ = stopping
    began = time.monotonic()
    assert installed.processes["api"].wait(20) == 0
    assert time.monotonic() - began < 12
