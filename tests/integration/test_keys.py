"""API keys: who gets in, and whose jobs are whose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from core.database import Database
from core.errors import InvalidRequest
from core.keys import CACHED_S, KeyRing, KeyStore, Limits, parse_rate
from stack.servers import ServerUrls
from tests.harness import ROOT, Installation, eventually, installation
from tests.keyed import Keyed, new_caller


@pytest.fixture(scope="module")
def locked(new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An API that wants a key of everybody, and no worker."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("locked")
    with installation(
        database_url=urls.database_url,
        redis_url=urls.redis_url,
        data_dir=directory,
        settings={"MATHCODE_REQUIRE_KEYS": "always"},
    ) as made:
        made.start("api")
        yield made


@pytest.fixture(scope="module")
def alice(locked: Installation) -> Keyed:
    return new_caller(locked, "alice")


@pytest.fixture(scope="module")
def bob(locked: Installation) -> Keyed:
    return new_caller(locked, "bob")


def command(installed: Installation, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **installed.environment}
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_from_nothing_to_a_revoked_key(locked: Installation) -> None:
    made = command(locked, "keys", "create", "carol", "--rate", "60/min", "--max-queued", "9", "--json")
    assert made.returncode == 0, made.stderr
    token = json.loads(made.stdout)["key"]
    carol = Keyed(locked, json.loads(made.stdout)["id"], token)
    assert carol.job(carol.submit())["status"] == "queued"
    listed = command(locked, "keys", "list", "--json").stdout
    (row,) = [row for row in json.loads(listed) if row["name"] == "carol"]
    assert (row["rate"], row["max_queued"], row["daily_tokens"], row["revoked_at"]) == ("60/min", 9, None, None)
    assert token not in listed
    assert token.rpartition("_")[2] not in listed
    assert command(locked, "keys", "revoke", "carol").returncode == 0
    eventually(lambda: carol.get("/v1/jobs").status_code == 401, within_s=CACHED_S + 2)
    assert command(locked, "keys", "revoke", "carol").returncode == 2


def test_the_command_line_sends_the_key_of_its_environment(locked: Installation, alice: Keyed) -> None:
    keyless = command(locked, "ask", "Prove it", "--deadline", "0.1")
    assert keyless.returncode == 2
    assert "MATHCODE_API_KEY" in keyless.stderr
    locked.settings["MATHCODE_API_KEY"] = "mk_wrong"
    assert "not valid" in command(locked, "ask", "Prove it").stderr
    locked.settings["MATHCODE_API_KEY"] = alice.token
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "ask", "The command line was here"],
        cwd=ROOT,
        env={**os.environ, **locked.environment},
    )
    try:
        eventually(lambda: "The command line was here" in alice.get("/v1/jobs").text)
    finally:
        process.kill()
        process.wait()
        del locked.settings["MATHCODE_API_KEY"]


ROUTES = [
    ("GET", "/v1/jobs"),
    ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs/{id}"),
    ("POST", "/v1/jobs/{id}/cancel"),
    ("GET", "/v1/jobs/{id}/events"),
    ("GET", "/v1/training"),
    ("GET", "/v1/training/runs/1"),
    ("GET", "/v1/nothing-like-this"),
    ("PATCH", "/v1/jobs"),
]


@pytest.mark.parametrize("kind", ["none", "basic", "empty", "unknown", "wrong", "cut", "revoked"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_refuses_who_shows_no_valid_key_and_says_no_more(
    locked: Installation, alice: Keyed, job_of_alice: str, revoked: Keyed, *, method: str, path: str, kind: str
) -> None:
    wrong = alice.token[:-1] + ("A" if alice.token[-1] != "A" else "B")
    headers = {
        "none": {},
        "basic": {"Authorization": "Basic eDp5"},
        "empty": {"Authorization": "Bearer "},
        "unknown": {"Authorization": "Bearer mk_000000000000_" + "a" * 43},
        "wrong": {"Authorization": f"Bearer {wrong}"},
        "cut": {"Authorization": f"Bearer {alice.token[:-1]}"},
        "revoked": revoked.headers,
    }[kind]
    response = locked.get(path.format(id=job_of_alice), headers=headers) if method == "GET" else None
    if response is None:
        import requests

        url = f"{locked.url}{path.format(id=job_of_alice)}"
        response = requests.request(method, url, json={"prompt": "x"}, headers=headers, timeout=10)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert set(error) == {"code", "message", "param"}
    assert error["message"].startswith(("an API key is needed", "this API key is not valid"))


@pytest.fixture(scope="module")
def job_of_alice(alice: Keyed) -> str:
    return alice.submit("Only Alice may read this")


@pytest.fixture(scope="module")
def revoked(locked: Installation) -> Keyed:
    caller = new_caller(locked, "revoked")
    with closing(Database(locked.database_url)) as database:
        KeyStore(database).revoke("revoked")
    return caller


def test_health_and_the_short_status_need_no_key_on_this_machine(locked: Installation, alice: Keyed) -> None:
    assert locked.get("/healthz").status_code == 200
    assert locked.get("/health").status_code in {200, 503}
    for path in ("/metrics", "/metrics/prometheus"):
        assert (locked.get(path).status_code, alice.get(path).status_code) == (401, 200)
    assert set(locked.get("/v1/status").json()) == {"profile", "database", "broker", "workers"}
    assert "roster" in alice.get("/v1/status").json()
    assert locked.post("/v1/status").status_code == 401


def test_anothers_job_is_not_there(locked: Installation, alice: Keyed, bob: Keyed, job_of_alice: str) -> None:
    for answer in (
        bob.get(f"/v1/jobs/{job_of_alice}"),
        bob.get(f"/v1/jobs/{job_of_alice}/events"),
        bob.post(f"/v1/jobs/{job_of_alice}/cancel"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "job_not_found")
        assert "Alice" not in answer.text
    job = alice.job(job_of_alice)
    assert (job["status"], job["cancel_requested_at"]) == ("queued", None)


def test_a_list_shows_ones_own(alice: Keyed, bob: Keyed, job_of_alice: str) -> None:
    own = bob.submit("Bob's")
    assert [job["id"] for job in bob.get("/v1/jobs").json()["data"]] == [own]
    assert own not in alice.get("/v1/jobs").text
    assert job_of_alice in alice.get("/v1/jobs").text
    after = bob.get("/v1/jobs", params={"after": alice.submit("later")})
    assert [job["id"] for job in after.json()["data"]] == [own]


def test_of_a_secret_only_a_hash_is_kept(locked: Installation, alice: Keyed) -> None:
    with closing(Database(locked.database_url)) as database:
        rows = json.dumps([dict(row) for row in database.fetch("SELECT * FROM api_key")], default=str)
        digests = [bytes(row["digest"]) for row in database.fetch("SELECT digest FROM api_key")]
    secret = alice.token.split("_", 2)[2]
    assert secret not in rows
    assert all(len(digest) == 32 and secret.encode() not in digest for digest in digests)
    assert secret not in locked.log("api").read_text()


def test_on_loopback_no_key_is_needed_and_one_that_is_shown_counts(fresh: Installation) -> None:
    fresh.start("api")
    dave = new_caller(fresh, "dave")
    anybodys = fresh.submit("Prove it")
    assert fresh.get("/v1/jobs", headers={"Authorization": "Bearer unused"}).status_code == 200
    assert fresh.get("/v1/jobs", headers={"Authorization": "Bearer mk_wrong"}).status_code == 401
    assert dave.get(f"/v1/jobs/{anybodys}").status_code == 404
    assert fresh.job(dave.submit())["status"] == "queued"


def test_an_api_that_others_reach_refuses_everybody_until_there_is_a_key(fresh: Installation) -> None:
    fresh.settings["MATHCODE_HOST"] = "0.0.0.0"  # noqa: S104  what this is about
    fresh.start("api")
    assert fresh.get("/v1/jobs").status_code == 401
    eventually(lambda: "mathcode keys create" in fresh.log("api").read_text())
    assert new_caller(fresh, "first").ask().status_code == 202


def test_a_name_is_given_once_while_it_is_in_force(database: Database) -> None:
    store = KeyStore(database)
    first, _ = store.create("x", Limits())
    with pytest.raises(InvalidRequest, match="there is a key named x"):
        store.create("x", Limits())
    store.revoke(first.id)
    assert store.create("x", Limits())[0].id != first.id


def test_a_key_is_looked_up_once_in_a_while(database: Database) -> None:
    store = KeyStore(database)
    key, token = store.create("x", Limits())
    ring = KeyRing(store)
    ring.authenticate(token)
    store.revoke("x")
    assert ring.authenticate(token).id == key.id, "it must be remembered"
    with pytest.raises(InvalidRequest):
        KeyRing(store).authenticate(token)


@pytest.mark.parametrize("name", ["", "-x", "a b", "x" * 65, "a/b", "a\n", "é"])
def test_odd_names_are_refused(database: Database, name: str) -> None:
    with pytest.raises(InvalidRequest):
        KeyStore(database).create(name, Limits())


@pytest.mark.parametrize(("text", "per_s"), [("60/min", 1.0), ("2/s", 2.0), ("3600/h", 1.0), ("60", 1.0)])
def test_rates_are_read(text: str, per_s: float) -> None:
    assert parse_rate(text).per_s == per_s


@pytest.mark.parametrize("text", ["", "0/min", "-1/s", "1/day", "1.5/s", "/s", "1e3/s", "1" * 12, "１/s"])
def test_what_is_no_rate_is_refused(text: Any) -> None:
    with pytest.raises(InvalidRequest, match="is no rate"):
        parse_rate(text)
