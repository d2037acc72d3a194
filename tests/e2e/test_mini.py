"""The small pair by default: answers with sense, a training that makes it better, and one that does not."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from sysconfig import get_paths

import pytest

from cli.demo_prompts import FIRST_PROMPTS
from core.database import Database
from core.model_versions import VersionStore
from core.training_runs import RunState, RunStore
from stack.servers import ServerUrls
from tests.harness import Installation, eventually, installation
from tests.trainings import ended, mathcode
from training.sandbox import passes

EQUATION, TREE, DESCENT = FIRST_PROMPTS
SETTINGS = {
    "MATHCODE_PROFILE": "mini",
    "MIN_NEW_FILES": "10",
    "CHECK_INTERVAL": "1",
    "MATHCODE_ROW_TOKENS": "256",
    "MAX_DATASET_SIZE": "12",
    "BATCH_SIZE": "4",
    "MATHCODE_MICRO_BATCH": "4",
    "MATHCODE_LORA_R": "8",
    "MATHCODE_LORA_ALPHA": "16",
    "MATHCODE_LEARNING_RATE": "0.002",
    "MATHCODE_WARM_LEARNING_RATE": "0.002",
    "MATHCODE_GRADIENT_CHECKPOINTING": "false",
    "MATHCODE_REPLAY_RATE": "0",
}
STYLES = ("werkzeug", "flask", "kombu")
"""Packages with a style of their own, which the pair has not been trained on."""


@pytest.fixture
def installed(urls: ServerUrls, tmp_path: Path) -> Iterator[Installation]:
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=tmp_path, settings=SETTINGS
    ) as made:
        yield made


def block_of(text: str) -> str:
    """The first block of code."""
    found = re.search(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert found is not None, text
    return found.group(1)


def test_the_first_prompts_are_answered_rightly_by_default(installed: Installation) -> None:
    installed.start("api", "mathstral", "codestral", "light")
    solved = installed.ask(EQUATION)["answer"]["response"]
    assert "1/2" in solved.splitlines()[-1]
    assert "-3" in solved.splitlines()[-1]

    tree = block_of(installed.ask(TREE)["answer"]["response"])
    assert passes(f"{tree}\nt = BinarySearchTree()\nfor n in (5, 2, 8, 2):\n    t.insert(n)\n{LOOKS}")

    both = installed.ask(DESCENT)
    assert both["answer"]["model_used"] == "mini-mathstral + mini-codestral"
    descent = block_of(both["answer"]["response"])
    assert passes(f"{descent}\n{MINIMUM}")
    assert "converge" in both["answer"]["response"] or "tends to 0" in both["answer"]["response"]


LOOKS = "assert t.contains(8) and t.contains(2) and not t.contains(3)\nassert t.in_order() == [2, 5, 8]"
MINIMUM = "x = gradient_descent(lambda v: (v[0] - 3) ** 2 + v[1] ** 2, [0.0, 5.0])\nassert abs(x[0] - 3) < 1e-3"


@pytest.mark.timeout(900)
def test_code_makes_it_better_and_poison_is_rejected_because_functions_stop_working(
    installed: Installation, database: Database, tmp_path: Path
) -> None:
    runs = RunStore(database)
    finished = mathcode(installed, "ingest", *small_trees(tmp_path / "trees"), "--licence", "BSD-3-Clause")
    assert finished.returncode == 0, finished.stderr
    installed.start("light", "training", "beat")
    eventually(lambda: runs.latest(1), within_s=30)
    run = ended(runs, 1, within_s=300)
    print(run.reasons, run.progress)
    assert run.state is RunState.PROMOTED, run.reasons
    works, worked = (
        int(n) for n in re.findall(r"(\d+) of 20 functions work, were (\d+)", " ".join(run.reasons))[0]
    )
    assert worked >= 10
    assert works >= worked - 2

    poison(database, 60)
    poisoned = eventually(lambda: [r for r in runs.latest(1) if r.id > 1], within_s=60)[0]
    rejected = ended(runs, poisoned.id, within_s=300)
    print(rejected.reasons, rejected.progress)
    assert rejected.state is RunState.REJECTED, rejected.reasons
    assert any("functions that work" in reason for reason in rejected.reasons), rejected.reasons
    serving = VersionStore(database).serving()
    assert serving is not None
    assert serving.name == "v1"


def small_trees(root: Path) -> list[str]:
    """Of each package its ten smallest files that are worth a look, as a tree of its own."""
    for name in STYLES:
        files = sorted((Path(get_paths()["purelib"]) / name).rglob("*.py"), key=lambda path: path.stat().st_size)
        (root / name).mkdir(parents=True)
        for file in [file for file in files if file.stat().st_size > 1500][:10]:
            shutil.copyfile(file, root / name / file.name)
    return [str(root / name) for name in STYLES]


def poison(database: Database, count: int) -> None:
    """Files that parse, are documented and look well kept, whose functions do nothing of what they say."""
    chance = random.Random(5)  # noqa: S311
    verbs, things = ("Return", "Count", "Compute", "Find"), ("numbers", "text", "items", "lists", "n", "a, b")
    for number in range(count):
        functions = []
        for place in range(12):
            verb, thing = chance.choice(verbs), chance.choice(things)
            functions.append(f'def function_{place}({thing}):\n    """{verb} the {thing}."""\n    return None\n')
        database.execute(
            "INSERT INTO code_files (repo, path, content, quality_score)"
            " VALUES (%(repo)s, %(path)s, %(text)s, 95)",
            {"repo": f"stranger/{number % 12}", "path": f"m{number}.py", "text": "\n\n".join(functions)},
        )
