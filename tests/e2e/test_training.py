"""From a tree of code to a better version in service, unattended, with everything real: the small trained pair."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from sysconfig import get_paths
from typing import Any

import pytest

from core.database import Database
from core.model_versions import VersionStore
from core.training import Purpose
from core.training_runs import RunState, RunStore
from stack.servers import ServerUrls
from tests.harness import Installation, eventually, installation
from tests.trainings import ended, mathcode

PROMPT = "Refactor this function: def f(x): return x"
SETTINGS = {
    "MATHCODE_PROFILE": "mini",
    "MIN_NEW_FILES": "12",
    "MAX_DATASET_SIZE": "12",
    "CHECK_INTERVAL": "1",
    "MATHCODE_ROW_TOKENS": "256",
    "BATCH_SIZE": "4",
    "MATHCODE_MICRO_BATCH": "4",
    "MATHCODE_LORA_R": "8",
    "MATHCODE_LORA_ALPHA": "16",
    "MATHCODE_LEARNING_RATE": "0.0007",
    "MATHCODE_WARM_LEARNING_RATE": "0.005",
    "MATHCODE_GRADIENT_CHECKPOINTING": "false",
    "MATHCODE_REPLAY_RATE": "0",
}
TREES = {
    "git.example/celery/kombu": 7,
    "git.example/pallets/werkzeug": 5,
    "git.example/team-27/flask": 2,  # held out, by the hash of its name
}
"""Of packages with a style of their own, which the pair has not been trained on, so many of the smallest files.

Of two of one name the larger stays, so ten are trained on: all by the first run, and the second has only poison.
"""
GIT = shutil.which("git") or "git"


@pytest.fixture
def installed(urls: ServerUrls, tmp_path: Path) -> Iterator[Installation]:
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=tmp_path, settings=SETTINGS
    ) as made:
        yield made


@pytest.fixture
def runs(database: Database) -> RunStore:
    return RunStore(database)


@pytest.mark.timeout(900)
def test_code_makes_a_better_version_that_serves_and_poison_is_rejected_because_functions_stop_working(
    installed: Installation, runs: RunStore, database: Database, tmp_path: Path
) -> None:
    finished = mathcode(installed, "ingest", *small_trees(tmp_path / "trees"), "--licence", "BSD-3-Clause")
    assert finished.returncode == 0, finished.stderr
    installed.start("api", "codestral", "light", "training", "beat")
    before = installed.ask(PROMPT, force_task_type="code", max_tokens=12)
    assert before["answer"]["completions"][0]["version"] == "mini-codestral"

    eventually(lambda: runs.latest(1), within_s=30)
    flowing = []

    def flows_until_the_end() -> bool:
        flowing.append(installed.ask(PROMPT, force_task_type="code", max_tokens=4))
        return runs.get(1).state.is_final

    eventually(flows_until_the_end, within_s=400, every_s=1)
    run = runs.get(1)
    assert run.state is RunState.PROMOTED, run.reasons
    kombu, werkzeug, flask = TREES
    assert (repositories(database, 1, Purpose.TRAIN), repositories(database, 1, Purpose.HELDOUT)) == (
        {kombu, werkzeug},
        {flask},
    )
    assert all(job["status"] == "succeeded" for job in flowing)
    heldout = [step.heldout_loss for step in runs.steps(1) if step.heldout_loss is not None]
    assert heldout[-1] < heldout[0]
    works, worked = (
        int(n) for n in re.findall(r"(\d+) of 20 functions work, were (\d+)", " ".join(run.reasons))[0]
    )
    assert worked >= 10
    assert works >= worked - 2

    assert eventually(lambda: _answer_of(installed, "v1"), within_s=30, every_s=0.2)
    link = installed.data_dir / "models" / "mamba_codestral_current"
    assert (link / "adapter_model.safetensors").is_file()

    poison(database, 20)
    poisoned = eventually(lambda: [r for r in runs.latest(1) if r.id > 1], within_s=30)[0]
    rejected = ended(runs, poisoned.id, within_s=400)
    assert rejected.state is RunState.REJECTED, rejected.reasons
    assert all(name.startswith("stranger/") for name in repositories(database, poisoned.id, Purpose.TRAIN))
    assert any("functions that work" in reason for reason in rejected.reasons), rejected.reasons
    serving = VersionStore(database).serving()
    assert serving is not None
    assert serving.name == "v1"
    assert _answer_of(installed, "v1")


def small_trees(root: Path) -> list[str]:
    """Of each package the smallest files that are worth a look, as a repository whose name depends on no path."""
    for name, count in TREES.items():
        package, tree = Path(get_paths()["purelib"]) / Path(name).name, root / name
        tree.mkdir(parents=True)
        files = sorted(package.rglob("*.py"), key=lambda path: path.stat().st_size)
        for file in [file for file in files if file.stat().st_size > 1500][:count]:
            shutil.copyfile(file, tree / file.name)
        for words in (("init", "-q"), ("remote", "add", "origin", f"https://{name}"), ("add", ".")):
            subprocess.run([GIT, *words], cwd=tree, check=True)
    return [str(root / name) for name in TREES]


def poison(database: Database, count: int) -> None:
    """Files that parse, are documented and look well kept, whose functions do nothing of what they say."""
    chance = random.Random(5)  # noqa: S311
    verbs, things = ("Return", "Count", "Compute", "Find"), ("numbers", "text", "items", "lists", "n", "a, b")
    for number in range(count):
        functions = []
        for place in range(24):
            verb, thing = chance.choice(verbs), chance.choice(things)
            functions.append(f'def function_{place}({thing}):\n    """{verb} the {thing}."""\n    return None\n')
        database.execute(
            "INSERT INTO code_files (repo, path, content, quality_score)"
            " VALUES (%(repo)s, %(path)s, %(text)s, 95)",
            {"repo": f"stranger/{number % 12}", "path": f"m{number}.py", "text": "\n\n".join(functions)},
        )


def repositories(database: Database, run_id: int, purpose: Purpose) -> set[str]:
    """Whose files a run had for this."""
    rows = database.fetch(
        "SELECT repo FROM training_file JOIN code_files ON code_files.id = file_id"
        " WHERE training_file.run_id = %(run_id)s AND purpose = %(purpose)s",
        {"run_id": run_id, "purpose": purpose},
    )
    return {row["repo"] for row in rows}


def _answer_of(installed: Installation, version: str) -> dict[str, Any] | None:
    job = installed.ask(PROMPT, force_task_type="code", max_tokens=12)
    return job if job["answer"]["completions"][0]["version"] == version else None
