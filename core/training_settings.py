"""The settings of continuous training; a part of `core.settings.Settings`, which reads them."""

from __future__ import annotations

import socket

from pydantic import BaseModel, field_validator

from core.messages import ModelName
from core.options import Weights, WhileTraining
from core.variables import Words, env, split_words

PERMISSIVE = (
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python", "HPND", "ISC"),
    *("MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Python-2.0", "Python-2.0.1", "Unlicense", "Zlib", "ZPL-2.1"),
)
"""Licences that ask for no more than credit."""


class TrainingSettings(BaseModel):
    """When files are trained on, how, and what comes of it; units stand in the names."""

    # Continuous training: on what
    licences: Words = env(
        "MATHCODE_LICENCES",
        PERMISSIVE,
        "SPDX identifiers of the licences whose files may be trained on, separated by commas.",
    )

    # Continuous training: when
    min_new_files: int = env("MIN_NEW_FILES", 1000, "New files that trigger a training.", ge=1)
    min_quality_score: float = env(
        "MATHCODE_MIN_QUALITY", 70.0, "Least quality score of a file that is trained on.", ge=0, le=100
    )
    check_interval_s: float = env(
        "CHECK_INTERVAL", 300.0, "Seconds between looks for new files.", ge=0.5, le=604_800
    )
    stall_s: float = env(
        "MATHCODE_TRAINING_STALL_S",
        900.0,
        "Seconds without progress after which a training is ended and begun again from its last checkpoint.",
        ge=1,
    )
    checkpoint_s: float = env("MATHCODE_CHECKPOINT_S", 300.0, "Seconds between a training's checkpoints.", ge=0.1)

    # Continuous training: how
    max_dataset_size: int = env("MAX_DATASET_SIZE", 100_000, "Most files in one training.", ge=1)
    training_epochs: int = env("TRAINING_EPOCHS", 1, "Epochs per training.", ge=1, le=100)
    batch_size: int = env("BATCH_SIZE", 8, "Packed rows per optimizer step.", ge=1, le=4096)
    micro_batch_size: int = env(
        "MATHCODE_MICRO_BATCH",
        4,
        "Packed rows on the device at once; halved by itself where memory runs out.",
        ge=1,
        le=4096,
    )
    row_tokens: int = env("MATHCODE_ROW_TOKENS", 2048, "Length of a packed row, in tokens.", ge=32, le=65_536)
    training_weights_override: Weights | None = env(
        "MATHCODE_TRAINING_WEIGHTS",
        None,
        "`fp32`, `bf16` or `nf4`: the frozen base during a training. Default: as it is served.",
    )
    lora_rank: int = env("MATHCODE_LORA_R", 32, "Rank of the adapters.", ge=1, le=512)
    lora_alpha: float = env("MATHCODE_LORA_ALPHA", 64.0, "Scale of the adapters, times their rank.", gt=0)
    lora_dropout: float = env("MATHCODE_LORA_DROPOUT", 0.0, "Dropout before the adapters.", ge=0, lt=1)
    lora_targets: Words = env(
        "MATHCODE_LORA_TARGETS",
        ("in_proj", "out_proj"),
        "The linear maps that get adapters, separated by commas. Keep them and the rank: "
        "versions of another shape are not warm-started from.",
    )
    learning_rate: float = env("MATHCODE_LEARNING_RATE", 2e-4, "Peak learning rate from the base model.", gt=0)
    warm_learning_rate: float = env(
        "MATHCODE_WARM_LEARNING_RATE", 1e-4, "Peak learning rate from the serving version.", gt=0
    )
    checkpoints_gradient: bool = env(
        "MATHCODE_GRADIENT_CHECKPOINTING",
        True,
        "Compute activations twice rather than keep them: much less memory, a third more work.",
    )
    kept_blocks: int = env(
        "MATHCODE_KEPT_BLOCKS",
        4,
        "Of gradient checkpointing: last blocks that are not computed twice. Each takes 0.5 GB at 8,192 tokens.",
        ge=0,
    )
    fim_rate: float = env(
        "MATHCODE_FIM_RATE", 0.0, "Part of the files rearranged for filling in the middle.", ge=0, le=1
    )
    replay_rate: float = env(
        "MATHCODE_REPLAY_RATE", 0.25, "Files of earlier cycles, as part of all trained ones.", ge=0, le=0.9
    )
    training_seed: int = env("MATHCODE_TRAINING_SEED", 1, "Seed of order, packing and dropout.", ge=0)

    # Continuous training: what comes of it
    min_improvement: float = env(
        "MATHCODE_MIN_IMPROVEMENT",
        0.005,
        "Part by which the held-out loss must fall below the serving version's for a promotion.",
        ge=0,
        lt=1,
    )
    most_regression: float = env(
        "MATHCODE_MOST_REGRESSION", 0.01, "Part by which frozen and anchor losses may rise.", ge=0, lt=1
    )
    most_loops: float = env(
        "MATHCODE_MOST_LOOPS",
        0.25,
        "Part by which texts that end in one token over and over may become more.",
        ge=0,
        le=1,
    )
    kept_versions: int = env(
        "MATHCODE_KEPT_VERSIONS",
        5,
        "Newest versions whose files are kept, beside the serving one and its parent.",
        ge=0,
    )
    training_pauses_override: Words | None = env(
        "MATHCODE_TRAINING_PAUSES",
        None,
        "Models whose workers give the card's memory back while a training runs on it: `codestral`, `mathstral`, "
        "or both; `none` where training has a card of its own. Default: `codestral` on CUDA, `none` on the CPU.",
    )
    card_name: str = env(
        "MATHCODE_CARD",
        "",
        "Name of the card that training and serving share. Default: the host's name and the first of "
        "CUDA_VISIBLE_DEVICES.",
    )
    visible_devices: str = env(
        "CUDA_VISIBLE_DEVICES", "", "The cards this process sees, as CUDA reads it; names the card by default."
    )
    card_lease_s: float = env(
        "MATHCODE_CARD_LEASE_S",
        30.0,
        "Seconds a vanished training keeps the card that was lent to it.",
        ge=0.5,
        le=3600,
    )
    card_patience_s: float = env(
        "MATHCODE_CARD_PATIENCE_S",
        900.0,
        "Most seconds a training waits for the workers to give the card's memory back.",
        ge=0,
    )
    hybrid_while_training: WhileTraining = env(
        "MATHCODE_HYBRID_WHILE_TRAINING",
        WhileTraining.WAIT,
        "`wait`: hybrid jobs wait for a model whose card is lent to a training; `degrade`: they end with the "
        "other model's text.",
    )

    @property
    def card(self) -> str:
        """The card that this process uses: the first it sees, of its own host."""
        return self.card_name or f"{socket.gethostname()}:{self.visible_devices.partition(',')[0].strip() or '0'}"

    @field_validator("licences", "lora_targets", "training_pauses_override", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split_words(value) if isinstance(value, str) else value

    @field_validator("training_pauses_override")
    @classmethod
    def _models(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value == ("none",):
            return ()
        if unknown := sorted(set(value or ()) - set(ModelName)):
            raise ValueError(f"names {', '.join(unknown)}: give {' or '.join(ModelName)}, or none")
        return value
