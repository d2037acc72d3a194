"""What a page has to show, put into the ledger as workers and trainers would: answers, runs, versions."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from core.database import Database
from core.jobs import JobStore, NewJob, Origin
from core.messages import (
    Answer,
    Completion,
    FinishReason,
    GenerationRequest,
    JobState,
    ModelName,
    Route,
    TaskType,
    Verdict,
)
from core.model_versions import NewVersion, VersionStore
from core.run_leases import RunClaim, RunLease
from core.settings import read_settings
from core.training import TrainingOptions
from core.training_runs import RunState, RunStore, Step, Trigger

MODELS = {
    TaskType.MATH: (ModelName.MATHSTRAL,),
    TaskType.CODE: (ModelName.CODESTRAL,),
    TaskType.HYBRID: (ModelName.MATHSTRAL, ModelName.CODESTRAL),
}


def insert_job(
    database: Database,
    prompt: str,
    task_type: TaskType,
    *,
    reasons: tuple[str, ...] = (),
    key_id: str | None = None,
) -> str:
    """The id of a job that is held: nobody answers it where no light worker runs."""
    new = NewJob(
        request=GenerationRequest(prompt=prompt),
        route=Route(task_type=task_type, confidence=0.64, reasons=reasons),
        models=MODELS[task_type],
        waiting=frozenset(),
        deadline_s=3600,
        window=0,
        origin=Origin(key_id=key_id),
    )
    return JobStore(database).insert(new).id


def answered(
    database: Database,
    prompt: str,
    task_type: TaskType,
    *texts: str,
    reasons: tuple[str, ...] = (),
    key_id: str | None = None,
) -> str:
    """The id of a job that each of its models has answered with one of `texts`."""
    job_id = insert_job(database, prompt, task_type, reasons=reasons, key_id=key_id)
    close(database, job_id, task_type, *texts)
    return job_id


def close(database: Database, job_id: str, task_type: TaskType, *texts: str, response: str | None = None) -> None:
    completions = tuple(_completion(model, text) for model, text in zip(MODELS[task_type], texts, strict=True))
    used = " + ".join(MODELS[task_type])
    answer = Answer(response=response or "\n\n".join(texts), model_used=used, completions=completions)
    assert JobStore(database).close(job_id, Verdict(state=JobState.SUCCEEDED, answer=answer))


def _completion(model: ModelName, text: str) -> Completion:
    return Completion(
        model=model,
        version="mathstral-7b@base" if model is ModelName.MATHSTRAL else "codestral-7b@v2",
        text=text,
        finish_reason=FinishReason.STOP,
        prompt_tokens=12,
        completion_tokens=len(text.split()),
        first_token_s=0.12,
        seconds=0.12 + 0.02 * len(text.split()),
    )


def trained(
    database: Database, state: RunState, *, heldout: tuple[float, float], reasons: list[str]
) -> int | None:
    """A run that ended in `state`, with a curve; the number of its version, if it made one."""
    claim = _begin(database)
    lease = RunLease(database, worker="training@page:1", lease_s=60)
    lease.log_steps(claim, _curve(40, start=heldout[0] + 0.2, end=heldout[1] + 0.1))
    scores = {
        "tasks": 20,
        "candidate": {"losses": {"heldout": heldout[1], "frozen": 1.02, "anchor": 0.9}, "passed": 14},
        "serving": {"losses": {"heldout": heldout[0], "frozen": 1.03, "anchor": 0.95}, "passed": 13},
    }
    number = _publish(database, claim.run_id, scores) if state is RunState.PROMOTED else None
    assert lease.finish(claim, state, reasons=reasons, scores=json.dumps(scores), version=number)
    return number


def training(database: Database) -> RunClaim:
    """A run in the middle of its training."""
    claim = _begin(database)
    lease = RunLease(database, worker="training@page:1", lease_s=600)
    progress = {"step": 24, "steps": 60, "loss": 1.21, "tokens_per_s": 9100.0, "eta_s": 216.0}
    lease.report(claim, stage="train", progress=progress)
    lease.log_steps(claim, _curve(24, start=1.5, end=1.21))
    lease.note(claim, "checkpoint-12 is torn: the one before is used")
    return claim


def grow(database: Database, claim: RunClaim, *, steps: int) -> None:
    """The run that `training` began goes on to this step."""
    lease = RunLease(database, worker="training@page:1", lease_s=600)
    lease.report(claim, stage="train", progress={"step": steps, "steps": 60, "loss": 1.2})
    lease.log_steps(claim, _curve(steps, start=1.5, end=1.2)[24:])


def _begin(database: Database) -> RunClaim:
    run_id = RunStore(database).claim(Trigger.THRESHOLD, TrainingOptions.of(read_settings()))
    assert run_id is not None
    claim = RunLease(database, worker="training@page:1", lease_s=600).begin(run_id)
    assert claim is not None
    return claim


def _curve(steps: int, *, start: float, end: float) -> list[Step]:
    """Falls fast, then slowly, with a little unrest; the held-out loss at every tenth step."""
    curve, unrest = [], Random(7)  # noqa: S311
    for step in range(1, steps + 1):
        loss = end + (start - end) * 0.88**step + unrest.uniform(-0.015, 0.015)
        measured = loss + 0.05 if step % 8 == 0 or step == 1 else None
        curve.append(Step(step=step, loss=loss, tokens=8192 * step, tokens_per_s=9100, heldout_loss=measured))
    return curve


def _publish(database: Database, run_id: int, scores: dict[str, Any]) -> int:
    versions = VersionStore(database)
    serving = versions.serving()
    new = NewVersion(
        directory=Path(f"/nonexistent/run-{run_id}"),
        checksum=f"{run_id:064x}",
        base_hash="b",
        manifest_hash="m",
        parent=serving.number if serving else None,
        run_id=run_id,
        scores=scores,
    )
    return versions.promote(versions.record(new)).number
