"""Continuous training as callers see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from core.manifests import Corpus
from core.model_versions import Version
from core.training_runs import Run, Step


def render_training(
    *, corpus: Corpus, min_new_files: int, serving: Version | None, runs: Sequence[Run]
) -> dict[str, Any]:
    """`version` is None where the base model serves; runs stand newest first."""
    return {
        "in_progress": any(not run.state.is_final for run in runs),
        "version": serving.name if serving else None,
        **asdict(corpus),
        "min_new_files": min_new_files,
        "runs": [render_run(run) for run in runs],
    }


def render_run(run: Run, steps: Sequence[Step] | None = None) -> dict[str, Any]:
    """With its curve, where `steps` are given."""
    view = {
        "id": run.id,
        "status": run.state,
        "trigger": run.trigger,
        "stage": None if run.state.is_final else run.stage,
        "version": f"v{run.version}" if run.version else None,
        "parent": f"v{run.parent}" if run.parent else None,
        "attempt": run.attempt,
        "progress": run.progress,
        "scores": run.scores,
        "reasons": run.reasons,
        "notes": run.notes,
        "options": run.options.model_dump(mode="json"),
        "created_at": _time(run.created_at),
        "started_at": _time(run.started_at),
        "finished_at": _time(run.finished_at),
    }
    return view if steps is None else {**view, "steps": [asdict(step) for step in steps]}


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") if moment else None
