"""The small pair answers with sense what the README asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.demo_prompts import FIRST_PROMPTS
from stack.servers import ServerUrls
from tests.harness import Installation, installation
from training.sandbox import passes

EQUATION, TREE, DESCENT = FIRST_PROMPTS


@pytest.fixture
def installed(urls: ServerUrls, tmp_path: Path) -> Iterator[Installation]:
    with installation(
        database_url=urls.database_url,
        redis_url=urls.redis_url,
        data_dir=tmp_path,
        settings={"MATHCODE_PROFILE": "mini"},
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
