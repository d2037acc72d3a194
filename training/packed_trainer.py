"""transformers' Trainer over packed rows: its loop, optimizer and schedule; our loss, order and checkpoints.

A step's loss is the mean over all its predicted tokens, however many micro-batches they come in, so halving those
changes nothing but memory.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from core.errors import TrainingDiverged
from core.options import Device
from training.checkpoints import whole_checkpoint
from training.folder import HeldoutEvent, RunFolder, StepEvent, TrainingPlan
from training.network import load_weights, save_adapter
from training.reporting import Tell
from training.rows import Batch, Rows, collate, predicted

WARM_UP = 0.05
PROGRESS_FILE = "progress.json"
HELDOUT_LOOKS = 10
"""How often, about, the held-out loss is measured during a training."""
LossFunction = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
"""Summed loss of (network, tokens, segments, targets)."""


class RowsTooMany(Exception):
    """A micro-batch did not fit into memory; parameters and optimizer are as after the last whole step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sets:
    """What is trained on, and what is measured meanwhile."""

    trained: Rows
    heldout: Rows


class PackedTrainer(Trainer):
    """One attempt at a run, with one size of micro-batch. `seconds` were spent by earlier attempts."""

    def __init__(
        self,
        adapted: nn.Module,
        sets: Sets,
        *,
        plan: TrainingPlan,
        folder: RunFolder,
        micro_batch_rows: int,
        seconds: float,
        loss: LossFunction,
        tell: Tell,
        is_interrupted: Callable[[], bool],
    ) -> None:
        arguments = _arguments(plan, folder, sets.trained, micro_batch_rows)
        super().__init__(
            model=adapted,
            args=arguments,
            train_dataset=sets.trained,
            data_collator=collate,
            callbacks=[_Clock(plan.options.checkpoint_s, is_interrupted)],
        )
        self.remove_callback(PrinterCallback)
        self.loss_is_scaled_for_ga = True
        self._adapted, self._sets, self._folder, self._loss, self._tell = adapted, sets, folder, loss, tell
        self._micro_batch_rows, self._seconds, self._begun = micro_batch_rows, seconds, time.monotonic()
        self._batch_rows = plan.options.batch_rows
        self._looked_at = -1
        self._last_step = time.monotonic()

    @property
    def seconds(self) -> float:
        """Spent by this attempt and the earlier ones that it goes on from."""
        return self._seconds + time.monotonic() - self._begun

    @property
    def tokens(self) -> int:
        """Trained on since the first step, padding left out."""
        return self._sets.trained.tokens_before(self.state.global_step * self._batch_rows)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], int]:
        """A step's micro-batches and how many tokens they predict together."""
        batches = list(islice(epoch_iterator, num_batches))
        return batches, max(1, sum(predicted(batch) for batch in batches))

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """This micro-batch's part of the step's mean loss."""
        return self._loss(model, inputs["tokens"], inputs["segments"], inputs["targets"]) / num_items_in_batch

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        try:
            loss: Tensor = super().training_step(*args, **kwargs)
        except torch.OutOfMemoryError as error:
            raise RowsTooMany(str(error)) from error
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Tell a step's figures. Raises TrainingDiverged, before anything of such a step is saved."""
        super().log(logs, start_time)
        if "loss" not in logs:
            return
        step, steps = self.state.global_step, self.state.max_steps
        numbers = torch.tensor([logs["loss"], logs.get("grad_norm", 0.0)])
        if not numbers.isfinite().all():
            raise TrainingDiverged(
                f"the loss of step {step} is no number: lower MATHCODE_LEARNING_RATE or look for damaged files"
            )
        before = self._sets.trained.tokens_before((step - 1) * self._batch_rows)
        now, last = time.monotonic(), self._last_step
        self._last_step = now
        self._tell(
            StepEvent(
                step=step,
                steps=steps,
                loss=logs["loss"],
                learning_rate=logs["learning_rate"],
                tokens=self.tokens,
                tokens_per_s=(self.tokens - before) / max(now - last, 1e-9),
            )
        )
        if step == steps or step % max(1, steps // HELDOUT_LOOKS) == 0:
            self.look_at_heldout()

    def look_at_heldout(self) -> None:
        """Measure and tell the held-out loss, where there is a held-out set."""
        if len(self._sets.heldout) and self._looked_at != self.state.global_step:
            self._looked_at = self.state.global_step
            loss = mean_loss(self._adapted, self._sets.heldout, rows=self._micro_batch_rows, loss=self._loss)
            self._tell(HeldoutEvent(step=self.state.global_step, loss=loss))
            self._last_step = time.monotonic()

    def save_checkpoint(self) -> None:
        """Save what a resumption needs. Raises DiskFull."""
        with whole_checkpoint(self._folder.checkpoints, self.state.global_step) as draft:
            save_adapter(self._adapted, draft)
            self._save_optimizer_and_scheduler(str(draft))
            self._save_rng_state(str(draft))
            progress = {"micro_batch_rows": self._micro_batch_rows, "seconds": self.seconds}
            (draft / PROGRESS_FILE).write_text(json.dumps(progress), encoding="utf-8")
            self.state.save_to_json(str(draft / "trainer_state.json"))

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self.save_checkpoint()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        load_weights(self._adapted, Path(resume_from_checkpoint))

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self._sets.trained)  # shuffled already, the same at every attempt


class _Clock(TrainerCallback):
    """Has a checkpoint saved every so often, and the training stopped once somebody asks for it."""

    def __init__(self, every_s: float, is_interrupted: Callable[[], bool]) -> None:
        self._every_s = every_s
        self._is_interrupted = is_interrupted
        self._saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        control.should_training_stop |= self._is_interrupted()
        is_due = time.monotonic() - self._saved >= self._every_s
        control.should_save |= is_due or control.should_training_stop
        return control

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._saved = time.monotonic()


@torch.no_grad()
def mean_loss(network: nn.Module, rows_of: Rows, *, rows: int, loss: LossFunction) -> float:
    """Mean cross-entropy per predicted token of a set, in nats, `rows` at a time."""
    network.eval()
    device = next(network.parameters()).device
    total, tokens = 0.0, 0
    for batch in rows_of.batches(rows):
        total += float(loss(network, *(batch[name].to(device) for name in ("tokens", "segments", "targets"))))
        tokens += predicted(batch)
    return total / max(tokens, 1)


def _arguments(plan: TrainingPlan, folder: RunFolder, trained: Rows, micro_batch_rows: int) -> TrainingArguments:
    options = plan.options
    return TrainingArguments(
        output_dir=str(folder.checkpoints),
        num_train_epochs=1,  # `Rows` repeats itself
        per_device_train_batch_size=micro_batch_rows,
        gradient_accumulation_steps=options.batch_rows // micro_batch_rows,
        learning_rate=options.warm_learning_rate if plan.is_warm else options.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, round(WARM_UP * -(-len(trained) // options.batch_rows))),
        weight_decay=0.0,
        max_grad_norm=1.0,
        optim="adamw_torch_fused" if plan.device is Device.CUDA else "adamw_torch",
        seed=options.seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",  # `_Clock` decides
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=plan.device is Device.CPU,
    )
