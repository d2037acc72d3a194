"""One training run, told as a story: settle, prepare, train, evaluate, judge, publish.

Every step may happen twice: what the ledger or the run's folder says is done is not done again, so a run goes on
after whatever interrupted it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import CardBusy, DatabaseUnavailable, FolderBusy, MathcodeError, NothingToTrain
from core.manifests import ManifestStore
from core.model_versions import Version, VersionStore
from core.run_leases import RunLease
from core.training import Purpose
from core.training_runs import Run, RunState, RunStore, Step
from training.folder import RunFolder, Scores
from training.plot import loss_plot
from training.promotion import Verdict, judge
from training.publishing import Publisher
from training.pulse import Hold, Pulse, StopReason
from training.selection import Selection, select
from training.stages import Stages
from training.storage import write_whole
from training.warmth import is_warm

logger = logging.getLogger(__name__)


class Interrupted(Exception):
    """The run is held no longer, for the reason its hold gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A `tasks.ports.Trainer`."""

    runs: RunStore
    lease: RunLease
    manifests: ManifestStore
    versions: VersionStore
    publisher: Publisher
    stages: Stages
    pulse: Pulse
    kept_versions: int

    def train(self, run_id: int) -> None:
        claim = self.lease.begin(run_id)
        if claim is None:
            logger.info("run %s has ended or is another worker's", run_id)
            return
        logger.info("run %s begins, attempt %s", run_id, claim.attempt)
        with self.pulse.hold(claim) as hold:
            try:
                self._advance(self.runs.get(run_id), hold)
            except Interrupted:
                self._leave(hold)
            except DatabaseUnavailable:
                raise
            except (CardBusy, FolderBusy) as error:
                self.lease.note(claim, error.message)
                self.lease.hand_back(claim)
            except NothingToTrain as error:
                self._end(hold, RunState.SKIPPED, [error.message])
            except MathcodeError as error:
                self._end(hold, RunState.FAILED, [error.message])
            except Exception as error:
                logger.exception("run %s broke", run_id)
                self._end(hold, RunState.FAILED, [f"broke ({type(error).__name__}): see the log of this worker"])

    def _advance(self, run: Run, hold: Hold) -> None:
        folder = self.stages.folder(run.id)
        parent = self._settle(run, folder, hold)
        self.stages.prepare(folder, run, hold)
        _require(hold)
        with self.stages.card(run, hold):
            self.stages.train(folder, hold)
            _require(hold)
            scores = self.stages.evaluate(folder, hold)
        if scores is not None:
            self.pulse.renew(hold)  # no heartbeat tells a process that was frozen until now
        _require(hold)
        if scores is not None:
            self._conclude(run, folder, hold, scores=scores, parent=parent)

    def _settle(self, run: Run, folder: RunFolder, hold: Hold) -> Version | None:
        """Choose the files and the version to begin from, once for all attempts; that version."""
        if self.manifests.hash_of(run.id) is None:
            serving = self.versions.serving()
            selection = select(self.manifests, run.options, run_id=run.id)
            self._write(run, selection, serving, hold)
            run = self.runs.get(run.id)
        parent = self.versions.get(run.parent) if run.parent is not None else None
        if not folder.plan.is_file():
            former = next((other for other in self.runs.latest(2) if other.id != run.id), None)
            warm = is_warm(parent, run.options, versions=self.versions.all(), former=former)
            plan = self.stages.plan(run, parent, is_warm=warm)
            folder.path.mkdir(parents=True, exist_ok=True)
            write_whole(folder.plan, plan.model_dump_json(indent=1))
        return parent

    def _write(self, run: Run, selection: Selection, serving: Version | None, hold: Hold) -> None:
        manifest = selection.manifest
        for note in manifest.notes:
            self.lease.note(hold.claim, note)
        if selection.rejected:
            counts = ", ".join(f"{count} {reason}" for reason, count in sorted(selection.rejected.items()))
            self.lease.note(hold.claim, f"{sum(selection.rejected.values())} rows are not usable: {counts}")
        is_mine = self.manifests.write(
            hold.claim,
            manifest.files,
            taken=manifest.taken,
            manifest_hash=manifest.hash,
            parent=_number(serving),
        )
        if not is_mine:
            raise Interrupted
        if not manifest.files[Purpose.TRAIN]:
            raise NothingToTrain("no new file can be trained on: `mathcode corpus` says why each was refused")

    def _conclude(
        self, run: Run, folder: RunFolder, hold: Hold, *, scores: Scores, parent: Version | None
    ) -> None:
        verdict = self._judge(run, scores, parent)
        version, state = None, RunState.REJECTED
        if verdict.is_promoted:
            version, state = self._publish(run, folder, scores, parent), RunState.PROMOTED
        self._end(hold, state, verdict.reasons, scores=scores, version=version)
        self.publisher.prune(self.kept_versions)

    def _judge(self, run: Run, scores: Scores, parent: Version | None) -> Verdict:
        serving, options = self.versions.serving(), run.options
        if _number(serving) not in (_number(parent), *_published(self.versions.all(), run.id)):
            names = [version.name if version else "the base model" for version in (parent, serving)]
            return Verdict(False, [f"it was measured against {names[0]}, but {names[1]} serves meanwhile"])
        return judge(scores, min_improvement=options.min_improvement, most_regression=options.most_regression)

    def _publish(self, run: Run, folder: RunFolder, scores: Scores, parent: Version | None) -> Version:
        return self.publisher.publish(
            folder.adapter,
            run_id=run.id,
            parent=_number(parent),
            base_hash=folder.read_plan().base_hash,
            manifest_hash=self.manifests.hash_of(run.id) or "",
            scores=scores.model_dump(mode="json"),
        )

    def _end(
        self,
        hold: Hold,
        state: RunState,
        reasons: Sequence[str],
        *,
        scores: Scores | None = None,
        version: Version | None = None,
    ) -> None:
        run_id, folder = hold.claim.run_id, self.stages.folder(hold.claim.run_id)
        logger.info("run %s is %s: %s", run_id, state, "; ".join(reasons))
        is_mine = self.lease.finish(
            hold.claim,
            state,
            reasons=reasons,
            scores=scores.model_dump_json() if scores else None,
            version=_number(version),
        )
        if is_mine:
            _draw(self.runs.steps(run_id), folder)
            self.stages.clear(folder)

    def _leave(self, hold: Hold) -> None:
        if hold.reason is StopReason.CANCELLED:
            self._end(hold, RunState.CANCELLED, ["cancelled while it ran"])
        elif hold.reason is StopReason.STOPPING:
            logger.info("run %s is handed back: this worker stops", hold.claim.run_id)
            self.lease.hand_back(hold.claim)
        else:
            logger.warning("run %s is another worker's now", hold.claim.run_id)


def _require(hold: Hold) -> None:
    if hold.stopped.is_set():
        raise Interrupted


def _number(version: Version | None) -> int | None:
    return version.number if version else None


def _published(versions: Sequence[Version], run_id: int) -> list[int]:
    """What this run itself put into service before it was interrupted."""
    return [version.number for version in versions if version.run_id == run_id]


def _draw(steps: Sequence[Step], folder: RunFolder) -> None:
    """Leave the curve of a run that came to a step."""
    trained = [(step.step, step.loss) for step in steps if step.loss is not None]
    heldout = [(step.step, step.heldout_loss) for step in steps if step.heldout_loss is not None]
    if trained:
        write_whole(folder.plot, loss_plot(trained, heldout))
