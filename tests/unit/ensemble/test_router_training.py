"""Laws of fitting the router, on few generated prompts and labelled ones of our own."""

from __future__ import annotations

import io
import json
import random
import re
import sys
from pathlib import Path

import pytest

from core.messages import RouteLabel
from ensemble.router_files import load_weights
from ensemble.router_training import __main__ as command
from ensemble.router_training import fitting
from ensemble.router_training.fitting import Lesson, leave_one_source_out, render
from ensemble.router_training.generator import augment, disturb, generate
from ensemble.router_training.promotion import find_obstacle, is_held_out
from ensemble.routing.classifier import Classifier, parse_weights
from ensemble.routing.labelled_prompts import parse_rows
from ensemble.routing.labels import LABELS
from ensemble.routing.measures import Row, score
from tests.harness import ROOT

LABELLED = ROOT.parent / "shared" / "routing" / "dev.jsonl"
GENERATED = fitting.GENERATED
SOURCES = 2
COUNT = 40
"""Prompts of each class and source."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "GENERATED", 40)


def labelled(seed: int = 5, label: RouteLabel | None = None) -> list[Row]:
    """Prompts that the lesson does not generate, since their seed is another."""
    made = generate(COUNT * SOURCES, seed)
    rows = [Row(prompt, kind, f"source {at % SOURCES}") for at, (prompt, kind) in enumerate(made)]
    return [row for row in rows if label is None or row.label is label]


def write(path: Path, rows: list[Row]) -> Path:
    lines = [
        f'{{"prompt": {_json(row.prompt)}, "label": "{row.label}", "source": "{row.source}"}}' for row in rows
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _json(text: str) -> str:
    return json.dumps(text)


def feedback(rows: list[Row]) -> io.StringIO:
    return io.StringIO("".join(f'{{"prompt": {_json(row.prompt)}, "label": "{row.label}"}}\n' for row in rows))


def train(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path, stdin: io.StringIO | None = None) -> None:
    monkeypatch.setattr(sys, "argv", ["router_training", *map(str, arguments)])
    monkeypatch.setattr(sys, "stdin", stdin or io.StringIO())
    command.main()


def test_the_same_rows_give_the_same_weights_bit_for_bit() -> None:
    first, again = (render(Lesson(labelled()).fit_all(), 0.7) for _ in range(2))
    assert first == again
    assert render(Lesson(labelled(6)).fit_all(), 0.7) != first


def test_the_weights_that_are_shipped_are_what_the_script_makes_of_the_labelled_prompts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where these lie beside the repository; another kind of processor may round a sum in its last bits."""
    if not LABELLED.exists():
        pytest.skip("the labelled prompts are not here")
    monkeypatch.setattr(fitting, "GENERATED", GENERATED)
    shipped = load_weights()
    assert isinstance(shipped, Classifier)
    with LABELLED.open(encoding="utf-8") as lines:
        made = parse_weights(render(Lesson(parse_rows(lines)).fit_all(), shipped.temperature))
    gap = max(abs(new - old) for new, old in zip(made.weights, shipped.weights, strict=True))
    assert gap < 0.0015


def test_the_version_is_that_of_the_weights() -> None:
    version = parse_weights(render(Lesson(labelled()).fit_all(), 0.7)).version
    assert re.fullmatch(r"router-[0-9a-f]{8}", version)


def test_sources_left_out_are_recognised() -> None:
    rows = labelled()
    folds = leave_one_source_out(Lesson(rows))
    assert set(folds.models) == {row.source for row in rows}
    assert score(rows, folds.probabilities).sources > 0.8
    assert all(sum(chances) == pytest.approx(1) for chances in folds.probabilities)


def test_a_model_never_sees_the_source_that_is_left_out() -> None:
    """Labels of the source that is left out may be anything: its probabilities stay the same."""
    rows = labelled()
    wrong = [Row(row.prompt, LABELS[0], row.source) if row.source == "source 0" else row for row in rows]
    lessons = [Lesson(each) for each in (rows, wrong)]
    kept = [row.source != "source 0" for row in rows]
    first, second = (lesson.fit(kept).weights for lesson in lessons)
    assert first.equal(second)


def test_no_text_of_the_data_is_in_the_weights() -> None:
    content = render(Lesson([*labelled(), Row("xylophonic zebu", RouteLabel.OTHER, "s")]).fit_all(), 0.7)
    assert b"xylophonic" not in content


def test_generated_prompts_are_the_same_for_a_seed_and_fill_every_mark() -> None:
    made = generate(200, 0)
    assert made == generate(200, 0)
    assert {label for _, label in made} == set(LABELS)
    assert [prompt for prompt, _ in made if re.search(r"\{[tTblfnmk]\}", prompt)] == []


def test_disturbed_copies_keep_their_label_and_differ() -> None:
    made = generate(50, 0)
    changed = augment(made, 1, share=1.0)
    assert [label for _, label in changed] == [label for _, label in made]
    assert sum(new != old for (new, _), (old, _) in zip(changed, made, strict=True)) > len(made) / 2
    kinds = {disturb(random.Random(seed), "Prove the theorem") for seed in range(60)}  # noqa: S311 (no secret)
    assert any("[INST]" in each for each in (disturb(random.Random(s), "x") for s in range(2000)))  # noqa: S311
    assert "PROVE THE THEOREM" in kinds


def test_training_prints_each_source_and_writes_the_weights_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = write(tmp_path / "p", labelled()), tmp_path / "new" / "weights"
    train(monkeypatch, file, "--out", out)
    said = capsys.readouterr().out
    assert "source 1" in said
    assert "served " in said
    assert f"promoted: {parse_weights(out.read_bytes()).version}" in said
    train(monkeypatch, file)
    assert "not written" in capsys.readouterr().out


def test_feedback_of_a_new_kind_makes_it_better_and_is_promoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The callers of this installation mean code by words that nobody else uses."""
    words = ("frobnicate the widget", "regrok a gadget", "unsnarl my sprocket", "defrag the doohickey")
    given = [Row(f"{words[at % 4]} number {at}", RouteLabel.CODE, "") for at in range(120)]
    file, out = write(tmp_path / "p", labelled()), tmp_path / "weights"
    train(monkeypatch, file, "--with-feedback", "--out", out, stdin=feedback(given))
    said = capsys.readouterr().out
    assert "promoted: router-" in said, said
    assert "right without" in said
    assert parse_weights(out.read_bytes()).judge("frobnicate the gadget").chances[RouteLabel.CODE] > 0.5


def test_feedback_that_makes_it_worse_is_not_promoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody calls everything general talk, whatever it is."""
    given = [Row(row.prompt, RouteLabel.OTHER, "") for row in labelled(7) if row.label is not RouteLabel.OTHER]
    out = tmp_path / "weights"
    train(monkeypatch, write(tmp_path / "p", labelled()), "--with-feedback", "--out", out, stdin=feedback(given))
    assert "not promoted: it is not better on held-out prompts of both kinds" in capsys.readouterr().out
    assert not out.exists()


@pytest.mark.parametrize("count", [0, 5])
def test_too_few_labels_from_use_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    file, out = write(tmp_path / "p", labelled()), tmp_path / "weights"
    train(monkeypatch, file, "--with-feedback", "--out", out, stdin=feedback(labelled(8)[:count]))
    assert f"not promoted: there are {count} labels from use" in capsys.readouterr().out
    assert not out.exists()


def test_what_is_held_out_is_the_same_each_time_and_of_both_kinds() -> None:
    rows = labelled()
    share = sum(is_held_out(row.prompt) for row in rows) / len(rows)
    assert 0.1 < share < 0.3
    kept = [row for row in labelled(9) if not is_held_out(row.prompt)]
    assert find_obstacle(rows, kept) == "only 0 prompts of one kind would be held out: at least 5 are needed"
