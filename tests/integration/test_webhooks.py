"""Webhooks end to end: told at every end of a job, verified by OpenAI's client, repeated, given up, not inward."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from openai import BadRequestError, InvalidWebhookSignatureError, OpenAI

from core.database import Database
from stack.servers import ServerUrls
from tests.harness import ROOT, Installation, eventually, free_port, installation
from tests.integration.test_batches import begin, chat_line, ended
from tests.receivers import receiver

LOOPBACK = {"MATHCODE_WEBHOOK_ALLOW": "127.0.0.0/8"}


@pytest.fixture(scope="module")
def telling(
    new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    urls, directory = new_urls(), tmp_path_factory.mktemp("telling")
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory, settings=dict(LOOPBACK)
    ) as made:
        made.start("api", "mathstral", "codestral", "light", "beat")
        yield made


@pytest.fixture(scope="module")
def strict(new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An API that may tell nobody inside."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("strict")
    with installation(database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory) as made:
        made.start("api")
        yield made


@pytest.fixture
def ledger(telling: Installation) -> Iterator[Database]:
    with closing(Database(telling.database_url)) as opened:
        yield opened


def mathcode(told: Installation, *arguments: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=ROOT,
        env=told.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def deliveries(told: Installation, *options: str) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = json.loads(mathcode(told, "webhooks", "list", "--json", *options))
    return listed


def of(ledger: Database, subject: str) -> dict[str, object]:
    """The one delivery, once its job has ended."""
    sql = "SELECT * FROM webhook_delivery WHERE subject = %(subject)s"
    (row,) = eventually(lambda: ledger.fetch(sql, {"subject": subject}))
    return dict(row)


def make_due(ledger: Database) -> None:
    """As if the pause before the next try were over."""
    ledger.execute(
        "UPDATE webhook_delivery SET next_try_at = now() WHERE state = 'pending' AND leased_until IS NULL"
    )


@pytest.mark.parametrize("prompt", ["Solve x = 1", "Implement gradient descent with mathematical proof"])
def test_the_end_of_a_job_is_told_signed_and_verified_by_openais_client(
    telling: Installation, prompt: str
) -> None:
    with receiver() as told:
        job_id = telling.submit(prompt, max_tokens=2, webhook_url=told.url)
        eventually(lambda: told.received)
        (headers, body), secret = told.received[0], mathcode(telling, "webhooks", "secret")
        client = OpenAI(api_key="unused", webhook_secret=secret)
        event = client.webhooks.unwrap(body, headers)
        assert (event.type, event.data.id, event.id) == ("job.succeeded", job_id, headers["webhook-id"])
        assert (event.object, telling.status(job_id)) == ("event", "succeeded")
        with pytest.raises(InvalidWebhookSignatureError):
            client.webhooks.unwrap(body.replace(b"succeeded", b"cancelled"), headers)
        with pytest.raises(InvalidWebhookSignatureError):
            client.webhooks.unwrap(body, {**headers, "webhook-timestamp": "1"})


def test_cancelled_and_expired_jobs_are_told_too(telling: Installation) -> None:
    with receiver() as told:
        slow = {"max_tokens": 400, "webhook_url": told.url, "force_task_type": "hybrid"}
        cancelled = telling.submit("Prove it", **slow)
        telling.post(f"/v1/jobs/{cancelled}/cancel")
        expired = telling.submit("Prove it", **slow, deadline_s=0.000001)
        eventually(lambda: len(told.received) == 2)
        events = {json.loads(body)["data"]["id"]: json.loads(body)["type"] for _, body in told.received}
        states = {job_id: telling.status(job_id) for job_id in (cancelled, expired)}
        assert events == {job_id: f"job.{state}" for job_id, state in states.items()}
        assert events[expired] == "job.expired"


def test_the_end_of_a_batch_is_told_and_not_that_of_its_lines(telling: Installation) -> None:
    with receiver() as told, OpenAI(base_url=f"{telling.url}/v1", api_key="unused") as client:
        ends = {}
        for lines, state in (([chat_line("a"), chat_line("b")], "completed"), ([b"{"], "failed")):
            made = begin(client, *lines, extra_body={"webhook_url": told.url})
            assert ended(client, made).status == state
            ends[made.id] = f"batch.{state}"
        eventually(lambda: len(told.received) >= 2)
        events = {json.loads(body)["data"]["id"]: json.loads(body)["type"] for _, body in told.received}
        assert events == ends
        with pytest.raises(BadRequestError, match="webhook_url"):
            begin(client, chat_line("a"), extra_body={"webhook_url": "https://10.0.0.1/"})


def test_a_cancelled_batch_is_told_too(telling: Installation) -> None:
    with receiver() as told, OpenAI(base_url=f"{telling.url}/v1", api_key="unused") as client:
        made = begin(
            client, *(chat_line(f"{n}", max_tokens=400) for n in range(200)), extra_body={"webhook_url": told.url}
        )
        client.batches.cancel(made.id)
        state = ended(client, made).status
        eventually(lambda: told.received)
        assert json.loads(told.received[0][1])["type"] == f"batch.{state}" == "batch.cancelled"


def test_a_failing_receiver_is_asked_again_under_the_same_id(telling: Installation, ledger: Database) -> None:
    with receiver(500, 302, 204, location="http://127.0.0.1:1/") as told:
        job_id = telling.submit("Solve x = 1", max_tokens=1, webhook_url=told.url)
        for tries in (1, 2):
            eventually(lambda tries=tries: of(ledger, job_id)["error"] and len(told.received) == tries)
            row = of(ledger, job_id)
            assert row["state"] == "pending"
            assert row["next_try_at"] > row["created_at"]
            make_due(ledger)
        eventually(lambda: of(ledger, job_id)["state"] == "delivered")
        assert len(told.ids) == 3
        assert len(set(told.ids)) == 1


def test_after_a_day_it_is_given_up_and_begun_anew_on_request(telling: Installation, ledger: Database) -> None:
    with receiver(503) as told:
        job_id = telling.submit("Solve x = 1", max_tokens=1, webhook_url=told.url)
        eventually(lambda: of(ledger, job_id)["error"])
        ledger.execute("UPDATE webhook_delivery SET give_up_at = now() WHERE state = 'pending'")
        make_due(ledger)
        eventually(lambda: of(ledger, job_id)["state"] == "failed")
        (failed,) = [each for each in deliveries(telling, "--failed") if each["subject"] == job_id]
        assert "503" in str(failed["error"])
        assert str(failed["id"]) in mathcode(telling, "webhooks", "list", "--failed")  # as a whole, to be retried
        told.answers[:] = [204]
        assert mathcode(telling, "webhooks", "retry", str(failed["id"])).startswith("1 delivery")
        eventually(lambda: of(ledger, job_id)["state"] == "delivered")


def test_who_retries_what_was_not_given_up_is_told_so(telling: Installation) -> None:
    with pytest.raises(AssertionError, match="only what was given up is tried again"):
        mathcode(telling, "webhooks", "retry", "nothing")


def test_a_receiver_that_hangs_holds_nobody_up(telling: Installation) -> None:
    with receiver(0) as hanging, receiver() as prompt:
        for _ in range(20):
            telling.submit("Solve x = 1", max_tokens=1, webhook_url=hanging.url)
        eventually(lambda: len(hanging.received) == 2)
        job_id = telling.submit("Solve x = 1", max_tokens=1, webhook_url=prompt.url)
        eventually(lambda: prompt.received, within_s=8)
        assert telling.status(job_id) == "succeeded"
        assert len(hanging.received) == 2


def test_what_a_killed_worker_was_telling_is_told_again(fresh: Installation, database: Database) -> None:
    fresh.settings.update(LOOPBACK)
    fresh.start("api", "mathstral", "light")
    with receiver(0, 204) as told:
        job_id = fresh.submit("Solve x = 1", max_tokens=1, webhook_url=told.url)
        eventually(lambda: told.received)
        fresh.kill("light")
        database.execute("UPDATE webhook_delivery SET next_try_at = now(), leased_until = now()")  # a minute later
        fresh.start("light")
        eventually(lambda: of(database, job_id)["state"] == "delivered")
        assert len(told.ids) == 2
        assert len(set(told.ids)) == 1


def test_a_rotated_secret_signs_beside_the_old_one(telling: Installation) -> None:
    old = mathcode(telling, "webhooks", "secret")
    new = mathcode(telling, "webhooks", "secret", "--rotate")
    assert new != old
    assert mathcode(telling, "webhooks", "secret") == new
    with receiver() as told:
        telling.submit("Solve x = 1", max_tokens=1, webhook_url=told.url)
        eventually(lambda: told.received)
        headers, body = told.received[0]
    for secret in (old, new):
        OpenAI(api_key="unused", webhook_secret=secret).webhooks.verify_signature(body, headers)


def test_without_permission_nothing_inside_is_reached(fresh: Installation, database: Database) -> None:
    with receiver() as inside:
        fresh.settings["MATHCODE_WEBHOOK_URL"] = f"https://localhost:{inside.port}/"
        fresh.start("api", "mathstral", "light", "beat")
        with OpenAI(base_url=f"{fresh.url}/v1", api_key="unused") as client:
            batch_id = begin(client, chat_line("a")).id
        for subject in (fresh.submit("Solve x = 1", max_tokens=1), batch_id):
            eventually(lambda subject=subject: of(database, subject)["state"] == "failed")
            assert "MATHCODE_WEBHOOK_ALLOW" in str(of(database, subject)["error"])
        assert len(database.fetch("SELECT 1 FROM webhook_delivery")) == 2  # the batch's line tells nobody
        assert inside.received == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://user:password@example.org/",
        "ftp://example.org/",
        "https://",
        "x",
        "",
        "https://example.org/\r\nX-Injected: 1",
        "https://example.org:99999/",
        "https://example.org/" + "x" * 3000,
    ],
)
def test_a_url_that_may_not_be_called_is_refused_at_once(strict: Installation, url: str) -> None:
    response = strict.post("/v1/jobs", {"prompt": "Solve x = 1", "webhook_url": url})
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (400, "webhook_url", "invalid_field")


def test_the_example_receives(telling: Installation, tmp_path: Path) -> None:
    secret, port = mathcode(telling, "webhooks", "secret"), free_port()
    environment = {**os.environ, "OPENAI_WEBHOOK_SECRET": secret, "PYTHONPATH": ""}
    with (tmp_path / "heard").open("w+") as heard:
        command = [sys.executable, str(ROOT / "examples" / "webhook_receiver.py"), str(port)]
        process = subprocess.Popen(command, env=environment, stdout=heard, cwd=tmp_path)
        try:
            eventually(lambda: "listening" in (tmp_path / "heard").read_text())
            job_id = telling.submit("Solve x = 1", max_tokens=1, webhook_url=f"http://127.0.0.1:{port}/")
            eventually(lambda: f"job.succeeded {job_id}\n" in (tmp_path / "heard").read_text())
            assert requests.post(f"http://127.0.0.1:{port}/", data=b"{}", timeout=5).status_code == 400
        finally:
            process.terminate()
            process.wait()
