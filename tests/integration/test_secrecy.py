"""What callers ask stays with them and the ledger, secrets stay out of sight, and messages are JSON or nothing."""

from __future__ import annotations

import base64
import gzip
import json
import pickle
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import requests
from redis import Redis
from sqlalchemy.engine import make_url

from stack.servers import ServerUrls
from tests.harness import Installation, eventually, installation

SECRET = "orchid-48151623"
"""No model would say it by itself, and no log may."""
HYBRID = f"Implement a gradient descent algorithm with mathematical proof for {SECRET}"


@pytest.fixture(scope="module")
def talkative(
    new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The API alone, at the level at which programs say the most."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("talkative")
    with installation(
        database_url=urls.database_url,
        redis_url=urls.redis_url,
        data_dir=directory,
        settings={"MATHCODE_LOG_LEVEL": "DEBUG"},
    ) as made:
        made.start("api")
        yield made


def keys_that_hold(installed: Installation, text: str) -> list[str]:
    """Everything in Redis that holds it, messages decoded."""
    with closing(Redis.from_url(installed.redis_url)) as redis:
        return [key.decode() for key in redis.scan_iter(count=1000) if text in _content(redis, key)]


def _content(redis: Redis, key: bytes) -> str:
    kind = redis.type(key)
    if kind == b"list":
        messages = [json.loads(raw) for raw in redis.lrange(key, 0, -1)]
        bodies = [base64.b64decode(message["body"]).decode() for message in messages if "body" in message]
        return f"{messages} {bodies}"
    if kind == b"stream":
        return str(redis.xrange(key))
    if kind == b"string":
        return str(redis.get(key))
    return str(redis.smembers(key)) if kind == b"set" else ""


def logs(installed: Installation) -> str:
    return "".join(path.read_text() for path in installed.data_dir.glob("*.log"))


def test_no_message_no_event_and_no_log_holds_a_prompt(talkative: Installation) -> None:
    job_ids = [talkative.submit(HYBRID, max_tokens=3), talkative.submit(f"Solve {SECRET} = 1", max_tokens=3)]
    chat = {"model": "mathcode", "messages": [{"role": "user", "content": SECRET}], "max_tokens": 2}
    for body in ({"prompt": SECRET, "max_tokens": -1}, {"prompt": SECRET, SECRET: 1}, {"prompt": SECRET * 9000}):
        assert talkative.post("/v1/jobs", body).status_code in (400, 413)
    assert keys_that_hold(talkative, job_ids[0])  # the messages are looked at
    assert keys_that_hold(talkative, SECRET) == []
    talkative.start("mathstral", "codestral", "light", "beat")
    for job_id in job_ids:
        assert talkative.finished(job_id)["status"] == "succeeded"
        assert talkative.events(job_id)
    assert talkative.post("/v1/chat/completions", chat).status_code == 200
    cancelled = talkative.submit(f"Prove {SECRET}", max_tokens=400)
    talkative.post(f"/v1/jobs/{cancelled}/cancel")
    talkative.finished(cancelled)
    assert keys_that_hold(talkative, SECRET) == []
    assert job_ids[0] in logs(talkative)  # the logs are looked at
    assert SECRET not in logs(talkative)


def test_no_log_holds_the_password_of_a_server(talkative: Installation) -> None:
    for url in (talkative.database_url, talkative.redis_url):
        password = make_url(url).password
        assert password
        assert password not in logs(talkative)


def test_a_pickled_message_is_refused_and_its_worker_goes_on(talkative: Installation) -> None:
    """What unpickling would do shows itself by a file."""
    proof = talkative.data_dir / "unpickled"

    class Exploit:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return open, (str(proof), "w")

    body = base64.b64encode(pickle.dumps(((Exploit(),), {}, {}))).decode()
    properties = {
        "correlation_id": str(uuid.uuid4()),
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "light"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    headers = {
        "lang": "py",
        "task": "mathcode.reconcile",
        "id": str(uuid.uuid4()),
        "argsrepr": "",
        "kwargsrepr": "",
    }
    message = {
        "body": body,
        "content-encoding": "binary",
        "content-type": "application/x-python-serialize",
        "headers": headers,
        "properties": properties,
    }
    with closing(Redis.from_url(talkative.redis_url)) as redis:
        redis.rpush("light", json.dumps(message))
        eventually(lambda: not redis.exists("light") or None)
    eventually(lambda: "Refusing to deserialize untrusted content" in talkative.log("light").read_text() or None)
    assert not proof.exists()
    assert talkative.ask(HYBRID, max_tokens=2)["status"] == "succeeded"  # its merge is of the same worker


def test_a_compressed_body_is_never_inflated(talkative: Installation) -> None:
    bomb = gzip.compress(b'{"prompt": "' + b"x" * 50_000_000 + b'"}')
    assert len(bomb) < 100_000
    response = requests.post(
        f"{talkative.url}/v1/jobs",
        data=bomb,
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
        timeout=10,
    )
    assert response.status_code == 400
    assert response.elapsed.total_seconds() < 5


def test_the_status_that_anybody_may_read_names_no_secret(talkative: Installation) -> None:
    said = talkative.get("/v1/status").text + talkative.get("/openapi.json").text
    for url in (talkative.database_url, talkative.redis_url):
        assert str(make_url(url).password) not in said
