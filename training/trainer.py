"""Trains one run to its end: `python -m training.trainer RUN_DIR`, a process of its own that frees the card.

Begun again it goes on from its last whole checkpoint; a finished run it leaves as it is. Exit status:
0 trained, 75 told to stop and saved, 1 failed, and its last event says why.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from core.errors import TrainingFailed
from core.messages import ModelName
from core.options import Device
from ensemble.engine.loading import load_network, require_device
from training.attempts import Attempts, Stop
from training.base import require_same_base
from training.dataset import RowSet, read_summary
from training.folder import EX_INTERRUPTED, AliveEvent, RunFolder, TrainingPlan, TrainingResult
from training.folder_lock import PATIENCE_S, folder_lock
from training.leash import tie_to_parent
from training.network import adapt, checkpoint_gradients, make_ready, packed_loss, save_adapter, warm_start
from training.packed_trainer import LossFunction, Sets
from training.reporting import Tell, failing_by_name, take_standard_output
from training.rows import Rows
from training.storage import sweep_drafts, whole_directory, write_whole

HELDOUT_TOKENS = 65_536
"""Most of them measured at each look; the evaluation measures all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Trains what a folder's plan says. `loss` is what a micro-batch is put through.

    Another trainer in the same folder is waited for, `patience_s` at most.
    """

    folder: RunFolder
    tell: Tell
    stop: Stop = field(default_factory=Stop)
    loss: LossFunction = packed_loss
    patience_s: float = PATIENCE_S

    def run(self) -> int:
        """Go on to the end, or until told to stop; the exit status.

        Raises:
            TrainingFailed, ConfigurationError, FolderBusy: in one sentence what is to be done.
        """
        self.tell(AliveEvent(stage="waiting for the run's folder"))
        with folder_lock(self.folder.path, patience_s=self.patience_s):
            return self._run()

    def _run(self) -> int:
        if self.folder.trained.is_file():
            return 0
        plan = self.folder.read_plan()
        sweep_drafts(self.folder.path)
        adapted, sets = self._load(plan)
        attempts = Attempts(
            adapted=adapted,
            sets=sets,
            plan=plan,
            folder=self.folder,
            tell=self.tell,
            stop=self.stop,
            loss=self.loss,
        )
        trainer = attempts.run()
        if trainer.state.global_step < trainer.state.max_steps:
            return EX_INTERRUPTED
        with whole_directory(self.folder.adapter) as draft:
            save_adapter(adapted, draft)
        result = TrainingResult(
            steps=trainer.state.global_step,
            tokens=trainer.tokens,
            seconds=trainer.seconds,
            micro_batch_rows=trainer.args.per_device_train_batch_size,
        )
        write_whole(self.folder.trained, result.model_dump_json(indent=1))
        return 0

    def _load(self, plan: TrainingPlan) -> tuple[nn.Module, Sets]:
        """The base with a fresh or the parent's adapter, and the rows."""
        self.tell(AliveEvent(stage="loading"))
        require_same_base(plan.base, plan.base_hash)
        require_device(ModelName.CODESTRAL, plan.device, plan.options.weights)
        sets = self._read_sets(plan)
        network = load_network(ModelName.CODESTRAL, plan.base, device=plan.device, weights=plan.options.weights)
        make_ready(network)
        adapted = adapt(network, plan.options)
        if plan.options.checkpoints_gradient:
            checkpoint_gradients(network, kept_blocks=plan.options.kept_blocks)
        if plan.is_warm:
            if plan.parent is None:
                raise TrainingFailed("a warm run needs its parent's adapter: plan it anew")
            warm_start(adapted, plan.parent, plan.options)
        if plan.device is Device.CPU:
            torch.set_num_threads(1)  # the same sums in the same order at every attempt
        return adapted, sets

    def _read_sets(self, plan: TrainingPlan) -> Sets:
        if (summary := read_summary(self.folder)) is None:
            raise TrainingFailed(f"{self.folder.dataset} is missing or torn: prepare the run's dataset again")
        options = summary.options
        if options != plan.options:
            raise TrainingFailed(f"{self.folder.dataset} was made with other options: prepare it again")
        trained = Rows.read(self.folder, RowSet.TRAINED, epochs=options.epochs, seed=options.seed)
        heldout = Rows.read(self.folder, RowSet.HELDOUT)
        return Sets(trained=trained, heldout=heldout.first(max(1, HELDOUT_TOKENS // options.row_tokens)))


def main() -> int:
    tie_to_parent()
    tell, stop = take_standard_output(), Stop()
    signal.signal(signal.SIGTERM, stop.ask)
    training = Training(folder=RunFolder(Path(sys.argv[1]).absolute()), tell=tell, stop=stop)
    return failing_by_name(training.run, tell)


if __name__ == "__main__":
    sys.exit(main())
