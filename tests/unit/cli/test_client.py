"""Laws of what the command line says about what the API refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from cli.client import ApiClient
from core.errors import InvalidRequest

REFUSAL = (
    b'{"error": {"code": "unauthorized", "message": "an API key is needed: send it as a header", "param": null}}'
)


class _Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("Content-Length", str(len(REFUSAL)))
        self.end_headers()
        self.wfile.write(REFUSAL)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def refusing() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        thread.join()


def test_who_shows_no_key_is_told_the_variable_and_no_header() -> None:
    with refusing() as url, pytest.raises(InvalidRequest) as refused:
        ApiClient(url).job("x")
    assert str(refused.value) == (
        "an API key is needed: set MATHCODE_API_KEY to one that `mathcode keys create` printed"
    )
