"""`mathcode router eval` and `calibrate` on labelled prompts of our own, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from cli.router import router
from core.errors import ConfigurationError, InvalidRequest
from core.settings import load_settings

ROWS = (
    ("Prove that the sum of two odd numbers is even.", "MATH", "proofs"),
    ("Solve x^2 - 4 = 0 for x.", "MATH", "equations"),
    ("Why does my Docker container exit at once?", "CODE", "questions"),
    ("Write a Python function that reverses a string.", "CODE", "tasks"),
    ("Implement Newton's method in Python and prove that it converges.", "HYBRID", "tasks"),
    ("Write a poem about the sea.", "OTHER", "talk"),
)


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write(tmp_path, *({"prompt": p, "label": label, "source": source} for p, label, source in ROWS))


def write(folder: Path, *rows: dict[str, str]) -> Path:
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder / "prompts.jsonl"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(router, list(map(str, arguments)), catch_exceptions=False)


def test_eval_prints_confusion_precision_recall_calibration_served_and_time(prompts: Path) -> None:
    said = run("eval", prompts).output
    for part in (
        "right, mean over sources", "expected calibration error", "recall", "precision", "taken for",
        "served 1.000", "calls a prompt", "(99 of 100)",
    ):  # fmt: skip
        assert part in said, part


def test_eval_lists_the_worst_source_first(tmp_path: Path) -> None:
    wrong = {"prompt": ROWS[0][0], "label": "OTHER", "source": "mislabelled"}
    right = {"prompt": ROWS[1][0], "label": "MATH", "source": "equations"}
    lines = run("eval", write(tmp_path, right, wrong)).output.splitlines()
    (start,) = [number for number, line in enumerate(lines) if "taken for" in line]
    assert [line.split()[0] for line in lines[start + 1 : start + 3]] == ["mislabelled", "equations"]


def test_eval_is_one_object_for_scripts(prompts: Path) -> None:
    figures = json.loads(run("eval", prompts, "--json").output)
    assert figures["version"].startswith("router-")
    assert (figures["prompts"], figures["served"]) == (1.0, 1.0)
    assert 1.1 < figures["calls"] < 2
    assert 0 <= figures["calibration_error"] < 0.3


def test_eval_measures_the_keyword_router_too(prompts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER", "keywords")
    assert json.loads(run("eval", prompts, "--json").output)["version"] == "keywords"


def test_calibrate_prints_the_curve_and_the_setting_within_the_calls(prompts: Path) -> None:
    cheap, dear = (run("calibrate", prompts, "--max-calls", calls).output for calls in ("1.2", "2"))
    assert "threshold  served  calls" in cheap
    assert "<- chosen" in cheap
    assert dear.endswith("MATHCODE_ROUTER_THRESHOLD=1\n")
    assert float(cheap.rpartition("=")[2]) < 1


def test_calibrate_draws_the_curve(prompts: Path, tmp_path: Path) -> None:
    run("calibrate", prompts, "--svg", tmp_path / "curve.svg")
    drawn = ElementTree.parse(tmp_path / "curve.svg").getroot()  # noqa: S314 (our own)
    (line,) = [part for part in drawn if part.tag.endswith("polyline")]
    assert len(line.attrib["points"].split()) == 101
    assert any("chosen: threshold" in (part.text or "") for part in drawn)


def test_calibrate_needs_no_labels(tmp_path: Path) -> None:
    asked = write(tmp_path, *({"prompt": prompt} for prompt, *_ in ROWS))
    assert "MATHCODE_ROUTER_THRESHOLD=" in run("calibrate", asked).output


def test_calibrate_says_where_no_threshold_keeps_within_the_calls(tmp_path: Path) -> None:
    only = write(tmp_path, {"prompt": ROWS[4][0], "label": "HYBRID"})
    assert (
        "no threshold stays within 1.2 calls: with 0 it is 2.00"
        in run("calibrate", only, "--max-calls", "1.2").output
    )


def test_keywords_have_no_threshold(prompts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER", "keywords")
    with pytest.raises(ConfigurationError, match="ROUTER=learned"):
        run("calibrate", prompts)


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "7", '{"prompt": 1}', '{"prompt": "a", "label": "poetry"}', "[" * 9999]
)
@pytest.mark.parametrize("command", ["eval", "calibrate"])
def test_a_file_that_is_none_is_refused_by_line(tmp_path: Path, command: str, line: str) -> None:
    (tmp_path / "bad").write_text(line, encoding="utf-8")
    with pytest.raises(InvalidRequest, match=r"line 1|empty"):
        run(command, tmp_path / "bad")


def test_what_is_measured_needs_a_label(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="has no `label`"):
        run("eval", write(tmp_path, {"prompt": "a"}))
