"""Laws of one try: to the checked address, under the right name, no redirect, bounded in time and size."""

from __future__ import annotations

import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from socket import create_server, socket
from threading import Thread
from typing import Any

import pytest

from core.webhook_urls import Target, parse_networks, parse_target
from tests.receivers import receiver
from worker import webhook_request
from worker.webhook_request import Forbidden, Undelivered, post, resolve

LOOPBACK = parse_networks(["127.0.0.0/8", "::1/128"])


def send(target: Target) -> int:
    return post(target, body=b"{}", headers={"webhook-id": "a"}, allowed=LOOPBACK)


@contextmanager
def speaking(*pieces: bytes, pause_s: float = 0.0, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that says these bytes to the first that connects, whatever it asks; its port."""
    with closing(create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            connected: socket = listening.accept()[0]
            try:
                connected = tls.wrap_socket(connected, server_side=True) if tls else connected
                connected.recv(65_536)
                for piece in pieces:
                    connected.sendall(piece)
                    time.sleep(pause_s)
            except OSError:
                pass
            finally:
                connected.close()

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(5)


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "017700000001", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_no_spelling_of_an_inner_address_is_reached(host: str) -> None:
    with pytest.raises((Forbidden, Undelivered)):
        post(parse_target(f"https://{host}:1/"), body=b"", headers={}, allowed=())
    if "[" not in host:
        with pytest.raises(Forbidden):
            resolve(parse_target(f"https://{host}:1/"), ())


def answering(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Have the name server give one answer after the other for `moody.example`; the list of its questions."""
    real, asked = webhook_request.socket.getaddrinfo, list[str]()

    def look_up(host: str, port: int, *arguments: Any, **options: Any) -> list[Any]:
        if host != "moody.example":
            return real(host, port, *arguments, **options)
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [entry for address in addresses for entry in real(address, port, *arguments, **options)]

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    return asked


def test_a_name_that_changes_its_mind_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, ["127.0.0.1"], ["10.0.0.1"])
    with receiver(200) as told:
        assert send(parse_target(f"http://moody.example:{told.port}/")) == 200
        ((headers, _),) = told.received
    assert headers["Host"] == f"moody.example:{told.port}"
    assert asked == ["moody.example"]


def test_one_inner_address_among_others_forbids_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, ["127.0.0.1", "10.0.0.1"])
    with receiver(200) as told:
        with pytest.raises(Forbidden, match=r"10\.0\.0\.1"):
            send(parse_target(f"http://moody.example:{told.port}/"))
        assert told.received == []


def test_the_receiver_sees_its_name_and_the_body() -> None:
    with receiver(202) as told:
        assert send(parse_target(f"http://localhost:{told.port}/hook?x=1")) == 202
        ((headers, body),) = told.received
        assert headers["Host"] == f"localhost:{told.port}"
        assert (body, headers["webhook-id"]) == (b"{}", "a")


def test_a_redirect_is_an_answer_like_any_other() -> None:
    with receiver() as elsewhere, receiver(307, location=elsewhere.url) as told:
        assert send(parse_target(told.url)) == 307
        assert elsewhere.received == []


def test_who_answers_byte_by_byte_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_request, "WHOLE_TIMEOUT_S", 0.5)
    with speaking(*[b"H"] * 60, pause_s=0.05) as port:
        begun = time.monotonic()
        with pytest.raises(Undelivered):
            send(parse_target(f"http://127.0.0.1:{port}/"))
        assert time.monotonic() - begun < 2.5


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    endless = b"x" * 1_000_000
    with speaking(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", *[endless] * 50) as port:
        assert send(parse_target(f"http://127.0.0.1:{port}/")) == 200


@pytest.mark.parametrize(
    "said",
    [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 500 + b"\r\n"],
)
def test_what_is_no_http_is_not_delivered(said: bytes) -> None:
    with speaking(said) as port, pytest.raises(Undelivered):
        send(parse_target(f"http://127.0.0.1:{port}/"))


def test_nobody_there_is_not_delivered() -> None:
    with pytest.raises(Undelivered):
        send(parse_target("http://127.0.0.1:1/"))
    with pytest.raises(Undelivered):
        send(parse_target("https://no-such-name.invalid/"))


def test_certificates_are_verified_for_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    try:
        subprocess.run(made, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl to make a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with speaking(answer, tls=context) as port, pytest.raises(Undelivered, match=r"(?i)certificate"):
        send(parse_target(f"https://localhost:{port}/"))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with speaking(answer, tls=context) as port:
        assert send(parse_target(f"https://localhost:{port}/")) == 200
    with speaking(answer, tls=context) as port, pytest.raises(Undelivered, match=r"(?i)certificate"):
        send(parse_target(f"https://127.0.0.1:{port}/"))
    assert asked[:2] == ["localhost", "localhost"]
