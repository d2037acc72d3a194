"""`mathcode train`, `versions`, `promote`, `rollback` and the alarms of `status`, over a real ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from core.database import Database
from core.model_versions import NewVersion, VersionState, VersionStore
from core.run_leases import RunLease
from core.settings import load_settings
from core.training_runs import RunState, RunStore, Step
from stack.layout import Layout
from stack.lock import hold_lock
from stack.servers import ServerUrls
from stack.state import StackState, write_state
from tests.files_of_code import insert_files
from tests.harness import Installation


@pytest.fixture(autouse=True)
def installed(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("DATABASE_URL", urls.database_url)
    monkeypatch.setenv("MATHCODE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.fixture
def runs(database: Database) -> RunStore:
    return RunStore(database)


@pytest.fixture
def versions(database: Database) -> VersionStore:
    return VersionStore(database)


def run(*words: str) -> Result:
    result = CliRunner().invoke(main, words)
    load_settings.cache_clear()
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def said(*words: str) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def recorded(versions: VersionStore, *, run_id: int, parent: int | None = None) -> int:
    new = NewVersion(
        directory=load_settings().data_dir / f"run-{run_id}",
        checksum=f"c{run_id}",
        base_hash="b",
        manifest_hash="m",
        run_id=run_id,
        parent=parent,
        scores={"candidate": {"losses": {"heldout": 1.25}}},
    )
    return versions.record(new)


def test_before_the_first_run_the_list_says_what_is_waited_for() -> None:
    assert run("train").stdout == "0 new files; a run begins at 1000\n"
    assert said("train")["runs"] == []


def test_now_claims_one_run_and_a_second_is_told_how_to_go_on(runs: RunStore) -> None:
    document = said("train", "--now")
    assert [(each["id"], each["state"], each["trigger"]) for each in document["runs"]] == [
        (1, "queued", "operator")
    ]
    again = run("train", "--now")
    assert again.exit_code == 75
    assert again.stderr == "mathcode: run 1 is not finished: follow it with --follow, or end it with --cancel\n"
    assert "waits for the training worker" in run("train").stdout
    assert len(runs.latest(5)) == 1


def test_the_list_shows_figures_while_a_run_goes_on_and_reasons_when_it_ended(
    runs: RunStore, database: Database
) -> None:
    run("train", "--now")
    lease = RunLease(database, worker="training@a:1", lease_s=60)
    claim = lease.begin(1)
    assert claim is not None
    lease.report(claim, stage="train", progress={"step": 3, "steps": 8, "loss": 1.5, "heldout_loss": None})
    line = next(line for line in run("train").stdout.splitlines() if "running" in line)
    assert "3/8" in line
    assert "1.5000" in line
    lease.finish(claim, RunState.FAILED, reasons=["the disk is full"])
    assert "the disk is full" in run("train").stdout


def test_a_dry_run_says_what_would_be_trained_and_changes_nothing(runs: RunStore, database: Database) -> None:
    insert_files(database, 30)
    insert_files(database, 1, repo=" ")
    database.execute("UPDATE code_files SET content = E'\\x01\\x02\\x03\\x04' WHERE id = 7")
    document = said("train", "--dry-run")
    assert document["files"]["train"] + document["files"]["heldout"] == 29
    assert document["files"]["replay"] == 0
    assert document["rejected"] == {"no_repository": 1, "binary": 1}
    assert document["repositories"] == 1
    assert document["tokens"] > 29 * 10
    assert document["steps"] == 1
    assert document["seconds"] is None
    text = run("train", "--dry-run").stdout
    assert "refused: 1 binary\nrefused: 1 no_repository\n" in text
    assert "note: no repository is held out" in text
    assert "time: unknown" in text
    assert runs.latest(1) == []
    assert not database.fetch("SELECT id FROM code_files WHERE rejection IS NOT NULL OR run_id IS NOT NULL")


def test_a_dry_run_over_nothing_says_nothing_would_be_trained() -> None:
    document = said("train", "--dry-run")
    assert (document["tokens"], document["steps"], set(document["files"].values())) == (0, 0, {0})


def test_cancelling_ends_a_queued_run_and_asks_a_running_one_to_end(runs: RunStore, database: Database) -> None:
    run("train", "--now")
    assert run("train", "--cancel").stdout == "run 1 is cancelled\n"
    run("train", "--now")
    lease = RunLease(database, worker="training@a:1", lease_s=60)
    claim = lease.begin(2)
    assert claim is not None
    assert run("train", "--cancel").stdout == "run 2 is being cancelled\n"
    assert said("train", "--cancel") == {"run": 2, "state": "running", "cancel_requested": True}
    assert lease.renew(claim) is False


@pytest.mark.parametrize("option", ["--cancel", "--follow"])
def test_what_needs_a_run_says_so_where_there_is_none(option: str) -> None:
    result = run("train", option)
    assert result.exit_code == 75
    assert "begin one with `mathcode train --now`" in result.stderr


def test_following_prints_the_curve_and_ends_as_the_run_ended(runs: RunStore, database: Database) -> None:
    run("train", "--now")
    lease = RunLease(database, worker="training@a:1", lease_s=60)
    claim = lease.begin(1)
    assert claim is not None
    lease.log_steps(claim, [Step(step=1, loss=3.0), Step(step=2, loss=2.0)])
    lease.finish(claim, RunState.REJECTED, reasons=["no better"])
    result = run("train", "--follow", "--json")
    assert result.exit_code == 1
    *steps, end = (json.loads(line) for line in result.stdout.splitlines())
    assert [(step["step"], step["loss"]) for step in steps] == [(1, 3.0), (2, 2.0)]
    assert end == {"run": 1, "state": "rejected", "version": None, "reasons": ["no better"]}
    bar = run("train", "--follow")
    assert bar.exit_code == 1
    assert "run 1 is rejected" in bar.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--now", "--cancel"),
        ("--now", "--dry-run"),
        ("--dry-run", "--cancel"),
        ("--dry-run", "--follow"),
        ("--cancel", "--follow"),
        ("--again",),
        ("5",),
    ],
)
def test_options_that_do_not_go_together_are_refused(runs: RunStore, words: tuple[str, ...]) -> None:
    result = run("train", *words)
    assert result.exit_code == 2
    assert "Error:" in result.stderr
    assert runs.latest(1) == []


@pytest.mark.parametrize(
    "words", [("train",), ("train", "--dry-run"), ("versions",), ("promote", "1"), ("rollback",)]
)
def test_without_a_ledger_every_command_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str]
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    load_settings.cache_clear()
    result = run(*words)
    assert result.exit_code == 78
    assert "start one with `mathcode up`, or set DATABASE_URL" in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_a_version_the_base_model_serves() -> None:
    assert run("versions").stdout == "no version yet: the base model serves\n"
    assert said("versions") == []
    assert run("rollback").stdout == "the base model is in service\n"


def test_promote_and_rollback_move_the_link_with_the_registry(versions: VersionStore, tmp_path: Path) -> None:
    first = recorded(versions, run_id=1)
    second = recorded(versions, run_id=2, parent=first)
    link = tmp_path / "models" / "mamba_codestral_current"
    for words, name, target in (
        (("promote", str(first)), "v1", "run-1"),
        (("promote", str(second)), "v2", "run-2"),
        (("promote", str(second)), "v2", "run-2"),
        (("rollback",), "v1", "run-1"),
    ):
        assert run(*words).stdout == f"{name} is in service\n"
        assert link.readlink().name == target
    assert run("rollback").stdout == "the base model is in service\n"
    assert not link.is_symlink()
    assert [(each["name"], each["state"]) for each in said("versions")] == [("v2", "retired"), ("v1", "retired")]


def test_the_list_of_versions_shows_losses_and_why_one_broke(versions: VersionStore) -> None:
    recorded(versions, run_id=1)
    versions.promote(1)
    versions.mark_broken(1, "its weights are torn")
    text = run("versions").stdout
    assert "1.2500" in text
    assert "v1: its weights are torn\n" in text


def test_a_broken_version_serves_again_once_it_is_said_to_be_restored(versions: VersionStore) -> None:
    recorded(versions, run_id=1)
    versions.promote(1)
    versions.mark_broken(1, "its weights are torn")
    assert "v1 is broken (its weights are torn)" in run("promote", "1").stderr
    assert run("promote", "1", "--restored").stdout == "v1 is in service\n"
    assert (versions.alarms(), said("versions")[0]["state"]) == ([], "serving")


@pytest.mark.parametrize(
    ("number", "status", "message"),
    [
        ("7", 2, "there is no version 7"),
        ("0", 2, "0"),
        ("-1", 2, "-1"),
        ("2147483648", 2, "2147483648"),
        ("9" * 30, 2, "999"),
        ("v1", 2, "not a valid integer"),
        ("1.0", 2, "not a valid integer"),
        ("", 2, "not a valid integer"),
    ],
)
def test_a_version_that_is_none_is_not_promoted(
    versions: VersionStore, number: str, status: int, message: str
) -> None:
    recorded(versions, run_id=1)
    result = run("promote", number)
    assert result.exit_code == status
    assert message in result.stderr
    assert versions.serving() is None


def test_a_broken_or_pruned_version_is_not_promoted(versions: VersionStore) -> None:
    for run_id in (1, 2, 3):
        recorded(versions, run_id=run_id)
    versions.promote(3)
    versions.mark_broken(1, "torn")
    versions.mark_pruned(2)
    for number, words in (("1", "v1 is broken (torn)"), ("2", "v2 is pruned")):
        result = run("promote", number)
        assert result.exit_code == 2
        assert words in result.stderr
    serving = versions.serving()
    assert serving is not None
    assert (serving.number, versions.get(1).state) == (3, VersionState.BROKEN)


def test_status_shows_the_alarm_of_a_version(fresh: Installation, versions: VersionStore, tmp_path: Path) -> None:
    recorded(versions, run_id=1)
    versions.promote(1)
    versions.mark_broken(1, "its weights are torn: publish it again")
    fresh.start("api")
    layout = Layout(tmp_path)
    layout.create()
    state = StackState(
        pid=1,
        started=time.time(),
        ready=None,
        profile="scripted",
        api_url=fresh.url,
        flower_url="-",
        data_dir=str(tmp_path),
        processes=(),
    )
    with hold_lock(layout, url=fresh.url):
        write_state(layout, state)
        assert "\nALARM v1: its weights are torn: publish it again\n" in run("status").stdout
        assert said("status")["service"]["alarms"] == ["v1: its weights are torn: publish it again"]
