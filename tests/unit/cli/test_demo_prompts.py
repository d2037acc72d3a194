"""Laws of the demo's choice of prompts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from cli.demo_prompts import FIRST_PROMPTS, SHOWN, LabelledPrompt, choose, demo_prompts
from core.errors import ConfigurationError


def rows(counts: dict[str, int]) -> list[LabelledPrompt]:
    return [
        LabelledPrompt(prompt=f"{label} {n}", label=label) for label, count in counts.items() for n in range(count)
    ]


def test_our_own_set_gives_three_and_thirty_different_prompts() -> None:
    prompts = demo_prompts(None)
    assert tuple(prompts[:3]) == FIRST_PROMPTS
    assert len(set(prompts)) == len(FIRST_PROMPTS) + SHOWN


def test_labels_are_shown_in_equal_shares() -> None:
    chosen = choose(rows({"MATH": 400, "CODE": 500, "HYBRID": 100}), 30)
    assert Counter(row.label for row in chosen) == {"MATH": 10, "CODE": 10, "HYBRID": 10}


def test_the_choice_is_spread_over_the_file_and_always_the_same() -> None:
    given = rows({"MATH": 1000})
    assert choose(given, 4) == [given[0], given[250], given[500], given[750]]


def test_a_small_file_is_shown_whole() -> None:
    given = rows({"MATH": 2, "CODE": 1})
    assert sorted(row.prompt for row in choose(given, 30)) == sorted(row.prompt for row in given)


def test_an_empty_file_gives_the_first_three(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").touch()
    assert tuple(demo_prompts(tmp_path / "none.jsonl")) == FIRST_PROMPTS


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(json.dumps({"prompt": "p", "label": "MATH"}) + "\n{oops\n")
    with pytest.raises(ConfigurationError, match=r"prompts\.jsonl, line 2"):
        demo_prompts(file)
