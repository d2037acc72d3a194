"""Laws of measuring: a version is better on what it was trained on, and what is wrong with its texts is said."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import pytest

from core.errors import TrainingFailed
from core.messages import ModelName
from core.settings import Settings
from core.training import Purpose
from ensemble.engine.build import build_engine
from tests.adapters import write_adapter
from tests.contract.asking import complete, work
from training.evaluation import Evaluation
from training.folder import RunFolder, Scores, TrainingResult
from training.plot import loss_plot
from training.trainer import Training
from training.writing import Written, faults

from .conftest import NewRun, Told


def scores_of(folder: RunFolder) -> Scores:
    assert Evaluation(folder=folder, tell=Told([])).run() == 0
    return Scores.model_validate_json(folder.scores.read_text(encoding="utf-8"))


def test_a_trained_version_is_better_than_none_on_its_own_files(
    new_run: NewRun, functions: list[str], told: Told
) -> None:
    sources = {Purpose.ANCHOR: functions[:12], Purpose.HELDOUT: functions[12:16]}
    folder = new_run(sources=sources, epochs=3)
    with pytest.raises(TrainingFailed, match="not trained to its end"):
        scores_of(folder)
    assert Training(folder=folder, tell=told).run() == 0
    scores = scores_of(folder)
    assert scores.smoke == ()
    assert set(scores.candidate.losses) == set(scores.serving.losses) == {Purpose.ANCHOR, Purpose.HELDOUT}
    assert scores.candidate.losses[Purpose.ANCHOR] < scores.serving.losses[Purpose.ANCHOR] - 0.2
    assert 0 <= scores.candidate.passed <= scores.tasks == 20


def test_the_version_in_service_is_measured_with_its_own_adapter(new_run: NewRun) -> None:
    """Of another rank here; the same adapter as candidate and parent gives the same figures."""
    described = {"target_modules": ["in_proj", "out_proj"]}
    adapter = write_adapter(new_run("parent").path / "adapter", rank=3, config=described)
    folder = new_run(parent=adapter)
    write_adapter(folder.adapter, rank=3, config=described)
    trained = TrainingResult(steps=1, tokens=1, seconds=1.0, micro_batch_rows=1)
    folder.trained.write_text(trained.model_dump_json(), encoding="utf-8")
    scores = scores_of(folder)
    assert scores.candidate == scores.serving
    bare = new_run("bare")
    write_adapter(bare.adapter, rank=3, config=described)
    bare.trained.write_text(trained.model_dump_json(), encoding="utf-8")
    assert scores_of(bare).serving.losses != scores.serving.losses


def written(*rows: tuple[int, ...], is_finite: bool = True) -> Written:
    return Written(texts=tuple("x" * len(row) for row in rows), tokens=rows, is_finite=is_finite)


def test_faults_are_named_and_loops_are_judged_beside_the_version_in_service() -> None:
    fine, loop = tuple(range(30)), (7,) * 30
    assert faults(written(fine, fine), written(fine, fine), 100) == ()
    assert faults(written(loop, loop), written(loop, loop), 100) == ()
    assert "over and over" in faults(written(loop, loop), written(fine, fine), 100)[0]
    assert "no numbers" in faults(written(fine, is_finite=False), written(fine), 100)[0]
    assert "not of the vocabulary" in faults(written(fine), written(fine), 10)[0]
    assert "writes nothing" in faults(written(()), written(fine), 100)[0]


def test_the_engine_answers_otherwise_with_a_trained_adapter(
    new_run: NewRun, base: Path, told: Told, tmp_path: Path
) -> None:
    folder = new_run(epochs=3, learning_rate=0.02)
    assert Training(folder=folder, tell=told).run() == 0
    settings = Settings(MATHCODE_CODESTRAL=str(base), MATHCODE_DATA_DIR=tmp_path, MATHCODE_SLOTS=1)
    with closing(build_engine(ModelName.CODESTRAL, settings)) as engine:
        before = complete(engine, work(max_tokens=24))
        engine.swap_adapter("v1", folder.adapter)
        after = complete(engine, work(max_tokens=24))
    assert after.version == "v1"
    assert after.text != before.text


def test_a_plot_is_an_svg_and_the_same_every_time() -> None:
    trained, heldout = [(1, 3.0), (2, math.nan), (3, 2.0)], [(1, 3.1), (3, 2.2)]
    drawn = loss_plot(trained, heldout)
    assert drawn == loss_plot(trained, heldout)
    root = ElementTree.fromstring(drawn)  # noqa: S314 - our own
    assert root.tag.endswith("svg")
    assert "nan" not in drawn
    assert ElementTree.fromstring(loss_plot([], [])) is not None  # noqa: S314
