"""Bytes that no well-behaved client sends: never a 5xx, never a broken shape, and the API goes on serving."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.fuzzing import SUITE_SEED
from tests.harness import Installation
from tests.raw_http import check_shape, exchange, send_mangled

UNKNOWN = b"01890000-0000-7000-8000-000000000000"


@pytest.fixture(autouse=True)
def _goes_on_serving(running: Installation) -> Iterator[None]:
    yield
    assert running.get("/healthz").status_code == 200


def answer(running: Installation, head: bytes, body: bytes = b"") -> tuple[int, bytes]:
    """The one answer to `head` (without the empty line) and `body`."""
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    request = head + b"\r\nHost: x\r\n" + length + b"Connection: close\r\n\r\n" + body
    answers = exchange(running.port, request)
    assert len(answers) == 1, answers
    return answers[0]


def refused(running: Installation, head: bytes, body: bytes = b"") -> tuple[int, str]:
    """Status and code of the refusal, whose shape is checked."""
    status, content = answer(running, head, body)
    assert 400 <= status < 500, (status, content)
    check_shape(content, head.split(b" ")[1].decode("latin-1").partition("?")[0])
    return status, json.loads(content)["error"]["code"]


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/jobs/../x",
        b"/v1/jobs/..%2f..%2fetc%2fpasswd",
        b"/v1/jobs/%00",
        b"/v1/jobs/" + UNKNOWN + b"%00",
        b"/v1/jobs/" + UNKNOWN + b"/../cancel",
        b"/v1/jobs/" + UNKNOWN + b"%0d%0aX-Injected:%201",
        b"/v1/jobs//",
        b"//v1/jobs/x",
        b"/v1/jobs/%ff%fe",
        b"/v1/jobs/%zz",
        b"/v1/jobs/" + "数".encode(),
        b"/v1/jobs/;x=1",
        b"/v1/jobs/" + b"x" * 8000,
        b"/v1/jobs?after=%00",
        b"/v1/jobs?after=%ff",
        b"/v1/jobs?limit=" + b"9" * 5000,
        b"/v1/jobs?limit=1&limit=x&status[]=queued",
        b"/v1/training/runs/-1",
        b"/v1/training/runs/" + b"9" * 400,
        b"/v1/files/../x",
        b"/v1/files/file-%00/content",
        b"/v1/files?after=%00",
        b"/v1/files?limit=" + b"9" * 5000,
        b"/v1/files?purpose=%00",
        b"/v1/batches/batch_%0d%0aX:1",
        b"/v1/batches?after=" + b"x" * 5000,
        b"/v1/models/%00",
        b"/v1/models/mathstral@" + b"x" * 5000,
        b"/v1/models/../../etc/passwd",
        b"/docs/../openapi.json%00",
        b"/docs/%2e%2e/%2e%2e/setup.cfg",
    ],
)
def test_tricks_with_paths_find_nothing(running: Installation, path: bytes) -> None:
    status, _ = refused(running, b"GET " + path + b" HTTP/1.1")
    assert status in {400, 404}


@pytest.mark.parametrize("path", [b"/v1/jobs/a b", b"/v1/jobs/\x00", b"/v1/jobs/\xff", b""])
def test_broken_request_lines_are_refused(running: Installation, path: bytes) -> None:
    assert refused(running, b"GET " + path + b" HTTP/1.1")[0] in {400, 404}


@pytest.mark.parametrize("method", [b"PUT", b"PATCH", b"TRACE", b"CONNECT", b"BREW"])
def test_methods_that_no_route_has_are_refused(running: Installation, method: bytes) -> None:
    assert refused(running, method + b" /v1/jobs HTTP/1.1") == (405, "method_not_allowed")


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        (b"X-Long: " + b"a" * 300_000, {431}),
        (b"\r\n".join(b"X-%d: a" % number for number in range(30_000)), {431}),
        (b"Content-Length: 1\r\nContent-Length: 2", {400}),
        (b"Content-Length: -1", {400}),
        (b"Content-Length: " + b"9" * 30, {413, 400}),
        (b"Content-Length: 0x10", {400}),
        (b"Transfer-Encoding: gzip, chunked", {501, 400}),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3", {400}),
        (b"X Bad: 1", {400}),
        (b": 1", {400}),
        (b" folded: 1", {400, 404}),
        (b"X-Nul: \x00", {400, 404}),
        (b"X-Bare: a\rb", {400, 404}),
    ],
)
def test_hostile_headers_are_refused_in_one_shape(
    running: Installation, headers: bytes, statuses: set[int]
) -> None:
    request = b"GET /v1/jobs/x HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\nConnection: close\r\n\r\n"
    for status, body in exchange(running.port, request)[:1]:
        assert status in statuses, (status, body)
        check_shape(body)


def test_nothing_of_a_request_becomes_a_header_of_the_answer(running: Installation) -> None:
    for path in (b"/v1/jobs/%0d%0aX-Injected:%201", b"/docs/%0d%0aX-Injected:%201"):
        response = running.get(path.decode())
        assert "X-Injected" not in response.headers
    job_id = running.submit("Solve x = 1", max_tokens=1)
    path = f"/v1/jobs/{job_id}/events".encode()
    for value in (b"0-0\r\n X: 1", b"0-0\x0b", b"-", b"9" * 60, b"0-0,0-0", "١-١".encode()):
        status, body = answer(running, b"GET " + path + b" HTTP/1.1\r\nLast-Event-ID: " + value)
        assert status == 400
        check_shape(body)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe\x00",
        b'{"prompt": "\xc3\x28"}',
        b'{"prompt": "\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"prompt":' * 100_000,
        b'{"prompt": "x", "seed": ' + b"9" * 100_000 + b"}",
        b'{"prompt": "x", "temperature": 1e' + b"9" * 1000 + b"}",
        b'{"prompt": "x", "deadline_s": 1e308}',
        b'{"prompt": "x", "deadline_s": -1e-400}',
        b'{"prompt": "x", "max_tokens": 1e400}',
        b'{"prompt": "x", "stop": [' + b'"a",' * 50_000 + b'"a"]}',
        b'{"prompt": "x", "' + b"k" * 500_000 + b'": 1}',
        b'{"prompt": "x", "__proto__": {}, "__class__": 1}',
        b'{"prompt": "x"} {"prompt": "y"}',
        b"prompt=x",
        b"--b\r\nContent-Disposition: form-data; name=prompt\r\n\r\nx\r\n--b--\r\n",
    ],
)
@pytest.mark.parametrize("content_type", [b"application/json", b"multipart/form-data; boundary=b", b"\xff"])
def test_hostile_bodies_are_refused_whatever_they_say_they_are(
    running: Installation, body: bytes, content_type: bytes
) -> None:
    head = b"POST /v1/jobs HTTP/1.1\r\nContent-Type: " + content_type
    assert refused(running, head, body)[0] == 400


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (b"/v1/chat/completions", b'"model": "mathstral", "messages"'),
        (b"/v1/completions", b'"model": "codestral", "prompt"'),
        (b"/v1/batches", b'"endpoint": "/v1/completions", "completion_window": "24h", "input_file_id"'),
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'["\\ud800"]',
        b'["\\u0000"]',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 100_000,
        b"1e" + b"9" * 1000,
        b'[{"role": "user", "content": "\\u0000"}]',
        b'[{"role": "user", "content": ' + b"[" * 90_000 + b"]" * 90_000 + b"}]",
        b'{"__proto__": {}}',
        b"NaN",
        b'"x"} {',
    ],
)
def test_hostile_bodies_are_refused_at_openais_doors(
    running: Installation, path: bytes, field: bytes, value: bytes
) -> None:
    head = b"POST " + path + b" HTTP/1.1\r\nContent-Type: application/json"
    assert refused(running, head, b"{" + field + b": " + value + b"}")[0] == 400


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"--b--\r\n",
        b"--b\r\n\r\n",
        b"--b\r\nContent-Disposition: form-data; name=file; filename=x\r\n\r\n{}",
        b"--b\r\nContent-Disposition: form-data; name=file; filename=\x00\r\n\r\n{}\r\n--b--\r\n",
        b"--b\r\nContent-Disposition: form-data; name=file; filename=" + b"x" * 9000 + b"\r\n\r\n{}\r\n--b--\r\n",
        b"--b\r\nContent-Disposition: form-data; name=purpose\r\n\r\n\xff\r\n--b--\r\n",
        b"--b\r\nX: " + b"a" * 400_000 + b"\r\n\r\n",
        b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" * 500 + b"--b--\r\n",
    ],
)
def test_hostile_forms_are_refused(running: Installation, part: bytes) -> None:
    head = b"POST /v1/files HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b"
    assert refused(running, head, part)[0] in {400, 413}


FORMS = (b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=b", b"")


@pytest.mark.parametrize("content_type", FORMS)
def test_a_page_of_another_site_cannot_submit(running: Installation, content_type: bytes) -> None:
    """A browser sends a form, or a body without a type, to any address of its machine; and `Origin` with it."""
    body = b'{"prompt": "Solve x = 1", "max_tokens": 1}'
    head = b"POST /v1/jobs HTTP/1.1\r\nContent-Type: " + content_type + b"\r\nOrigin: "
    for origin in (b"http://elsewhere.example", b"null", b"http://[", b""):
        assert refused(running, head + origin, body) == (415, "unsupported_media_type")
    assert answer(running, head + b"http://x", body)[0] == 202  # a page of this site
    assert answer(running, head.removesuffix(b"\r\nOrigin: "), body)[0] == 202  # no browser


def test_chunked_and_broken_chunks(running: Installation) -> None:
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    whole = b'f\r\n{"prompt": "x",\r\n12\r\n "max_tokens": 1 }\r\n0\r\n\r\n'
    ((status, _),) = exchange(running.port, head + whole)
    assert status == 202
    for broken in (b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n\r\n", b"f" * 2000 + b"\r\n"):
        for status, body in exchange(running.port, head + broken)[:1]:
            assert status == 400
            check_shape(body)


def test_fifty_connections_that_say_nothing_hold_nobody_up(running: Installation) -> None:
    with ExitStack() as idle:
        for _ in range(50):
            connection = idle.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=5))
            connection.sendall(b"GET /v1/jobs HTTP/1.1\r\nX-Slow: ")
        assert running.post("/v1/jobs", {"prompt": "Prove it", "max_tokens": 1}).status_code == 202


def test_mangled_requests_are_answered_in_one_shape(running: Installation) -> None:
    assert send_mangled(running, number=300, seed_=SUITE_SEED + 1)[400] > 50
