"""Random requests against a running API: `python -m tests.fuzzing --requests 10000` (`make fuzz`).

Up to half are made by schemathesis from /openapi.json, valid and not, and held to it; the others are bytes that no
HTTP client would send. No answer may be a 5xx, and every error has the one shape.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import tempfile
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    ensure_resource_availability,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    use_after_free,
)

from api.error_shapes import is_openai_door
from core.dialects.openai_models import FAMILIES
from stack.servers import EmbeddedServers, scratch_data_dir
from tests.harness import Installation, create_schema, installation

CHECKS = [
    content_type_conformance,
    ensure_resource_availability,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    use_after_free,
]
SUITE_SEED = 20_261_125
QUIET_S = 0.5
CONFLICTING = {
    "stream_options", "force_task_type", "best_of", "top_logprobs", "max_completion_tokens", "deadline_s", "stop",
}  # fmt: skip
ANSWERABLE: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "mathcode", "messages": [{"role": "user", "content": "Prove it"}], "max_tokens": 2,
    },
    "/v1/completions": {"model": "codestral", "prompt": ["def f(x):"], "max_tokens": 2},
}  # fmt: skip
LINE = (
    b'{"custom_id": "a", "method": "POST", "url": "/v1/completions",'
    b' "body": {"model": "codestral", "prompt": "x", "max_tokens": 1}}\n'
)
KINDS = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


def operations(running: Installation) -> list[Any]:
    """Those of the served document, deleting last; every second id exists until then."""
    document = running.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    known, numbers = _known(running), count()

    @schema.hook("map_path_parameters")
    def with_real_ids(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        for name in sorted(known.keys() & (path_parameters or {}).keys()):
            if (number := next(numbers)) % 2:
                return {**(path_parameters or {}), name: known[name][number // 2 % len(known[name])]}
        return path_parameters

    found = [result.ok() for result in schema.get_all_operations()]
    return sorted(found, key=lambda operation: operation.method == "delete")


def _known(running: Installation) -> dict[str, list[str]]:
    """What exists, by the name of the path's parameter."""
    files, batches = [], []
    for content in (LINE, b"{", LINE + b"{"):
        files += [_upload(running, content)]
        asked = {"input_file_id": files[-1], "endpoint": "/v1/completions", "completion_window": "24h"}
        batches += [running.post("/v1/batches", asked).json()["id"]]
    return {
        "job_id": [running.submit("Solve x = 1", max_tokens=1) for _ in range(4)],
        "file_id": [*files, _upload(running, b"0")],
        "batch_id": batches,
        "name": list(FAMILIES),
    }


def _upload(running: Installation, content: bytes) -> str:
    response = requests.post(
        f"{running.url}/v1/files", files={"file": ("a.jsonl", content)}, data={"purpose": "batch"}, timeout=10
    )
    return str(response.json()["id"])


def hold_to_the_document(
    running: Installation, operation: Any, *, kind: GenerationMode, examples: int
) -> Counter[int]:
    """Send so many requests of one operation and check the answers; how often each status came back."""
    statuses = Counter[int]()

    @seed(SUITE_SEED)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=kind))
    def send(case: Any) -> None:
        if kind is GenerationMode.POSITIVE and isinstance(case.body, dict) and statuses.total() % 2:
            case.body = {**_without_conflicts(case.body), **ANSWERABLE.get(operation.path, {})}
        checks = [check for check in CHECKS if check is not negative_data_rejection or not _is_form(case)]
        response = case.call_and_validate(base_url=running.url, checks=checks, timeout=30)
        statuses[response.status_code] += 1
        if response.status_code >= 400:
            check_shape(response.content, operation.path)

    try:
        send()
    except Unsatisfiable:
        assert kind is GenerationMode.NEGATIVE  # nothing in it can be wrong
    return statuses


def _is_form(case: Any) -> bool:
    """On the wire all fields of a form are bytes, so that a wrong type may be a right value."""
    return case.media_type == "multipart/form-data"


def _without_conflicts(body: dict[str, Any]) -> dict[str, Any]:
    """Parameters that each are in order may not go together, which no schema says."""
    return {name: value for name, value in body.items() if name not in CONFLICTING}


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
        elif status == 100:
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


def _everything(running: Installation, total: int) -> None:
    made = operations(running)
    sent = 0
    for operation in made:
        statuses = Counter[int]()
        for kind in KINDS:
            statuses += hold_to_the_document(running, operation, kind=kind, examples=total // 2 // len(made))
        sent += statuses.total()
        print(f"{operation.label}: {dict(sorted(statuses.items()))}", flush=True)
    statuses = send_mangled(running, number=max(0, total - sent), seed_=SUITE_SEED)
    assert requests.get(f"{running.url}/healthz", timeout=5).ok
    print(f"{sent} from the document, {statuses.total()} mangled: {dict(sorted(statuses.items()))}")


def main() -> int:
    parser = ArgumentParser()
    parser.add_argument("--requests", type=int, default=10_000)
    total = parser.parse_args().requests
    with (
        scratch_data_dir() as directory,
        EmbeddedServers(directory) as servers,
        tempfile.TemporaryDirectory() as logs,
    ):
        url = create_schema(servers.urls.database_url, "fuzzing")
        arguments = {"database_url": url, "redis_url": servers.urls.redis_url, "data_dir": Path(logs)}
        with installation(**arguments) as running:
            running.start("api", "mathstral", "codestral", "light", "beat")
            _everything(running, total)
    return 0


if __name__ == "__main__":
    sys.exit(main())
