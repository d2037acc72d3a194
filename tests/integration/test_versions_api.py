"""`/v1/versions`, `/v1/queues` and asking again: what the page does beyond asking, and who may."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.keys import keys
from core.database import Database
from core.keys import KeyStore, Limits
from core.messages import TaskType
from core.model_versions import NewVersion, VersionStore
from core.queue_depths import Depth, queue_depths
from core.settings import load_settings
from core.version_link import LINK
from stack.servers import ServerUrls
from tests.harness import Installation, installation
from tests.keyed import Keyed, new_caller
from tests.page.scenery import answered, insert_job


@pytest.fixture(scope="module")
def serving(
    new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The API alone, open to anybody on this machine."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("versions")
    with installation(database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory) as made:
        made.start("api")
        yield made


@pytest.fixture
def ledger(serving: Installation) -> Iterator[Database]:
    with closing(Database(serving.database_url)) as opened:
        opened.execute("TRUNCATE model_version, job RESTART IDENTITY CASCADE")
        yield opened


@pytest.fixture(scope="module")
def operator(serving: Installation) -> Keyed:
    with closing(Database(serving.database_url)) as database:
        key, token = KeyStore(database).create("operator", Limits(), is_operator=True)
    return Keyed(serving, key.id, token)


@pytest.fixture(scope="module")
def anybody(serving: Installation) -> Keyed:
    return new_caller(serving, "anybody")


def recorded(ledger: Database, directory: Path, *, parent: int | None = None) -> int:
    new = NewVersion(
        directory=directory,
        checksum=directory.name,
        base_hash="b",
        manifest_hash="m",
        parent=parent,
        scores={"candidate": {"losses": {"heldout": 1.5}}},
    )
    return VersionStore(ledger).record(new)


def test_versions_are_listed_with_their_scores(serving: Installation, ledger: Database) -> None:
    assert serving.get("/v1/versions").json() == {"serving": None, "data": []}
    first = recorded(ledger, Path("/models/a"))
    second = recorded(ledger, Path("/models/b"), parent=first)
    VersionStore(ledger).promote(first)
    view = serving.get("/v1/versions").json()
    assert view["serving"] == "v1"
    assert [(v["name"], v["status"], v["parent"]) for v in view["data"]] == [
        (f"v{second}", "candidate", "v1"),
        ("v1", "serving", None),
    ]
    assert view["data"][0]["scores"]["candidate"]["losses"]["heldout"] == 1.5
    assert "directory" not in view["data"][0]


def test_an_operators_key_promotes_and_rolls_back(ledger: Database, operator: Keyed) -> None:
    first = recorded(ledger, Path("/models/a"))
    second = recorded(ledger, Path("/models/b"), parent=first)
    for number in (first, second, second):
        promoted = operator.post(f"/v1/versions/{number}/promote")
        assert (promoted.status_code, promoted.json()) == (200, {"serving": f"v{number}"})
    assert operator.post("/v1/versions/rollback").json() == {"serving": "v1"}
    assert operator.post("/v1/versions/rollback").json() == {"serving": None}
    assert operator.post("/v1/versions/rollback").json() == {"serving": None}


@pytest.mark.parametrize("path", ["/v1/versions/1/promote", "/v1/versions/rollback"])
def test_nobody_else_changes_what_serves(
    serving: Installation, ledger: Database, anybody: Keyed, path: str
) -> None:
    VersionStore(ledger).promote(recorded(ledger, Path("/models/a")))
    recorded(ledger, Path("/models/b"))
    for refusal in (serving.post(path, {}), anybody.post(path, {})):
        assert (refusal.status_code, refusal.json()["error"]["code"]) == (403, "operator_needed")
        assert "--operator" in refusal.json()["error"]["message"]
    assert serving.get("/v1/versions").json()["serving"] == "v1"


def test_what_cannot_serve_is_refused_by_name(ledger: Database, operator: Keyed) -> None:
    missing = operator.post("/v1/versions/99/promote")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "version_not_found")
    number = recorded(ledger, Path("/models/a"))
    VersionStore(ledger).mark_broken(number, "torn")
    broken = operator.post(f"/v1/versions/{number}/promote")
    assert (broken.status_code, broken.json()["error"]["code"]) == (409, "version_unfit")


def test_the_link_follows_where_this_host_has_the_files(
    serving: Installation, ledger: Database, operator: Keyed
) -> None:
    models = serving.data_dir / "models"
    here = models / "mamba_codestral" / "run-1"
    here.mkdir(parents=True)
    near, far = recorded(ledger, here), recorded(ledger, Path("/nonexistent/run-2"))
    operator.post(f"/v1/versions/{near}/promote")
    assert (models / LINK).resolve() == here
    operator.post(f"/v1/versions/{far}/promote")
    assert (models / LINK).resolve() == here
    operator.post("/v1/versions/rollback")
    assert not (models / LINK).is_symlink()


def test_queues_count_what_waits_by_model(serving: Installation, ledger: Database) -> None:
    held = insert_job(ledger, "hybrid, held by its lane", TaskType.HYBRID)
    answered(ledger, "ended", TaskType.MATH, "done")
    serving.submit("announced", force_task_type="code")
    view = {queue["model"]: queue for queue in serving.get("/v1/queues").json()["data"]}
    assert (view["mathstral"]["queued"], view["mathstral"]["held"]) == (0, 1), held
    assert (view["codestral"]["queued"], view["codestral"]["held"]) == (1, 1)
    assert view["mathstral"]["oldest_s"] == 0
    assert 0 <= view["codestral"]["oldest_s"] < 30


def test_an_empty_installation_has_empty_queues(ledger: Database) -> None:
    assert all(depth == Depth(model=depth.model) for depth in queue_depths(ledger))
    assert len(queue_depths(ledger)) == 2


def test_a_job_is_asked_once_more_as_it_was(serving: Installation, ledger: Database) -> None:
    first = serving.submit("Prove it", force_task_type="math", max_tokens=3, temperature=0.5, seed=7, stop=["."])
    again = serving.post(f"/v1/jobs/{first}/retry", {})
    assert again.status_code == 202
    assert again.headers["Location"] == f"/v1/jobs/{again.json()['id']}"
    assert again.json()["id"] != first
    assert again.json()["request"] == serving.job(first)["request"]


def test_another_ones_job_cannot_be_asked_again(ledger: Database, anybody: Keyed, operator: Keyed) -> None:
    mine = anybody.submit("Prove it")
    assert operator.post(f"/v1/jobs/{mine}/retry", {}).status_code == 404
    once = [anybody.post(f"/v1/jobs/{mine}/retry", {}, **{"Idempotency-Key": "again"}) for _ in range(2)]
    assert once[0].json()["id"] == once[1].json()["id"] != mine
    assert once[1].headers["Idempotent-Replayed"] == "true"


def test_the_command_line_makes_operators_and_says_who_is_one(
    serving: Installation, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in serving.environment.items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    try:
        made = CliRunner().invoke(keys, ["create", "boss", "--operator", "--json"])
        assert made.exit_code == 0, made.output
        assert json.loads(made.stdout)["is_operator"] is True
        listed = json.loads(CliRunner().invoke(keys, ["list", "--json"]).stdout)
    finally:
        load_settings.cache_clear()
    assert {row["name"] for row in listed if row["is_operator"]} >= {"boss"}
