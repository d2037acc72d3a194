"""The API keeps serving whatever clients do to it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import requests

from stack.servers import ServerUrls
from tests.harness import Installation, eventually, installation


@pytest.fixture(scope="module")
def small(new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    urls, directory = new_urls(), tmp_path_factory.mktemp("small")
    settings = {"MATHCODE_API_THREADS": "4", "MATHCODE_STREAMS": "2", "MATHCODE_MAX_BODY_BYTES": "4096"}
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory, settings=settings
    ) as made:
        made.start("api")
        yield made


def test_open_streams_never_keep_others_from_being_served(small: Installation) -> None:
    job_id = small.submit("Prove it")
    with ExitStack() as streams:
        for _ in range(2):
            response = small.get(f"/v1/jobs/{job_id}/events", stream=True)
            assert streams.enter_context(response).status_code == 200
        refused = small.get(f"/v1/jobs/{job_id}/events", stream=True)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "too_many_streams")
        assert 1 <= int(refused.headers["Retry-After"]) <= 120
        assert small.status(job_id) == "queued"
    eventually(lambda: small.get(f"/v1/jobs/{job_id}/events", stream=True).status_code == 200)


@pytest.mark.parametrize("size", [5_000, 50_000, 2_000_000])
def test_a_body_over_the_limit_is_refused_in_json_whatever_its_size(small: Installation, size: int) -> None:
    response = requests.post(f"{small.url}/v1/jobs", data=b"x" * size, timeout=10)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


def test_malformed_http_is_refused_in_json(small: Installation) -> None:
    with socket.create_connection(("127.0.0.1", small.port), timeout=5) as connection:
        connection.sendall(b"POST /v1/jobs HTTP/1.1\r\nContent-Length: x\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"error"' in answer


def test_a_half_sent_body_holds_nobody_up(small: Installation) -> None:
    with ExitStack() as half_open:
        for _ in range(8):
            connection = half_open.enter_context(socket.create_connection(("127.0.0.1", small.port), timeout=5))
            connection.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        assert small.post("/v1/jobs", {"prompt": "Prove it"}).status_code == 202


@pytest.mark.parametrize("spelling", ["urn:uuid:{}", "{{{}}}", "{}%20"])
def test_only_the_one_spelling_of_an_id_is_an_id(small: Installation, spelling: str) -> None:
    job_id = small.submit("Prove it")
    for path in ("", "/events"):
        assert small.get(f"/v1/jobs/{spelling.format(job_id)}{path}").status_code == 404
    assert small.post(f"/v1/jobs/{spelling.format(job_id)}/cancel").status_code == 404
    assert small.job(job_id)["cancel_requested_at"] is None
