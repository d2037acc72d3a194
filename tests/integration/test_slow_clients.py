"""Clients that send or take one byte now and then: they are given up and hold nobody else up."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from threading import Event, Thread
from typing import Any

import psutil
import pytest
import requests

from core.events import Done, EventLog, Piece
from core.messages import JobState, ModelName
from stack.servers import ServerUrls
from tests.harness import Installation, eventually, installation

TIMEOUT_S = 1.5


@pytest.fixture(scope="module")
def strict(new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An API alone, with two seats and little patience."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("strict")
    settings = {
        "MATHCODE_API_THREADS": "2",
        "MATHCODE_STREAMS": "2",
        "MATHCODE_CLIENT_TIMEOUT_S": str(TIMEOUT_S),
    }
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory, settings=settings
    ) as made:
        made.start("api")
        yield made


@pytest.fixture
def log(strict: Installation) -> Iterator[EventLog]:
    with closing(EventLog.connect(strict.redis_url)) as opened:
        yield opened


def connect(installed: Installation, *, buffer_bytes: int | None = None) -> socket.socket:
    connection = socket.socket()
    if buffer_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", installed.port))
    return connection


def drip(connection: socket.socket, byte: bytes = b"x") -> None:
    """A byte now and then, until the connection is closed."""
    try:
        while not Event().wait(0.2):
            connection.sendall(byte)
    except OSError:
        pass


def sip(connection: socket.socket) -> None:
    """Take just enough to be served on, until the connection is closed."""
    with suppress(OSError):
        while connection.recv(1000):
            Event().wait(0.2)


def answer_to_a_drip(connection: socket.socket) -> bytes:
    Thread(target=drip, args=(connection,), daemon=True).start()
    try:
        return connection.makefile("rb").read()
    except ConnectionResetError:
        return b""


def test_who_takes_large_files_slowly_holds_nobody_else_up(strict: Installation) -> None:
    """Such a download holds a thread, so it takes a seat, of which there are two."""
    form: dict[str, Any] = {"files": {"file": ("in.jsonl", b"x" * (8 << 20))}, "data": {"purpose": "batch"}}
    path = f"/v1/files/{requests.post(f'{strict.url}/v1/files', timeout=30, **form).json()['id']}/content"
    with ExitStack() as opened:
        for _ in range(2):
            slow = opened.enter_context(closing(connect(strict, buffer_bytes=4096)))
            slow.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert slow.recv(1) == b"H"
            Thread(target=sip, args=(slow,), daemon=True).start()
        refused = strict.get(path)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "too_many_streams")
        assert 1 <= int(refused.headers["Retry-After"]) <= 120
        assert [strict.get("/v1/jobs").status_code for _ in range(8)] == [200] * 8
    assert eventually(lambda: (found := strict.get(path)).status_code == 200 and found.content) == b"x" * (8 << 20)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
        b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5000\r\n{",
    ],
    ids=["line", "headers", "body", "chunks"],
)
def test_a_request_that_drips_in_is_cut_off(strict: Installation, head: bytes) -> None:
    with closing(connect(strict)) as connection:
        connection.sendall(head)
        answer = answer_to_a_drip(connection)
    assert answer.startswith(b"HTTP/1.") and b" 408 " in answer.split(b"\r\n")[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_timeout"


def test_a_connection_that_asks_nothing_is_closed(strict: Installation) -> None:
    with closing(connect(strict)) as connection:
        assert connection.recv(1) == b""


def test_a_slow_but_steady_body_is_served(strict: Installation) -> None:
    body = json.dumps({"prompt": "Prove it " + "x" * 6000}).encode()
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    with closing(connect(strict)) as connection:
        connection.sendall(head.encode())
        for start in range(0, len(body), 500):
            connection.sendall(body[start : start + 500])
            Event().wait(0.25)
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 202")


def test_dripping_connections_beyond_the_limit_keep_nobody_out(strict: Installation) -> None:
    with ExitStack() as opened:
        for _ in range(700):
            connection = opened.enter_context(closing(connect(strict)))
            connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        assert strict.get("/healthz").status_code == 200


def fill(log: EventLog, job_id: str, *, mebibytes: int) -> None:
    text = "x" * 16_384
    for _ in range(mebibytes * 64):
        log.append(job_id, Piece(model=ModelName.MATHSTRAL, attempt=1, text=text))


def test_a_client_that_takes_a_byte_a_second_is_given_up(strict: Installation, log: EventLog) -> None:
    slow_job, other_job = strict.submit("Prove it"), strict.submit("Prove it")
    api = psutil.Process(strict.processes["api"].pid)
    with closing(connect(strict, buffer_bytes=4096)) as slow:
        slow.sendall(f"GET /v1/jobs/{slow_job}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert slow.recv(1) == b"H"
        before = api.memory_info().rss
        fill(log, slow_job, mebibytes=16)
        with strict.get(f"/v1/jobs/{other_job}/events", stream=True) as other:
            log.append(other_job, Piece(model=ModelName.MATHSTRAL, attempt=1, text="prompt"))
            lines = other.iter_lines(decode_unicode=True)
            assert eventually(lambda: "prompt" in next(lines), within_s=5)
            log.append(other_job, Done(status=JobState.SUCCEEDED))
        assert api.memory_info().rss - before < 12 << 20
        eventually(_one_byte_a_second(slow), within_s=30, every_s=1)
    assert strict.events(other_job)


def _one_byte_a_second(connection: socket.socket) -> Callable[[], bool]:
    """Whether the connection was closed on us; what the kernel holds is thrown away with it."""

    def is_closed() -> bool:
        try:
            return connection.recv(1) == b"" or _state(connection) != 1
        except ConnectionResetError:
            return True

    return is_closed


def _state(connection: socket.socket) -> int:
    """1 while it is established (TCP_INFO of Linux)."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


@pytest.mark.parametrize(
    "header",
    [
        b"Last-Event-ID: 1-2\rX: y",
        b"Last-Event-ID: 1-2\nX-Injected: y\r\n z",
        b"Last-Event-ID: 1-2\r\n 3-4",
        b"Last-Event-ID: \xd9\xa1-\xd9\xa2",
        b"Last-Event-ID: " + b"9" * 10_000 + b"-0",
        b"Last-Event-ID: 1-2\0",
        b"Last-Event-ID: -1--1",
    ],
)
def test_a_header_that_smuggles_is_refused(strict: Installation, header: bytes) -> None:
    job_id = strict.submit("Prove it")
    request = f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
    with closing(connect(strict)) as connection:
        connection.sendall(request + header + b"\r\n\r\n")
        answer = connection.makefile("rb").read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"400"
    assert b"X-Injected" not in head
    assert json.loads(body)["error"]["message"]
