"""What a training would be, without doing it: files, tokens, steps, and how long runs like it took."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.manifests import FileRef, ManifestStore
from core.training import Purpose, TrainingOptions
from core.training_runs import Run
from ensemble.engine.tokenizer import Tokenizer
from training.dataset import TRAINED_ON
from training.selection import select

SAMPLED_FILES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """`tokens` is reckoned from a sample; `seconds` None where no run has been timed yet."""

    files: Mapping[Purpose, int]
    repositories: int
    rejected: Mapping[str, int]
    notes: Sequence[str]
    tokens: int
    steps: int
    seconds: float | None


def forecast(
    store: ManifestStore, options: TrainingOptions, *, latest: Sequence[Run], tokenizer: Tokenizer
) -> Forecast:
    """What a run claimed now would train, counted by the base model's `tokenizer`. Changes nothing."""
    selection = select(store, options, run_id=latest[0].id + 1 if latest else 1, keeps_reasons=False)
    files = selection.manifest.files
    trained = [file for purpose in TRAINED_ON for file in files[purpose]]
    tokens = _tokens(store, trained, tokenizer) * options.epochs
    return Forecast(
        files={purpose: len(files[purpose]) for purpose in Purpose},
        repositories=len({file.repo for file in trained}),
        rejected=selection.rejected,
        notes=selection.manifest.notes,
        tokens=tokens,
        steps=math.ceil(tokens / (options.row_tokens * options.batch_rows)),
        seconds=_seconds(tokens, latest),
    )


def _tokens(store: ManifestStore, files: Sequence[FileRef], tokenizer: Tokenizer) -> int:
    """Every n-th file is counted, the others by their size."""
    if not files:
        return 0
    sample = files[:: max(1, len(files) // SAMPLED_FILES)]
    texts = store.texts([file.id for file in sample])
    counted = sum(len(tokenizer.encode_text(text)) for text in texts)
    sampled_bytes = sum(len(text.encode(errors="replace")) for text in texts)
    return round(counted * store.total_bytes([file.id for file in files]) / max(1, sampled_bytes))


def _seconds(tokens: int, latest: Sequence[Run]) -> float | None:
    """At the pace of the latest run that said one."""
    paces = (run.progress.get("tokens_per_s") for run in latest)
    pace = next((pace for pace in paces if pace), None)
    return tokens / pace if pace else None
