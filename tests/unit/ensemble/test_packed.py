"""Weights survive packing to within half a step of their row, and unpacking is whole or not at all."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.errors import CheckpointError
from core.messages import ModelName
from ensemble.models import MINI_EDITION, MINI_PAIR
from ensemble.packed import PACKED_FILE, WEIGHTS_FILE, pack, unpack

SHIPPED = {
    1: {
        "mathstral": "ce1ddfb10375d7a52c577803a0b8ef02b6d608d153ef2192b3305651eb7bcce3",
        "codestral": "b9c48e21b09152e5fb44edfaf0ecb26d3b42eacc52865c4372ac939f4c614812",
    }
}
"""SHA-256 of the small pair's weights, by edition. Other weights are another edition: append."""


def test_an_edition_of_the_small_pair_never_changes() -> None:
    shipped = {model: MINI_PAIR / f"mini-{model}" / PACKED_FILE for model in ModelName}
    digests = {model.value: hashlib.sha256(file.read_bytes()).hexdigest() for model, file in shipped.items()}
    assert digests == SHIPPED[MINI_EDITION]


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    chance = np.random.default_rng(3)
    matrix = chance.normal(size=(48, 32)).astype(np.float32) * np.logspace(-4, 3, 48, dtype=np.float32)[:, None]
    matrix[5] = 0
    return {"a.weight": matrix, "a.bias": chance.normal(size=48).astype(np.float32)}


@pytest.fixture
def packed(weights: dict[str, np.ndarray], tmp_path: Path) -> Path:
    directory = tmp_path / "packed"
    directory.mkdir()
    pack(weights, directory)
    (directory / "config.json").write_text("{}", encoding="utf-8")
    return directory


def test_a_matrix_comes_back_to_within_half_a_step_and_the_rest_as_it_was(
    weights: dict[str, np.ndarray], packed: Path, tmp_path: Path
) -> None:
    unpack(packed, tmp_path / "whole")
    back = load_file(tmp_path / "whole" / WEIGHTS_FILE)
    assert back.keys() == weights.keys()
    half_steps = np.abs(weights["a.weight"]).max(axis=1) / 127 / 2
    assert (np.abs(back["a.weight"] - weights["a.weight"]) <= 1.001 * half_steps[:, None]).all()
    assert (back["a.weight"][5] == 0).all()
    assert (back["a.bias"] == weights["a.bias"]).all()
    assert (tmp_path / "whole" / "config.json").read_text(encoding="utf-8") == "{}"
    assert not (tmp_path / "whole" / PACKED_FILE).exists()


def test_several_at_once_make_one(packed: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: unpack(packed, tmp_path / "deep" / "whole"), range(8)))
    assert [each.name for each in (tmp_path / "deep").iterdir()] == ["whole"]


def test_what_is_there_is_left_alone(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    unpack(packed, tmp_path / "whole")
    assert list((tmp_path / "whole").iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "missing", "no scale"])
def test_damage_is_named_and_leaves_nothing(
    packed: Path, weights: dict[str, np.ndarray], tmp_path: Path, damage: str
) -> None:
    file = packed / PACKED_FILE
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    elif damage == "missing":
        file.unlink()
    else:
        save_file({name: value for name, value in load_file(file).items() if name != "a.weight.scale"}, file)
    with pytest.raises(CheckpointError, match="install mathcode again"):
        unpack(packed, tmp_path / "new" / "whole")
    assert not (tmp_path / "new").exists()
