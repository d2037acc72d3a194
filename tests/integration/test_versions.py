"""A running worker serves the version that the registry says, and no request notices more than its name."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from core.database import Database
from core.messages import ModelName
from core.model_versions import NewVersion, VersionStore
from ensemble.base_hash import base_hash
from ensemble.engine.tiny import ensure_tiny_checkpoint
from stack.servers import ServerUrls
from tests.adapters import write_adapter
from tests.harness import ROOT, Installation, eventually, installation

BASE = "codestral-tiny-random"
PROMPT = "Refactor this function"


@pytest.fixture(scope="module")
def tiny(new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """API and code worker with the real architecture; versions stay from test to test."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("installation")
    ensure_tiny_checkpoint(ModelName.CODESTRAL, directory / "models" / "tiny" / "codestral")
    with installation(
        database_url=urls.database_url,
        redis_url=urls.redis_url,
        data_dir=directory,
        settings={"MATHCODE_PROFILE": "tiny", "MATHCODE_LEASE_S": "2"},
    ) as made:
        made.start("api", "codestral")
        yield made


@pytest.fixture
def versions(tiny: Installation) -> Iterator[VersionStore]:
    with closing(Database(tiny.database_url)) as database:
        yield VersionStore(database)


def _publish(versions: VersionStore, tiny: Installation, directory: Path, *, base: str | None = None) -> int:
    """Record the adapter in `directory`, trained from the version in service."""
    serving = versions.serving()
    weights = directory / "adapter_model.safetensors"
    return versions.record(
        NewVersion(
            directory=directory,
            checksum=hashlib.sha256(weights.read_bytes()).hexdigest(),
            base_hash=base or base_hash(tiny.data_dir / "models" / "tiny" / "codestral"),
            manifest_hash="f11e5",
            parent=serving.number if serving else None,
        )
    )


def _served(tiny: Installation, queue: str = "codestral") -> set[str]:
    """What the workers that live say they serve."""
    roster = tiny.get("/v1/status").json()["roster"]
    return {worker["version"] for worker in roster if worker["queue"] == queue}


def _await_version(tiny: Installation, name: str) -> None:
    eventually(lambda: _served(tiny) == {name})


def _alarms(tiny: Installation) -> list[str]:
    return list(tiny.get("/v1/status").json()["alarms"])


def _completion(job: dict[str, Any]) -> tuple[str, str]:
    """Version and text."""
    assert job["status"] == "succeeded"
    (completion,) = job["answer"]["completions"]
    assert job["answer"]["model_used"] == completion["version"]
    return completion["version"], completion["text"]


def _engine(tiny: Installation, *words: str) -> None:
    command = [sys.executable, "-m", "cli.main", "engine", *words, "--json"]
    asked = subprocess.run(command, cwd=ROOT, env=tiny.environment, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    assert all("ok" in reply for reply in json.loads(asked.stdout).values())


def _promote(versions: VersionStore, tiny: Installation, directory: Path, seed: int) -> str:
    version = versions.promote(_publish(versions, tiny, write_adapter(directory, seed=seed)))
    _await_version(tiny, version.name)
    return version.name


def test_jobs_flow_through_promotions_and_a_rollback_and_each_text_is_its_versions_own(
    tiny: Installation, versions: VersionStore, tmp_path: Path
) -> None:
    numbers = [_publish(versions, tiny, write_adapter(tmp_path / str(seed), seed=seed)) for seed in (1, 2)]
    first, second = (f"v{number}" for number in numbers)
    flowing: list[str] = []

    def _flow_until(name: str) -> None:
        flowing.extend(tiny.submit(PROMPT, max_tokens=48) for _ in range(6))
        eventually(
            lambda: flowing.append(tiny.submit(PROMPT, max_tokens=48)) or _served(tiny) == {name}, every_s=0.2
        )

    alone = dict([_completion(tiny.ask(PROMPT, max_tokens=48))])
    for change in (lambda: versions.promote(numbers[0]), lambda: versions.promote(numbers[1]), versions.rollback):
        change()
        serving = versions.serving()
        name = serving.name if serving else BASE
        _flow_until(name)
        alone.setdefault(*_completion(tiny.ask(PROMPT, max_tokens=48)))
    assert len(set(alone.values())) == len(alone) == 3
    answered = [_completion(tiny.finished(job_id)) for job_id in flowing]
    assert {version for version, _ in answered} == {BASE, first, second}
    assert all(text == alone[version] for version, text in answered)


def test_a_damaged_version_is_broken_its_parent_serves_and_an_alarm_is_raised(
    tiny: Installation, versions: VersionStore, tmp_path: Path
) -> None:
    parent = _promote(versions, tiny, tmp_path / "parent", seed=3)
    number = _publish(versions, tiny, write_adapter(tmp_path / "damaged", seed=4))
    weights = tmp_path / "damaged" / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    versions.promote(number)
    (alarm,) = eventually(lambda: _alarms(tiny))
    assert alarm.startswith(f"v{number}: {weights}")
    _await_version(tiny, parent)
    assert _completion(tiny.ask(PROMPT, max_tokens=4))[0] == parent
    assert f"ALARM: v{number} is broken" in tiny.log("codestral").read_text()
    later = _promote(versions, tiny, tmp_path / "later", seed=5)
    assert (_alarms(tiny), _served(tiny)) == ([], {later})


def test_a_version_that_does_not_fit_is_broken_as_well(
    tiny: Installation, versions: VersionStore, tmp_path: Path
) -> None:
    parent = _promote(versions, tiny, tmp_path / "parent", seed=3)
    misfit = write_adapter(tmp_path / "misfit", config={"r": 5})
    versions.promote(number := _publish(versions, tiny, misfit))
    eventually(lambda: versions.get(number).alarm)
    _await_version(tiny, parent)


def test_what_only_this_machine_lacks_breaks_nothing_and_is_loaded_when_it_is_there(
    tiny: Installation, versions: VersionStore, tmp_path: Path
) -> None:
    before = _promote(versions, tiny, tmp_path / "before", seed=6)
    number = _publish(versions, tiny, write_adapter(tmp_path / "there", seed=7))
    (tmp_path / "there").rename(tmp_path / "elsewhere")
    versions.promote(number)
    (alarm,) = eventually(lambda: [each for each in _alarms(tiny) if f"cannot load v{number}" in each])
    assert f"copy {tmp_path / 'there'} here" in alarm
    serving = versions.serving()
    assert serving is not None
    assert (serving.number, _served(tiny)) == (number, {before})
    (tmp_path / "elsewhere").rename(tmp_path / "there")
    _await_version(tiny, f"v{number}")
    eventually(lambda: not _alarms(tiny))


def test_a_version_of_another_base_is_refused_here_and_stays_for_the_right_one(
    tiny: Installation, versions: VersionStore, tmp_path: Path
) -> None:
    before = _promote(versions, tiny, tmp_path / "before", seed=8)
    number = _publish(versions, tiny, write_adapter(tmp_path / "other", seed=9), base="0" * 64)
    versions.promote(number)
    eventually(lambda: any("trained on another base model" in alarm for alarm in _alarms(tiny)))
    serving = versions.serving()
    assert serving is not None
    assert (serving.number, _served(tiny)) == (number, {before})
    versions.rollback()
    eventually(lambda: not _alarms(tiny))


def test_what_an_operator_chose_stays_until_the_worker_is_told_to_follow(
    tiny: Installation, versions: VersionStore, tmp_path: Path
) -> None:
    _promote(versions, tiny, tmp_path / "promoted", seed=10)
    _engine(tiny, "adapter", "codestral", "mine", str(write_adapter(tmp_path / "mine", seed=11)))
    _await_version(tiny, "mine")
    number = _publish(versions, tiny, write_adapter(tmp_path / "next", seed=12))
    versions.promote(number)
    (worker,) = eventually(lambda: [w for w in tiny.get("/v1/status").json()["roster"] if w["is_pinned"]])
    seen = worker["seen_at"]
    eventually(lambda: tiny.get("/v1/status").json()["roster"][0]["seen_at"] > seen)
    assert _served(tiny) == {"mine"}
    _engine(tiny, "follow", "codestral")
    _await_version(tiny, f"v{number}")


def test_every_worker_switches_and_a_later_one_begins_with_what_can_be_served(
    tiny: Installation, versions: VersionStore, tmp_path: Path
) -> None:
    name = _promote(versions, tiny, tmp_path / "first", seed=13)
    tiny.start("codestral-2")
    log = tiny.log("codestral-2").read_text()
    assert log.index(f"new requests get {name}") < log.index(" ready.")
    assert len(tiny.get("/v1/status").json()["roster"]) == 2
    parent = _promote(versions, tiny, tmp_path / "second", seed=14)
    assert tiny.terminate("codestral") == 0
    version, text = _completion(tiny.ask(PROMPT, max_tokens=24))
    assert (version, tiny.terminate("codestral-2")) == (parent, 0)
    number = _publish(versions, tiny, write_adapter(tmp_path / "damaged", seed=16))
    (tmp_path / "damaged" / "adapter_model.safetensors").write_bytes(b"torn")
    versions.promote(number)
    tiny.start("codestral")
    assert _completion(tiny.ask(PROMPT, max_tokens=24)) == (parent, text)
    assert [alarm.partition(":")[0] for alarm in _alarms(tiny)] == [f"v{number}"]
