"""Raw bytes to a running API: what no HTTP client would send, and every answer to it."""

from __future__ import annotations

import json
import random
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from api.error_shapes import is_openai_door
from tests.harness import Installation

QUIET_S = 0.5


def check_shape(body: bytes, path: str | None = "/v1/jobs") -> None:
    """An error is one object of code, message and param, whatever went wrong; at OpenAI's doors also of type.

    None for a path that nobody can tell from the bytes that were sent.
    """
    error = json.loads(body)["error"]
    ours = {"code", "message", "param"}
    shapes = [ours | {"type"}] if path and is_openai_door(path) else [ours]
    assert set(error) in (shapes if path else [ours, ours | {"type"}]), error
    assert error["code"], error
    assert error["message"], error


def exchange(port: int, request: bytes, *, timeout_s: float = 10.0) -> list[tuple[int, bytes]]:
    """Status and body of every whole answer to raw bytes; none where the server just hangs up.

    A server that still waits for something after QUIET_S is told that nothing comes: it takes the client for gone.
    """
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=QUIET_S) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has answered already
            connection.sendall(request)
        try:
            _read(connection, received)
            is_cut = False
        except TimeoutError:
            connection.settimeout(timeout_s)
            with suppress(OSError):  # it has hung up
                connection.shutdown(socket.SHUT_WR)
            _read(connection, received)
            is_cut = True
    return list(_answers(bytes(received), is_cut=is_cut))


def _read(connection: socket.socket, received: bytearray) -> None:
    with suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            received += piece


def _answers(received: bytes, *, is_cut: bool) -> Iterator[tuple[int, bytes]]:
    """What looks like a second request in the bytes gets an answer of its own."""
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        start, *lines = head.split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        status = int(start.split(b" ")[1])
        if headers.get(b"transfer-encoding") == b"chunked":
            body, received = _joined(rest)
        elif status < 200:  # an answer follows
            body, received = b"", rest
        else:
            length = int(headers.get(b"content-length", len(rest)))
            if is_cut and len(rest) < length:
                return
            body, received = rest[:length], rest[length:]
            if received and not received.startswith(b"HTTP/"):  # of a HEAD: its length is that of a GET
                raise AssertionError(received[:200])
        yield status, body


def _joined(rest: bytes) -> tuple[bytes, bytes]:
    whole = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        whole, rest = whole + rest[:length], rest[length + 2 :]
        if length == 0:
            break
    return whole, rest


PATHS = (
    b"/v1/jobs", b"/v1/jobs/x", b"/v1/jobs/x/cancel", b"/v1/jobs/x/events", b"/v1/status", b"/docs/x", b"/",
    b"/v1/chat/completions", b"/v1/completions", b"/v1/files", b"/v1/files/x/content", b"/v1/batches",
    b"/v1/batches/x/cancel", b"/v1/models/x",
)  # fmt: skip
NASTY = (b"\x00", b"%00", b"\r\n", b"\n", b"\xff\xfe", b"../", b"%2e%2e%2f", b"%", b"%zz", b"{", b"}", b"[", b'"')
BODIES = (
    b'{"prompt": "Solve x = 1", "max_tokens": 1, "stop": ["a"], "deadline_s": 60, "seed": 7}',
    b'{"model": "mathcode", "messages": [{"role": "user", "content": "Do"}], "max_tokens": 1, "stream": true}',
    b'{"model": "codestral", "prompt": "def f(x):", "max_tokens": 1, "n": 2, "logprobs": 1}',
    b'{"input_file_id": "file-x", "endpoint": "/v1/completions", "completion_window": "24h", "metadata": {}}',
)
FORM = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n{}\r\n--b--\r\n'
HEADERS = (
    b"Content-Type: application/json", b"Content-Type: multipart/form-data; boundary=b", b"Last-Event-ID: 0-0",
    b"Accept: */*", b"Expect: 100-continue",
)  # fmt: skip


def mangled(dice: random.Random) -> bytes:
    """A request in which a few bytes, lines or lengths are wrong."""
    made = dice.choice([*BODIES, *BODIES, FORM]) if dice.random() < 0.8 else dice.randbytes(dice.randrange(200))
    body = bytearray(made)
    for _ in range(dice.randrange(4)):
        place = dice.randrange(len(body) + 1)
        body[place : place + dice.randrange(3)] = dice.choice([*NASTY, dice.randbytes(2), b"9" * 400, b"[" * 3000])
    path = dice.choice(PATHS)
    if dice.random() < 0.5:
        place = dice.randrange(len(path) + 1)
        path = path[:place] + dice.choice([*NASTY, b"?limit=", b"?after=", b"x" * 3000]) + path[place:]
    method = dice.choice((b"POST", b"GET", b"DELETE", b"PUT", b"HEAD", b"OPTIONS", b"get", b"\x01", b"P" * 300))
    length = len(body) if dice.random() < 0.8 else dice.choice((0, -1, 10**30, len(body) + 5, b"x", b"1, 2"))
    lines = [method + b" " + path + b" HTTP/" + dice.choice((b"1.1", b"1.1", b"1.0", b"9.9", b"")), b"Host: x"]
    lines += [b"Content-Length: " + (length if isinstance(length, bytes) else str(length).encode())]
    lines += [dice.choice(HEADERS) + dice.choice((b"", b"", dice.choice(NASTY))) for _ in range(dice.randrange(3))]
    return b"\r\n".join([*lines, b"Connection: close", b"", bytes(body)])


def send_mangled(running: Installation, *, number: int, seed_: int) -> Counter[int]:
    """How often each status came back; AssertionError for a 5xx or an error of another shape."""
    dice = random.Random(seed_)  # noqa: S311 -- repeatable, and guards nothing
    statuses = Counter[int]()
    for _ in range(number):
        request = mangled(dice)
        answers = exchange(running.port, request)
        statuses.update([status for status, _ in answers] or [0])
        try:
            for status, body in answers:
                assert status < 500
                if status >= 400 and body:
                    check_shape(body, None)
        except (AssertionError, ValueError, KeyError, TypeError) as error:
            raise AssertionError((request, answers)) from error
    return statuses
