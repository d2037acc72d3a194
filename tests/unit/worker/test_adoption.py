"""Laws of what a worker makes of failures to load a version, on a real registry."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from core.database import Database
from core.errors import AdapterError, CheckpointError, EngineUnavailable
from core.messages import ModelName
from core.model_versions import NewVersion, VersionStore
from core.roster import Roster
from tasks.ports import Engine
from tasks.queues import QueueName
from tests.harness import eventually
from worker.adoption import Adoption
from worker.operations import Operations
from worker.presence import Presence


@dataclass
class Recorder:
    """The part of an engine that takes adapters; raises `errors` first, one at each call."""

    model: ModelName = ModelName.CODESTRAL
    version: str = "base"
    errors: list[Exception] = field(default_factory=list)

    def swap_adapter(self, version: str | None, directory: Path | None) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.version = version or "base"


@dataclass
class Bench:
    """One worker's adoption and the registry."""

    versions: VersionStore
    engine: Recorder
    operations: Operations
    presence: Presence
    adoption: Adoption

    def publish(self, directory: Path) -> int:
        directory.mkdir()
        (directory / "adapter_model.safetensors").write_bytes(b"weights")
        serving = self.versions.serving()
        new = NewVersion(
            directory=directory,
            checksum=hashlib.sha256(b"weights").hexdigest(),
            base_hash="ba5e",
            manifest_hash="f11e5",
            parent=serving.number if serving else None,
        )
        return self.versions.promote(self.versions.record(new)).number


def _bench(database: Database, base_hash: Callable[[], str | None]) -> Bench:
    versions, engine = VersionStore(database), Recorder()
    operations = Operations(cast(Engine, engine))
    presence = Presence(
        Roster(database, beat_s=60), name="codestral@host:1", queue=QueueName.CODESTRAL, slots=1, card="host:0"
    )
    adoption = Adoption(versions=versions, operations=operations, presence=presence, base_hash=base_hash)
    return Bench(versions, engine, operations, presence, adoption)


@pytest.fixture
def bench(database: Database) -> Bench:
    return _bench(database, lambda: "ba5e")


def _until(bench: Bench, probe: Callable[[], Any]) -> None:
    def _step() -> Any:
        bench.adoption.step()
        return probe()

    eventually(_step, within_s=10)


def test_what_is_loaded_is_not_loaded_again(bench: Bench, tmp_path: Path) -> None:
    bench.publish(tmp_path / "one")
    bench.adoption.step()
    bench.engine.errors = [AssertionError("loaded again")]
    bench.adoption.step()
    assert bench.engine.version == "v1"


def test_a_busy_engine_is_asked_again_and_the_version_is_not_to_blame(bench: Bench, tmp_path: Path) -> None:
    bench.engine.errors = [EngineUnavailable("busy"), EngineUnavailable("busy")]
    bench.publish(tmp_path / "one")
    _until(bench, lambda: bench.engine.version == "v1")
    assert (bench.presence.alarms, bench.versions.alarms()) == ({}, [])


def test_what_fails_here_again_and_again_is_an_alarm_of_this_worker_until_it_succeeds(
    bench: Bench, tmp_path: Path
) -> None:
    bench.engine.errors = [EngineUnavailable("no memory")] * 3
    bench.publish(tmp_path / "one")
    _until(bench, lambda: bench.presence.alarms)
    assert "cannot load v1: no memory" in bench.presence.alarms["version"]
    _until(bench, lambda: bench.engine.version == "v1")
    assert (bench.presence.alarms, bench.versions.alarms()) == ({}, [])


def test_of_several_damaged_versions_the_nearest_whole_ancestor_serves_at_once(
    bench: Bench, tmp_path: Path
) -> None:
    for name in ("one", "two", "three"):
        bench.publish(tmp_path / name)
    bench.engine.errors = [AdapterError(tmp_path, "torn"), AdapterError(tmp_path, "torn")]
    bench.adoption.step()
    assert bench.engine.version == "v1"
    assert [alarm[:2] for alarm in bench.versions.alarms()] == ["v3", "v2"]


def test_a_base_that_cannot_be_recognised_breaks_no_version(database: Database, tmp_path: Path) -> None:
    def _unreadable() -> str:
        raise CheckpointError(tmp_path, "is gone")

    bench = _bench(database, _unreadable)
    bench.publish(tmp_path / "one")
    bench.adoption.step()
    assert (bench.engine.version, bench.versions.alarms()) == ("base", [])


def test_while_an_operation_runs_nothing_is_swapped(bench: Bench, tmp_path: Path) -> None:
    bench.publish(tmp_path / "one")
    assert bench.operations.attempt("sleep_engine", lambda _: bench.adoption.step())
    assert bench.engine.version == "base"
    bench.adoption.step()
    assert bench.engine.version == "v1"


def test_a_pin_holds_until_the_worker_follows_also_where_names_are_alike(bench: Bench, tmp_path: Path) -> None:
    bench.publish(tmp_path / "one")
    bench.adoption.step()
    bench.adoption.pin(cast(Engine, bench.engine), "v1", tmp_path / "mine")
    bench.engine.version = "v1 by hand"
    bench.adoption.step()
    assert (bench.engine.version, bench.presence.is_pinned) == ("v1 by hand", True)
    bench.adoption.follow()
    bench.adoption.step()
    assert (bench.engine.version, bench.presence.is_pinned) == ("v1", False)


def test_a_hand_swap_that_fails_pins_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.engine.errors = [AdapterError(tmp_path, "torn")]
    with pytest.raises(AdapterError):
        bench.adoption.pin(cast(Engine, bench.engine), "mine", tmp_path)
    assert not bench.presence.is_pinned
