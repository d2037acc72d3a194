"""Brings a training to its end in as many attempts as it takes, each with fewer rows on the device at once."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor, nn

from core.errors import DeviceTooSmall
from training.checkpoints import newest_whole
from training.folder import EX_INTERRUPTED, NoteEvent, RunFolder, TrainingPlan
from training.packed_trainer import PROGRESS_FILE, LossFunction, PackedTrainer, RowsTooMany, Sets
from training.reporting import Tell
from training.storage import sweep_drafts


@dataclass(slots=True)
class Stop:
    """Whether somebody asked the process to end; before there is anything to save it ends at once."""

    is_asked: bool = False
    has_work: bool = False

    def ask(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        self.is_asked = True
        if not self.has_work:
            sys.exit(EX_INTERRUPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Of one process at one run."""

    adapted: nn.Module
    sets: Sets
    plan: TrainingPlan
    folder: RunFolder
    tell: Tell
    stop: Stop
    loss: LossFunction

    def run(self) -> PackedTrainer:
        """The trainer that came to the last step, or to where it was told to stop. Raises DeviceTooSmall."""
        sweep_drafts(self.folder.checkpoints)
        initial, options = self._weights(), self.plan.options
        most_rows = fitting_rows(options.micro_batch_rows, options.batch_rows)
        while True:
            resumed = newest_whole(self.folder.checkpoints, self._pass_over)
            if resumed is None:
                set_peft_model_state_dict(self.adapted, dict(initial))
            rows, seconds = self._progress(resumed, most_rows)
            trainer = self._trainer(rows, seconds)
            self.stop.has_work = True
            if self._goes_through(trainer, resumed):
                return trainer
            del trainer
            gc.collect()
            torch.cuda.empty_cache()
            most_rows = self._fewer(rows)

    def _trainer(self, rows: int, seconds: float) -> PackedTrainer:
        return PackedTrainer(
            self.adapted,
            self.sets,
            plan=self.plan,
            folder=self.folder,
            micro_batch_rows=rows,
            seconds=seconds,
            loss=self.loss,
            tell=self.tell,
            is_interrupted=lambda: self.stop.is_asked,
        )

    def _goes_through(self, trainer: PackedTrainer, resumed: Path | None) -> bool:
        """Whether memory sufficed; where it did not, the last whole step is saved if it is known to be whole."""
        try:
            trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
            return True
        except RowsTooMany:
            self.adapted.zero_grad(set_to_none=True)
            step = trainer.state.global_step
        except torch.OutOfMemoryError:  # perhaps in the middle of changing the weights
            return False
        if step and (resumed is None or resumed.name != f"checkpoint-{step}"):
            trainer.save_checkpoint()
        return False

    def _fewer(self, rows: int) -> int:
        if rows == 1:
            raise DeviceTooSmall(
                "not even one row at a time fits into the device's memory: lower MATHCODE_ROW_TOKENS or "
                "MATHCODE_LORA_R, set MATHCODE_GRADIENT_CHECKPOINTING or MATHCODE_TRAINING_WEIGHTS=nf4"
            )
        fewer = fitting_rows(rows // 2, self.plan.options.batch_rows)
        self.tell(
            NoteEvent(message=f"out of memory with {rows} rows at once: going on with {fewer}, as many per step")
        )
        return fewer

    def _progress(self, resumed: Path | None, most_rows: int) -> tuple[int, float]:
        """Rows at once, and seconds spent so far."""
        if resumed is None:
            return most_rows, 0.0
        progress = json.loads((resumed / PROGRESS_FILE).read_text(encoding="utf-8"))
        return min(most_rows, int(progress["micro_batch_rows"])), float(progress["seconds"])

    def _pass_over(self, torn: Path) -> None:
        self.tell(NoteEvent(message=f"{torn.name} is torn: passed over, going on from an older one"))

    def _weights(self) -> Mapping[str, Tensor]:
        weights = get_peft_model_state_dict(self.adapted, save_embedding_layers=False)
        return {name: each.detach().cpu().clone() for name, each in weights.items()}


def fitting_rows(wished: int, batch_rows: int) -> int:
    """The most rows at once, up to `wished`, of which a whole number make a step."""
    return next(rows for rows in range(min(wished, batch_rows), 0, -1) if batch_rows % rows == 0)
