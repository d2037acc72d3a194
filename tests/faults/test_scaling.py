"""Three code workers come and go on hosts of their own, versions change under load, and no job notices."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from core.database import Database
from core.messages import ModelName
from core.model_versions import NewVersion, VersionStore
from ensemble.base_hash import base_hash
from ensemble.engine.tiny import ensure_tiny_checkpoint
from stack.servers import ServerUrls
from tests.adapters import write_adapter
from tests.harness import Installation, eventually, installation

BASE = "codestral-tiny-random"
CONVERGED_WITHIN_S = 10
WORKERS = ("codestral", "codestral-2", "codestral-3")


@pytest.fixture
def spread(new_urls: Callable[[], ServerUrls], tmp_path: Path) -> Iterator[Installation]:
    """API and housekeeping on one host; what the workers share is the ledger, Redis and the folder of adapters."""
    urls = new_urls()
    ensure_tiny_checkpoint(ModelName.CODESTRAL, tmp_path / "models" / "tiny" / "codestral")
    with installation(
        database_url=urls.database_url,
        redis_url=urls.redis_url,
        data_dir=tmp_path,
        settings={"MATHCODE_PROFILE": "tiny"},
        hosts={name: f"host-{number}" for number, name in enumerate(WORKERS, 1)},
    ) as made:
        made.start("api", "light", "beat")
        yield made


def _join(spread: Installation, name: str) -> None:
    """Start a worker that has its own data directory, as a host of its own would."""
    own = spread.data_dir / "hosts" / spread.hosts[name]
    if not own.exists():
        shutil.copytree(spread.data_dir / "models", own / "models")
    spread.start(name, MATHCODE_DATA_DIR=str(own))


def _publish(versions: VersionStore, spread: Installation, seed: int, parent: int | None) -> int:
    directory = write_adapter(spread.data_dir / "shared" / str(seed), seed=seed)
    weights = (directory / "adapter_model.safetensors").read_bytes()
    return versions.record(
        NewVersion(
            directory=directory,
            checksum=hashlib.sha256(weights).hexdigest(),
            base_hash=base_hash(spread.data_dir / "models" / "tiny" / "codestral"),
            manifest_hash=f"f{seed}",
            parent=parent,
        )
    )


def _converged(spread: Installation, version: str, *names: str) -> None:
    """Exactly these workers live, and all of them serve that version."""
    expected = {(str(spread.processes[name].pid), version) for name in names}

    def _signed() -> bool:
        roster = spread.get("/v1/status").json()["roster"]
        return {(_pid(row["name"]), row["version"]) for row in roster if row["queue"] == "codestral"} == expected

    eventually(_signed, within_s=CONVERGED_WITHIN_S)


def _pid(name: str) -> str:
    return name.rpartition(":")[2].partition("-")[0]


@contextmanager
def _load(spread: Installation) -> Iterator[list[str]]:
    """Submits a job every tenth of a second; the ids grow while the block runs."""
    ids: list[str] = []
    failures: list[BaseException] = []
    stopped = Event()

    def _submit() -> None:
        try:
            while not stopped.wait(0.1):
                ids.append(spread.submit("Refactor this function", force_task_type="code", max_tokens=24))
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    thread = Thread(target=_submit)
    thread.start()
    try:
        yield ids
    finally:
        stopped.set()
        thread.join()
    assert not failures


def _answered_by(spread: Installation, job_id: str) -> str:
    job = spread.finished(job_id)
    assert job["status"] == "succeeded", job
    (completion,) = job["answer"]["completions"]
    assert job["answer"]["model_used"] == completion["version"]
    return str(completion["version"])


def test_three_workers_follow_promotions_under_load_while_they_come_go_and_die(spread: Installation) -> None:
    _join(spread, "codestral")
    _join(spread, "codestral-2")
    with closing(Database(spread.database_url)) as database, _load(spread) as ids:
        versions = VersionStore(database)
        _converged(spread, BASE, "codestral", "codestral-2")
        numbers: list[int] = []
        for seed in (1, 2, 3):
            numbers.append(_publish(versions, spread, seed, numbers[-1] if numbers else None))
        versions.promote(numbers[0])
        _converged(spread, "v1", "codestral", "codestral-2")
        _join(spread, "codestral-3")  # late: it was told nothing
        _converged(spread, "v1", *WORKERS)
        versions.promote(numbers[1])
        _converged(spread, "v2", *WORKERS)
        spread.kill("codestral-2")
        versions.promote(numbers[2])
        _converged(spread, "v3", "codestral", "codestral-3")
        assert spread.terminate("codestral") == 0
        versions.rollback()
        _converged(spread, "v2", "codestral-3")
        _join(spread, "codestral-2")
        _converged(spread, "v2", "codestral-2", "codestral-3")
        eventually(lambda: len(ids) >= 60)
    answered = [_answered_by(spread, job_id) for job_id in ids]
    assert {BASE, "v1", "v2", "v3"} >= set(answered) >= {"v1", "v2", "v3"}
    assert _answered_by(spread, spread.submit("Refactor it", force_task_type="code", max_tokens=4)) == "v2"


def test_a_worker_without_the_shared_folder_says_so_and_serves_on(spread: Installation) -> None:
    _join(spread, "codestral")
    with closing(Database(spread.database_url)) as database:
        versions = VersionStore(database)
        number = _publish(versions, spread, 1, None)
        (spread.data_dir / "shared").rename(spread.data_dir / "elsewhere")
        versions.promote(number)
        eventually(lambda: f"mount or copy {spread.data_dir / 'shared' / '1'} here" in _alarms(spread))
        job_id = spread.submit("Refactor this function", force_task_type="code", max_tokens=4)
        assert _answered_by(spread, job_id) == BASE
        (spread.data_dir / "elsewhere").rename(spread.data_dir / "shared")
        eventually(lambda: not _alarms(spread), within_s=40)
        _converged(spread, "v1", "codestral")


def _alarms(spread: Installation) -> str:
    return "\n".join(spread.get("/v1/status").json()["alarms"])
