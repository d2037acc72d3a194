"""From a tree of code to a better version in service, unattended, with everything real."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.database import Database
from core.model_versions import VersionStore
from core.training_runs import RunState, RunStore
from stack.servers import ServerUrls
from tests.files_of_code import STANDARD_LIBRARY
from tests.harness import Installation, eventually, installation
from tests.trainings import REPOSITORIES, SETTINGS, ended, mathcode

ENOUGH_TO_LEARN = {
    **SETTINGS,
    "MIN_NEW_FILES": "10",
    "BATCH_SIZE": "8",
    "MATHCODE_MICRO_BATCH": "8",
    "MAX_DATASET_SIZE": "16",
}
"""After a shorter training even noise makes the model better."""
PROMPT = "Refactor this function: def f(x): return x"


@pytest.fixture
def installed(urls: ServerUrls, tmp_path: Path) -> Iterator[Installation]:
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=tmp_path, settings=ENOUGH_TO_LEARN
    ) as made:
        yield made


@pytest.fixture
def runs(database: Database) -> RunStore:
    return RunStore(database)


def ingest(installed: Installation) -> dict[str, Any]:
    trees = [str(STANDARD_LIBRARY / name) for name in REPOSITORIES]
    finished = mathcode(installed, "ingest", *trees, "--licence", "PSF-2.0", "--json")
    assert finished.returncode == 0, finished.stderr
    said: dict[str, Any] = json.loads(finished.stdout)
    return said


@pytest.mark.timeout(600)
def test_code_that_is_ingested_becomes_a_better_version_in_service_and_poison_does_not(
    installed: Installation, runs: RunStore, database: Database
) -> None:
    said = ingest(installed)
    assert said["kept"] >= 10
    installed.start("api", "codestral", "light", "training", "beat")
    before = installed.ask(PROMPT, force_task_type="code", max_tokens=12)
    assert before["answer"]["completions"][0]["version"] == "codestral-tiny-random"

    eventually(lambda: runs.latest(1), within_s=30)
    flowing = []

    def flows_until_the_end() -> bool:
        flowing.append(installed.ask(PROMPT, force_task_type="code", max_tokens=4))
        return runs.get(1).state.is_final

    eventually(flows_until_the_end, within_s=300, every_s=1)
    run = runs.get(1)
    assert run.state is RunState.PROMOTED, run.reasons
    assert all(job["status"] == "succeeded" for job in flowing)
    heldout = [step.heldout_loss for step in runs.steps(1) if step.heldout_loss is not None]
    assert heldout[-1] < heldout[0]

    answered = eventually(lambda: _answer_of(installed, "v1"), within_s=30, every_s=0.2)
    assert answered["answer"]["response"] != before["answer"]["response"]
    link = installed.data_dir / "models" / "mamba_codestral_current"
    assert (link / "adapter_model.safetensors").is_file()

    poison(database, 20)
    poisoned = eventually(lambda: [r for r in runs.latest(1) if r.id > 1], within_s=30)[0]
    rejected = ended(runs, poisoned.id)
    assert rejected.state is RunState.REJECTED, rejected.reasons
    assert any(" loss " in reason for reason in rejected.reasons)
    serving = VersionStore(database).serving()
    assert serving is not None
    assert serving.name == "v1"
    assert _answer_of(installed, "v1")


def poison(database: Database, count: int) -> None:
    """Rows of random characters that claim to be good code, as a careless stranger would write them."""
    chance = random.Random(5)  # noqa: S311
    for number in range(count):
        text = "".join(chr(chance.randrange(0x4E00, 0x9FA0)) for _ in range(400))
        database.execute(
            "INSERT INTO code_files (repo, path, content, quality_score)"
            " VALUES ('stranger/noise', %(path)s, %(text)s, 95)",
            {"path": f"noise_{number}.py", "text": text},
        )


def _answer_of(installed: Installation, version: str) -> dict[str, Any] | None:
    job = installed.ask(PROMPT, force_task_type="code", max_tokens=12)
    return job if job["answer"]["completions"][0]["version"] == version else None
