"""How a training is done, frozen when a run is claimed so that every attempt of it does the same."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

from core.options import Weights
from core.settings import Settings


class Purpose(StrEnum):
    """What a file is in a run for."""

    TRAIN = "train"  # new, trained on
    REPLAY = "replay"  # trained in an earlier cycle, and again so that it is not forgotten
    HELDOUT = "heldout"  # of repositories that are never trained on, new in this cycle
    FROZEN = "frozen"  # the held-out files of the first cycle, the same in every one since
    ANCHOR = "anchor"  # trained in the first cycle; the same in every one since, trained and measured


class TrainingOptions(BaseModel):
    """Lengths are in tokens. A row is one packed sequence; `batch_rows` of them make an optimizer step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: Weights
    epochs: int
    max_files: int
    row_tokens: int
    batch_rows: int
    micro_batch_rows: int
    """Rows on the device at once; halved, with as many more rounds per step, when memory runs out."""
    lora_rank: int
    lora_alpha: float
    lora_dropout: float
    lora_targets: tuple[str, ...]
    learning_rate: float
    warm_learning_rate: float
    """Of a cycle that begins with the serving version's adapter."""
    checkpoints_gradient: bool
    """Computes activations again instead of keeping them: less memory, a third more work."""
    kept_blocks: int
    """Last blocks whose activations are kept even so."""
    fim_rate: float
    """Part of the files that are rearranged for filling in the middle."""
    replay_rate: float
    """Earlier files, as part of all trained ones."""
    min_quality_score: float
    min_improvement: float
    """By which the held-out loss must fall for a promotion, as part of the serving version's."""
    most_regression: float
    """By which frozen and anchor losses may rise."""
    most_loops: float
    """By which the part of texts that end in one token over and over may rise."""
    checkpoint_s: float
    stall_s: float
    seed: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            weights=settings.training_weights,
            epochs=settings.training_epochs,
            max_files=settings.max_dataset_size,
            row_tokens=settings.row_tokens,
            batch_rows=settings.batch_size,
            micro_batch_rows=min(settings.micro_batch_size, settings.batch_size),
            lora_rank=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.lora_dropout,
            lora_targets=settings.lora_targets,
            learning_rate=settings.learning_rate,
            warm_learning_rate=settings.warm_learning_rate,
            checkpoints_gradient=settings.checkpoints_gradient,
            kept_blocks=settings.kept_blocks,
            fim_rate=settings.fim_rate,
            replay_rate=settings.replay_rate,
            min_quality_score=settings.min_quality_score,
            min_improvement=settings.min_improvement,
            most_regression=settings.most_regression,
            most_loops=settings.most_loops,
            checkpoint_s=settings.checkpoint_s,
            stall_s=settings.stall_s,
            seed=settings.training_seed,
        )
