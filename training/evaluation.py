"""Measures a trained candidate beside the version in service: `python -m training.evaluation RUN_DIR`.

It measures and does not judge. Losses by set, functions that pass their checks, and faults of what is written go
to scores.json. Exit status: 0 measured, 1 failed, and the last event says why.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from core.errors import TrainingFailed
from core.messages import ModelName
from core.options import Device
from core.training import Purpose
from ensemble.engine.loading import load_network, require_device
from ensemble.engine.tokenizer import Tokenizer, load_tokenizer
from training.attempts import fitting_rows
from training.base import require_same_base
from training.dataset import MEASURED, RowSet, read_summary
from training.exercises import EXERCISES
from training.folder import AliveEvent, Losses, RunFolder, Scores, TrainingPlan
from training.leash import tie_to_parent
from training.network import adapt_as, make_ready, packed_loss
from training.packed_trainer import mean_loss
from training.reporting import Tell, failing_by_name, take_standard_output
from training.rows import Rows
from training.sandbox import passes
from training.storage import write_whole
from training.writing import Written, faults, write


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Of one run that is trained."""

    folder: RunFolder
    tell: Tell

    def run(self) -> int:
        """Measure, unless that is done. Raises TrainingFailed, ConfigurationError."""
        if self.folder.scores.is_file():
            return 0
        plan = self.folder.read_plan()
        if not self.folder.trained.is_file():
            raise TrainingFailed(f"{self.folder.path} is not trained to its end: train it first")
        if read_summary(self.folder) is None:
            raise TrainingFailed(f"{self.folder.dataset} is missing or torn: prepare the run's dataset again")
        self.tell(AliveEvent(stage="loading"))
        require_same_base(plan.base, plan.base_hash)
        require_device(ModelName.CODESTRAL, plan.device, plan.options.weights)
        network = load_network(ModelName.CODESTRAL, plan.base, device=plan.device, weights=plan.options.weights)
        make_ready(network)
        if plan.device is Device.CPU:
            torch.set_num_threads(1)
        scores = self._scores(network, load_tokenizer(plan.base), plan)
        write_whole(self.folder.scores, scores.model_dump_json(indent=1))
        return 0

    def _scores(self, network: PreTrainedModel, tokenizer: Tokenizer, plan: TrainingPlan) -> Scores:
        with version(network, plan.parent) as serving:
            served, was = self._measure(serving, tokenizer, plan, "serving version")
        with version(network, self.folder.adapter) as candidate:
            measured, now = self._measure(candidate, tokenizer, plan, "candidate")
        smoke = faults(now, was, tokenizer.vocabulary_size, more_loops=plan.options.most_loops)
        if any(not math.isfinite(loss) for loss in measured.losses.values()):
            smoke = ("its loss is no number", *smoke)
        return Scores(candidate=measured, serving=served, tasks=len(EXERCISES), smoke=smoke)

    def _measure(
        self, network: nn.Module, tokenizer: Tokenizer, plan: TrainingPlan, name: str
    ) -> tuple[Losses, Written]:
        losses: dict[Purpose, float] = {}
        rows = fitting_rows(plan.options.micro_batch_rows, plan.options.batch_rows)
        for purpose in MEASURED:
            self.tell(AliveEvent(stage=f"{name}: {purpose} loss"))
            measured = Rows.read(self.folder, RowSet(purpose))
            if len(measured):
                losses[purpose] = mean_loss(network, measured, rows=rows, loss=packed_loss)
        self.tell(AliveEvent(stage=f"{name}: writing functions"))
        written = write(network, tokenizer, [exercise.prompt for exercise in EXERCISES])
        self.tell(AliveEvent(stage=f"{name}: running functions"))
        programs = [each.program("\n" + text) for each, text in zip(EXERCISES, written.texts, strict=True)]
        return Losses(losses=losses, passed=sum(map(passes, programs))), written


@contextmanager
def version(network: PreTrainedModel, adapter: Path | None) -> Iterator[nn.Module]:
    """`network` with the adapter in a directory, or without; afterwards it is as before. Raises AdapterError."""
    if adapter is None:
        yield network
        return
    adapted = adapt_as(network, adapter)
    try:
        yield adapted
    finally:
        adapted.unload()


def main() -> int:
    tie_to_parent()
    tell = take_standard_output()
    evaluation = Evaluation(folder=RunFolder(Path(sys.argv[1]).absolute()), tell=tell)
    return failing_by_name(evaluation.run, tell)


if __name__ == "__main__":
    sys.exit(main())
