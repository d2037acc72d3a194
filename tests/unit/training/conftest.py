"""A tiny base, real code as data, and run folders that a trainer can be let loose on."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
import torch

from core.messages import ModelName
from core.options import Device, Weights
from core.training import Purpose, TrainingOptions
from ensemble.engine.tiny import ensure_tiny_checkpoint
from ensemble.engine.tokenizer import Tokenizer, load_tokenizer
from training.base import base_hash
from training.dataset import prepare
from training.folder import Event, RunFolder, TrainingPlan

T = TypeVar("T")
NewRun = Callable[..., RunFolder]
OPTIONS = TrainingOptions(
    weights=Weights.FP32,
    epochs=1,
    max_files=1000,
    row_tokens=96,
    batch_rows=4,
    micro_batch_rows=2,
    lora_rank=4,
    lora_alpha=8.0,
    lora_dropout=0.0,
    lora_targets=("in_proj", "out_proj"),
    learning_rate=5e-3,
    warm_learning_rate=1e-3,
    checkpoints_gradient=False,
    kept_blocks=0,
    fim_rate=0.0,
    replay_rate=0.25,
    min_quality_score=70.0,
    most_loops=0.25,
    min_improvement=0.005,
    most_regression=0.01,
    checkpoint_s=1000.0,
    stall_s=900.0,
    seed=7,
)


def options(**changes: object) -> TrainingOptions:
    return OPTIONS.model_copy(update=changes)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny code model's checkpoint, read only by agreement."""
    directory = tmp_path_factory.mktemp("base") / ModelName.CODESTRAL
    ensure_tiny_checkpoint(ModelName.CODESTRAL, directory)
    return directory


@pytest.fixture(scope="session")
def tokenizer(base: Path) -> Tokenizer:
    return load_tokenizer(base)


@pytest.fixture(scope="session")
def functions() -> list[str]:
    """Short functions of the standard library."""
    return [
        text
        for module in (textwrap, ast, json.decoder, inspect)
        for _, each in inspect.getmembers(module, inspect.isfunction)
        if each.__module__ == module.__name__ and 40 < len(text := inspect.getsource(each)) < 500
    ]


@dataclass(frozen=True)
class Told:
    """Everything a process under test said."""

    events: list[Event]

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def told() -> Told:
    return Told([])


@pytest.fixture
def new_run(base: Path, tokenizer: Tokenizer, functions: list[str], tmp_path: Path) -> NewRun:
    """A folder with plan and dataset: 12 functions trained, 4 held out, unless told otherwise."""

    def make(
        name: str = "run-1",
        *,
        sources: Mapping[Purpose, list[str]] | None = None,
        parent: Path | None = None,
        is_warm: bool = False,
        **changes: object,
    ) -> RunFolder:
        folder, chosen = RunFolder(tmp_path / name), options(**changes)
        folder.path.mkdir()
        plan = TrainingPlan(
            run_id=1,
            base=base,
            base_hash=base_hash(base),
            parent=parent,
            is_warm=is_warm,
            device=Device.CPU,
            options=chosen,
        )
        folder.plan.write_text(plan.model_dump_json(), encoding="utf-8")
        texts = sources or {Purpose.TRAIN: functions[:12], Purpose.HELDOUT: functions[12:16]}
        prepare(folder, texts, tokenizer=tokenizer, options=chosen)
        return folder

    return make
