"""When a training goes on from the serving version, and when it starts afresh."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.model_versions import Version, VersionState
from core.settings import read_settings
from core.training import TrainingOptions
from core.training_runs import Run, RunState
from tests.runs import earlier_run
from training.warmth import PROMOTIONS_PER_START, is_warm

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
def options() -> TrainingOptions:
    return TrainingOptions.of(read_settings())


@pytest.fixture
def serving(tmp_path: Path, options: TrainingOptions) -> Version:
    return version(tmp_path, rank=options.lora_rank, targets=list(options.lora_targets))


def version(directory: Path, *, rank: int, targets: object) -> Version:
    config = {"r": rank, "target_modules": targets}
    (directory / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return Version(
        number=1,
        state=VersionState.SERVING,
        directory=directory,
        checksum="c",
        base_hash="b",
        manifest_hash="m",
        parent=None,
        run_id=1,
        scores={},
        alarm=None,
        created_at=NOW,
        promoted_at=NOW,
    )


def former(options: TrainingOptions, state: RunState) -> Run:
    return earlier_run(state, options, id=1, created_at=NOW, finished_at=NOW)


def test_a_run_goes_on_from_what_serves(serving: Version, options: TrainingOptions) -> None:
    assert is_warm(serving, options, versions=[serving], former=former(options, RunState.PROMOTED))
    assert is_warm(serving, options, versions=[serving], former=None)


def test_without_a_version_in_service_it_starts_afresh(options: TrainingOptions) -> None:
    assert not is_warm(None, options, versions=[], former=None)


def test_after_a_rejection_it_starts_afresh(serving: Version, options: TrainingOptions) -> None:
    assert not is_warm(serving, options, versions=[serving], former=former(options, RunState.REJECTED))


def test_every_fifth_promotion_breaks_the_chain(serving: Version, options: TrainingOptions) -> None:
    chain = [replace(serving, number=n) for n in range(1, PROMOTIONS_PER_START + 1)]
    assert is_warm(serving, options, versions=chain[:-1], former=None)
    assert not is_warm(serving, options, versions=chain, former=None)


@pytest.mark.parametrize(("rank", "targets"), [(3, ["in_proj", "out_proj"]), (32, ["in_proj"]), (32, None)])
def test_an_adapter_of_another_shape_is_not_gone_on_from(
    tmp_path: Path, options: TrainingOptions, rank: int, targets: object
) -> None:
    other = version(tmp_path, rank=rank, targets=targets)
    assert not is_warm(other, options, versions=[other], former=None)


def test_a_directory_that_is_gone_is_not_gone_on_from(
    serving: Version, options: TrainingOptions, tmp_path: Path
) -> None:
    lost = replace(serving, directory=tmp_path / "nowhere")
    assert not is_warm(lost, options, versions=[lost], former=None)
