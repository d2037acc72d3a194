"""The long steps of a run; each knows what is done already and does the rest, in a process of its own."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from core.card import CardStore
from core.errors import DiskFull, FolderBusy, TrainingFailed
from core.manifests import ManifestStore
from core.messages import ModelName
from core.model_versions import Version
from core.roster import Roster
from core.run_leases import RunLease
from core.settings import Settings, child_environment
from core.training import Purpose
from core.training_runs import Run
from ensemble.base_hash import base_hash
from ensemble.engine.locate import checkpoint_directory
from ensemble.engine.tokenizer import load_tokenizer
from ensemble.models import describe_model
from training.card import lent_card
from training.child import Child, Ending
from training.chronicle import Chronicle
from training.dataset import prepare
from training.folder import EX_INTERRUPTED, RunFolder, Scores, TrainingPlan
from training.pulse import Hold, StopReason

MOST_FAILURES = 3
"""In a row without a step between them, before a run is given up."""
DISK_PAUSE_S = 60.0
MOST_DISK_PAUSES = 30

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """All of them may be begun again; what they need stands in the run's folder and in the ledger."""

    settings: Settings
    manifests: ManifestStore
    lease: RunLease
    cards: CardStore
    roster: Roster

    def folder(self, run_id: int) -> RunFolder:
        return RunFolder(self.settings.data_dir / "training" / f"run-{run_id}")

    def plan(self, run: Run, parent: Version | None, *, is_warm: bool) -> TrainingPlan:
        """Raises ConfigurationError, of which CheckpointError and ModelAccessError are some."""
        base = checkpoint_directory(describe_model(ModelName.CODESTRAL, self.settings), self.settings)
        return TrainingPlan(
            run_id=run.id,
            base=base,
            base_hash=base_hash(base),
            parent=parent.directory if parent else None,
            is_warm=is_warm,
            device=self.settings.device,
            options=run.options,
        )

    def prepare(self, folder: RunFolder, run: Run, hold: Hold) -> None:
        """Tokenise and pack the files of the manifest. Raises NothingToTrain, DiskFull, DatabaseUnavailable."""
        Chronicle(self.lease, hold.claim, stage="prepare").write()
        plan = folder.read_plan()
        sources = {purpose: self.manifests.contents(run.id, purpose) for purpose in Purpose}
        prepare(folder, sources, tokenizer=load_tokenizer(plan.base), options=plan.options)

    @contextmanager
    def card(self, run: Run, hold: Hold) -> Iterator[None]:
        """Have the card, where serving shares it; the run is handed back when serving takes it again.

        Raises CardBusy, DatabaseUnavailable.
        """
        settings = self.settings
        if settings.training_pauses:
            Chronicle(self.lease, hold.claim, stage="wait for the card").write()
        with lent_card(
            self.cards,
            run.id,
            card=settings.card,
            roster=self.roster,
            pauses=settings.training_pauses,
            lease_s=settings.card_lease_s,
            patience_s=settings.card_patience_s,
            on_lost=lambda: hold.stop(StopReason.STOPPING),
        ):
            yield

    def train(self, folder: RunFolder, hold: Hold) -> None:
        """Train to the last step, or until `hold` is stopped. Raises TrainingFailed, FolderBusy."""
        self._run("train", "training.trainer", folder, hold)

    def evaluate(self, folder: RunFolder, hold: Hold) -> Scores | None:
        """Measure the candidate beside the version in service; None if `hold` is stopped before."""
        if not folder.scores.is_file():
            self._run("evaluate", "training.evaluation", folder, hold)
        if hold.stopped.is_set():
            return None
        return Scores.model_validate_json(folder.scores.read_text(encoding="utf-8"))

    def clear(self, folder: RunFolder) -> None:
        """Remove what only an unfinished run needs."""
        for directory in (folder.dataset, folder.checkpoints, folder.adapter):
            shutil.rmtree(directory, ignore_errors=True)

    def _run(self, stage: str, module: str, folder: RunFolder, hold: Hold) -> None:
        failures = pauses = 0
        while not hold.stopped.is_set():
            chronicle = Chronicle(self.lease, hold.claim, stage=stage)
            chronicle.write()
            ending = self._child(module, folder).run(on_event=chronicle.keep, stopped=hold.stopped)
            if ending.code == 0 or ending.was_told:
                chronicle.finish(hold.stopped)
                return
            is_full = chronicle.failure is not None and chronicle.failure.code == DiskFull.code
            pauses += is_full
            failures = 0 if is_full else 1 + (0 if ending.has_moved else failures)
            chronicle.finish(hold.stopped)
            self._take(stage, ending, chronicle, gives_up=failures >= MOST_FAILURES or pauses > MOST_DISK_PAUSES)
            if is_full:
                hold.stopped.wait(DISK_PAUSE_S)

    def _take(self, stage: str, ending: Ending, chronicle: Chronicle, *, gives_up: bool) -> None:
        """Keep why a process ended. Raises TrainingFailed where beginning again would not help, or FolderBusy."""
        failure = chronicle.failure
        if failure is not None and failure.code == FolderBusy.code:
            raise FolderBusy(failure.message)
        if failure is not None and (gives_up or failure.code != DiskFull.code):
            chronicle.write()
            raise TrainingFailed(failure.message)
        why = failure.message if failure else _why(ending, self.settings.stall_s)
        chronicle.note(f"{stage}: {why}; it is begun again from what it has saved")
        chronicle.write()
        if gives_up:
            raise TrainingFailed(f"{stage} ended {MOST_FAILURES} times without a step between: {why}")

    def _child(self, module: str, folder: RunFolder) -> Child:
        """Kernels compiled and tuned once are found again by the next process."""
        cache = self.settings.data_dir / "triton"
        return Child(
            module=module,
            folder=folder.path,
            log=folder.path / "training.log",
            environment=child_environment(TRITON_CACHE_DIR=str(cache), TRITON_CACHE_AUTOTUNING="1"),
            stall_s=self.settings.stall_s,
        )


def _why(ending: Ending, stall_s: float) -> str:
    if ending.has_stalled:
        return f"made no progress for {stall_s:.0f} s and was ended"
    if ending.code == EX_INTERRUPTED:
        return "was told to stop by somebody else"
    if ending.code < 0:
        return f"was killed by signal {-ending.code}"
    return f"ended with status {ending.code} ({ending.last_words})"
