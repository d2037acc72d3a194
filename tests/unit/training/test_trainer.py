"""Laws of a training: it goes through whatever happens to it, and comes out the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.errors import AdapterError, BaseChanged, DeviceTooSmall, DiskFull, TrainingDiverged
from ensemble.engine.adapter import WEIGHTS_FILE, read_adapter
from tests.adapters import SHAPES, write_adapter
from tests.harness import ROOT, eventually
from training.attempts import Stop, fitting_rows
from training.checkpoints import is_whole
from training.folder import (
    EVENTS,
    EX_INTERRUPTED,
    Event,
    FailedEvent,
    HeldoutEvent,
    NoteEvent,
    RunFolder,
    StepEvent,
    TrainingResult,
)
from training.network import packed_loss
from training.packed_trainer import LossFunction
from training.trainer import Training

from .conftest import NewRun, Told


def train(folder: RunFolder, told: Told, **parts: Any) -> int:
    return Training(folder=folder, tell=told, **parts).run()


def weights(folder: RunFolder) -> bytes:
    return (folder.adapter / WEIGHTS_FILE).read_bytes()


def losses(told: Told) -> list[float]:
    return [event.loss for event in told.of(StepEvent)]


def trainer_process(folder: RunFolder, command: list[str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command or [sys.executable, "-m", "training.trainer", str(folder.path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> list[Event]:
    """What is left of its events; it has ended then."""
    lines = process.communicate(timeout=60)[0].splitlines()
    return [EVENTS.validate_json(line) for line in lines]


def test_a_training_learns_tells_and_leaves_an_adapter_that_the_engine_reads(new_run: NewRun, told: Told) -> None:
    folder = new_run(epochs=3, checkpoints_gradient=True)
    assert train(folder, told) == 0
    result = TrainingResult.model_validate_json(folder.trained.read_text(encoding="utf-8"))
    steps = told.of(StepEvent)
    assert [event.step for event in steps] == list(range(1, result.steps + 1))
    assert steps[-1].loss < steps[0].loss - 0.2
    assert steps[-1].tokens == result.tokens
    heldout = told.of(HeldoutEvent)
    assert heldout[-1].loss < heldout[0].loss
    adapter = read_adapter(folder.adapter, SHAPES)
    assert set(adapter.products) == set(SHAPES)
    assert all(product.up.abs().sum() > 0 for product in adapter.products.values())
    before = weights(folder)
    assert train(folder, told) == 0
    assert weights(folder) == before


def test_a_training_goes_on_after_kill_as_if_nothing_had_been(new_run: NewRun, told: Told) -> None:
    """Adapters are equal to the bit: fp32 on the CPU, one thread."""
    whole, killed = new_run("whole", epochs=8), new_run("killed", epochs=8, checkpoint_s=0.1)
    assert train(whole, told) == 0
    process = trainer_process(killed)
    eventually(lambda: len(list(killed.checkpoints.glob("checkpoint-*"))) > 1 or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    events = said(process)
    assert process.returncode == -signal.SIGKILL
    assert not killed.trained.exists()
    again = Told([])
    assert train(killed, again) == 0
    first, last = again.of(StepEvent)[0], told.of(StepEvent)[-1]
    assert 1 < first.step <= len([event for event in events if isinstance(event, StepEvent)]) + 1
    assert again.of(StepEvent)[-1].tokens == last.tokens
    assert weights(killed) == weights(whole)


def test_sigterm_saves_and_asks_to_be_begun_again(new_run: NewRun, told: Told) -> None:
    folder = new_run(epochs=8)
    process = trainer_process(folder)
    assert process.stdout is not None
    while not isinstance(EVENTS.validate_json(process.stdout.readline()), StepEvent):
        pass
    process.terminate()
    said(process)
    assert process.returncode == EX_INTERRUPTED
    (checkpoint,) = folder.checkpoints.iterdir()
    assert is_whole(checkpoint)
    assert not folder.adapter.exists()
    assert train(folder, told) == 0
    assert told.of(StepEvent)[0].step == int(checkpoint.name.partition("-")[2]) + 1


def interrupted_after(steps: int, told: Told) -> Stop:
    """A stop that is asked for once so many steps were told."""

    class Asked(Stop):
        @property
        def is_asked(self) -> bool:
            return len(told.of(StepEvent)) >= steps - 1

        @is_asked.setter
        def is_asked(self, value: bool) -> None:
            pass

    return Asked()


@pytest.mark.parametrize("part", ["optimizer.pt", "whole.json"])
def test_a_torn_checkpoint_is_passed_over(new_run: NewRun, told: Told, part: str) -> None:
    folder = new_run(epochs=2, checkpoint_s=0.0)
    assert train(folder, told, stop=interrupted_after(4, told)) == EX_INTERRUPTED
    torn = folder.checkpoints / "checkpoint-4" / part
    torn.write_bytes(torn.read_bytes()[:-7])
    again = Told([])
    assert train(folder, again) == 0
    assert "checkpoint-4 is torn" in again.of(NoteEvent)[0].message
    assert again.of(StepEvent)[0].step == 4


def failing_with_more_than(rows: int, *, from_call: int = 0) -> LossFunction:
    """The real loss, on a device where so many rows fit."""
    calls = count()

    def loss(network: nn.Module, tokens: Tensor, segments: Tensor, targets: Tensor) -> Tensor:
        if torch.is_grad_enabled() and next(calls) >= from_call and len(tokens) > rows:
            raise torch.OutOfMemoryError("no room on this device")
        return packed_loss(network, tokens, segments, targets)

    return loss


@pytest.mark.parametrize("from_call", [0, 2, 3], ids=["at once", "between steps", "within a step"])
def test_out_of_memory_halves_the_rows_at_once_and_nothing_else(
    new_run: NewRun, told: Told, from_call: int
) -> None:
    """Losses agree to 1e-4: sums in another order."""
    roomy, tight = new_run("roomy"), new_run("tight")
    assert train(roomy, told) == 0
    halved = Told([])
    assert train(tight, halved, loss=failing_with_more_than(1, from_call=from_call)) == 0
    assert [event.step for event in halved.of(StepEvent)] == [event.step for event in told.of(StepEvent)]
    assert losses(halved) == pytest.approx(losses(told), abs=1e-4)
    messages = [event.message for event in halved.of(NoteEvent)]
    assert messages == ["out of memory with 2 rows at once: going on with 1, as many per step"]
    assert TrainingResult.model_validate_json(tight.trained.read_text(encoding="utf-8")).micro_batch_rows == 1


def test_where_not_even_one_row_fits_the_run_says_what_to_lower(new_run: NewRun, told: Told) -> None:
    with pytest.raises(DeviceTooSmall, match="lower MATHCODE_ROW_TOKENS"):
        train(new_run(), told, loss=failing_with_more_than(0))


@pytest.mark.parametrize(("wished", "batch", "rows"), [(4, 8, 4), (3, 8, 2), (16, 8, 8), (5, 5, 5), (4, 7, 1)])
def test_a_whole_number_of_micro_batches_makes_a_step(wished: int, batch: int, rows: int) -> None:
    assert fitting_rows(wished, batch) == rows


def test_a_loss_that_is_no_number_ends_the_run_by_name_and_is_never_saved(new_run: NewRun, told: Told) -> None:
    def poisoned(network: nn.Module, tokens: Tensor, segments: Tensor, targets: Tensor) -> Tensor:
        factor = torch.nan if len(told.of(StepEvent)) >= 2 else 1.0
        return packed_loss(network, tokens, segments, targets) * factor

    folder = new_run(epochs=2, checkpoint_s=0.0)
    with pytest.raises(TrainingDiverged, match="step 3"):
        train(folder, told, loss=poisoned)
    assert {each.name for each in folder.checkpoints.iterdir()} == {"checkpoint-1", "checkpoint-2"}
    assert not folder.adapter.exists()


def test_a_full_disk_ends_the_run_by_name_and_keeps_what_was_whole(new_run: NewRun, told: Told) -> None:
    folder = new_run(epochs=2, checkpoint_s=0.0)
    assert train(folder, told, stop=interrupted_after(2, told)) == EX_INTERRUPTED
    limited = f"ulimit -f 40; exec {sys.executable} -m training.trainer {folder.path}"  # KiB per file
    process = trainer_process(folder, ["bash", "-c", limited])
    (failed,) = [event for event in said(process) if isinstance(event, FailedEvent)]
    assert (process.returncode, failed.code) == (1, DiskFull.code)
    assert {each.name for each in folder.checkpoints.iterdir()} == {"checkpoint-1", "checkpoint-2"}
    assert all(is_whole(each) for each in folder.checkpoints.iterdir())
    again = Told([])
    assert train(folder, again) == 0
    assert again.of(StepEvent)[0].step == 3


def test_a_base_that_changed_is_refused(new_run: NewRun, told: Told, tmp_path: Path) -> None:
    folder = new_run()
    other = Path(shutil.copytree(folder.read_plan().base, tmp_path / "other"))
    weights_file = next(other.glob("*.safetensors"))
    with weights_file.open("r+b") as stream:
        stream.seek(-4096, os.SEEK_END)
        stream.write(b"\1")
    plan = folder.read_plan().model_copy(update={"base": other})
    folder.plan.write_text(plan.model_dump_json(), encoding="utf-8")
    with pytest.raises(BaseChanged, match="is not the one this run was planned for"):
        train(folder, told)


def test_a_warm_training_begins_where_its_parent_ended(new_run: NewRun, told: Told) -> None:
    parent = new_run("parent", epochs=3)
    assert train(parent, Told([])) == 0
    child = new_run("child", parent=parent.adapter, is_warm=True)
    assert train(child, told) == 0
    fresh = Told([])
    assert train(new_run("fresh"), fresh) == 0
    assert losses(told)[0] < losses(fresh)[0] - 0.1


def test_a_parent_of_another_shape_is_refused_by_name(new_run: NewRun, told: Told) -> None:
    parent = write_adapter(new_run("parent").path / "adapter", rank=2)
    with pytest.raises(AdapterError, match="set MATHCODE_LORA_R"):
        train(new_run("child", parent=parent, is_warm=True), told)
