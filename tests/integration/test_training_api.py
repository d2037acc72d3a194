"""`/v1/training` and the alarms of `/v1/status`: what the ledger holds is said, what is asked is answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from core.database import Database
from core.model_versions import NewVersion, VersionStore
from core.run_leases import RunClaim, RunLease
from core.settings import read_settings
from core.training import TrainingOptions
from core.training_runs import RunState, RunStore, Step, Trigger
from stack.servers import ServerUrls
from tests.files_of_code import insert_files
from tests.harness import Installation, installation


@pytest.fixture(scope="module")
def serving(
    new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The API alone, over a ledger that every test finds empty."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("installation")
    with installation(database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory) as made:
        made.start("api")
        yield made


@pytest.fixture
def database(serving: Installation) -> Iterator[Database]:
    with closing(Database(serving.database_url)) as opened:
        opened.execute("TRUNCATE training_run, model_version, code_files RESTART IDENTITY CASCADE")
        yield opened


@pytest.fixture
def runs(database: Database) -> RunStore:
    return RunStore(database)


def begun(database: Database, lease: RunLease) -> RunClaim:
    run_id = RunStore(database).claim(Trigger.THRESHOLD, TrainingOptions.of(read_settings()))
    assert run_id is not None
    claim = lease.begin(run_id)
    assert claim is not None
    return claim


@pytest.fixture
def lease(database: Database) -> RunLease:
    return RunLease(database, worker="training@a:1", lease_s=60)


def recorded(database: Database, *, run_id: int | None = None, parent: int | None = None) -> int:
    return VersionStore(database).record(
        NewVersion(
            directory=Path("/models/run"),
            checksum="c",
            base_hash="b",
            manifest_hash="m",
            run_id=run_id,
            parent=parent,
        )
    )


def test_before_the_first_run_everything_is_said_to_be_nothing(serving: Installation, database: Database) -> None:
    view = serving.get("/v1/training").json()
    assert view == {
        "in_progress": False,
        "version": None,
        "new_files": 0,
        "new_bytes": 0,
        "last_trained_id": 0,
        "current_max_id": 0,
        "min_new_files": 1000,
        "runs": [],
    }


def test_new_files_count_as_soon_as_they_are_there(serving: Installation, database: Database) -> None:
    insert_files(database, 7)
    view = serving.get("/v1/training").json()
    assert (view["new_files"], view["current_max_id"]) == (7, 7)
    assert view["new_bytes"] > 7 * len("def f(x): return x")


def test_a_running_one_shows_where_it_is_and_its_curve(
    serving: Installation, database: Database, lease: RunLease
) -> None:
    claim = begun(database, lease)
    lease.report(claim, stage="train", progress={"step": 2, "steps": 9, "loss": 2.5, "eta_s": 70.0})
    lease.log_steps(claim, [Step(step=1, loss=3.0, tokens=10), Step(step=2, loss=2.5, heldout_loss=2.75)])
    lease.note(claim, "checkpoint-1 is torn")
    assert serving.get("/v1/training").json()["in_progress"]
    view = serving.get(f"/v1/training/runs/{claim.run_id}").json()
    assert (view["status"], view["stage"], view["version"], view["attempt"]) == ("running", "train", None, 1)
    assert view["progress"] == {"step": 2, "steps": 9, "loss": 2.5, "eta_s": 70.0}
    assert [(step["step"], step["loss"], step["heldout_loss"]) for step in view["steps"]] == [
        (1, 3.0, None),
        (2, 2.5, 2.75),
    ]
    assert view["notes"] == ["checkpoint-1 is torn"]
    assert view["started_at"]
    assert view["finished_at"] is None
    assert "steps" not in serving.get("/v1/training").json()["runs"][0]


def test_a_promoted_run_names_its_version_and_is_in_progress_no_more(
    serving: Installation, database: Database, lease: RunLease
) -> None:
    claim = begun(database, lease)
    number = recorded(database, run_id=claim.run_id)
    VersionStore(database).promote(number)
    lease.report(claim, stage="evaluate", progress={})
    assert lease.finish(claim, RunState.PROMOTED, reasons=["better"], scores='{"tasks": 3}', version=number)
    overview, view = (serving.get(f"/v1/training{path}").json() for path in ("", f"/runs/{claim.run_id}"))
    assert (overview["in_progress"], overview["version"]) == (False, f"v{number}")
    assert (view["status"], view["version"], view["reasons"]) == ("promoted", f"v{number}", ["better"])
    assert (view["stage"], view["scores"]) == (None, {"tasks": 3})
    assert view["finished_at"] >= view["started_at"] >= view["created_at"]
    assert view["options"]["lora_rank"] == read_settings().lora_rank


def test_runs_stand_newest_first_and_only_the_latest_twenty(
    serving: Installation, database: Database, runs: RunStore
) -> None:
    for _ in range(22):
        run_id = runs.claim(Trigger.OPERATOR, TrainingOptions.of(read_settings()))
        assert run_id is not None
        runs.request_cancel(run_id)
    listed = [run["id"] for run in serving.get("/v1/training").json()["runs"]]
    assert listed == list(range(22, 2, -1))
    assert serving.get("/v1/training/runs/1").json()["status"] == "cancelled"


@pytest.mark.parametrize("number", ["0", "1", "2147483647"])
def test_a_run_that_is_not_there_is_not_found_by_its_number(
    serving: Installation, database: Database, number: str
) -> None:
    response = serving.get(f"/v1/training/runs/{number}")
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (404, "run_not_found", "id")
    assert number in error["message"]


@pytest.mark.parametrize(
    "garbage",
    ["2147483648", "9" * 400, "-1", "1.0", "1e3", "one", "%00", "0x1", "1/", "", "%F0%9F", "1;DROP", "٣"],
)
def test_a_number_that_is_none_is_not_found(serving: Installation, garbage: str) -> None:
    response = serving.get(f"/v1/training/runs/{garbage}")
    assert response.status_code == 404, response.text
    assert response.json()["error"]["code"] in {"not_found", "run_not_found"}


@pytest.mark.parametrize("path", ["/v1/training", "/v1/training/runs/1"])
def test_nothing_of_a_training_is_changed_over_http(serving: Installation, path: str) -> None:
    response = serving.post(path, {})
    assert (response.status_code, response.json()["error"]["code"]) == (405, "method_not_allowed")


def test_a_version_that_could_not_be_loaded_is_an_alarm_until_a_later_one_serves(
    serving: Installation, database: Database
) -> None:
    versions = VersionStore(database)
    number = recorded(database)
    versions.promote(number)
    assert serving.get("/v1/status").json()["alarms"] == []
    versions.mark_broken(number, "its weights are torn")
    assert serving.get("/v1/status").json()["alarms"] == [f"v{number}: its weights are torn"]
    assert serving.get("/v1/training").json()["version"] is None
    versions.promote(recorded(database, run_id=7))
    assert serving.get("/v1/status").json()["alarms"] == []
