"""Laws of making the tiny pair."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core.messages import ModelName
from ensemble.engine.checkpoint import WEIGHTS_FILE, validate_checkpoint
from ensemble.engine.tiny import ensure_tiny_checkpoint
from ensemble.engine.tokenizer import TOKENIZER_FILE

MAKE = """
import sys
from pathlib import Path
from core.messages import ModelName
from ensemble.engine.tiny import ensure_tiny_checkpoint
sys.stdin.readline()
ensure_tiny_checkpoint(ModelName.CODESTRAL, Path(sys.argv[1]))
"""


@pytest.mark.parametrize("model", list(ModelName))
def test_the_pair_is_the_same_on_every_machine(tiny_models: Path, tmp_path: Path, model: ModelName) -> None:
    ensure_tiny_checkpoint(model, tmp_path / model)
    assert (tmp_path / model / WEIGHTS_FILE).read_bytes() == (tiny_models / model / WEIGHTS_FILE).read_bytes()


def test_it_has_the_layout_of_the_hub_and_is_open_to_other_users(tiny_models: Path) -> None:
    for model in ModelName:
        names = {file.name for file in (tiny_models / model).iterdir()}
        assert {"config.json", "generation_config.json", WEIGHTS_FILE, TOKENIZER_FILE} <= names
        assert all(file.stat().st_mode & 0o444 == 0o444 for file in (tiny_models / model).iterdir())


def test_mamba2_has_more_than_one_group(tiny_models: Path) -> None:
    assert json.loads((tiny_models / ModelName.CODESTRAL / "config.json").read_text())["n_groups"] > 1


def test_making_it_leaves_the_random_numbers_of_the_process_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    ensure_tiny_checkpoint(ModelName.MATHSTRAL, tmp_path / "m")
    assert torch.equal(torch.rand(3), expected)


def test_what_is_there_already_is_left_as_it_is(tmp_path: Path) -> None:
    ensure_tiny_checkpoint(ModelName.MATHSTRAL, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_at_once_leave_one_whole_checkpoint(tmp_path: Path) -> None:
    directory = tmp_path / "models" / "codestral"
    makers = [
        subprocess.Popen([sys.executable, "-c", MAKE, str(directory)], stdin=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    for maker in makers:
        maker.communicate(timeout=120)
    assert [maker.returncode for maker in makers] == [0, 0]
    validate_checkpoint(ModelName.CODESTRAL, directory)
    assert [path.name for path in directory.parent.iterdir()] == ["codestral"]
