"""Whether a run goes on from the serving version's adapter or starts afresh from the base model."""

from __future__ import annotations

import json
from collections.abc import Sequence

from core.model_versions import Version
from core.training import TrainingOptions
from core.training_runs import Run, RunState

PROMOTIONS_PER_START = 5
"""A chain of warm starts this long is broken by one from the base model, so that errors do not pile up."""
CONFIG_FILE = "adapter_config.json"


def is_warm(
    parent: Version | None, options: TrainingOptions, *, versions: Sequence[Version], former: Run | None
) -> bool:
    """`versions` are all there were; `former` is the run before this one."""
    if parent is None or (former is not None and former.state is RunState.REJECTED):
        return False
    promotions = sum(version.promoted_at is not None for version in versions)
    return promotions % PROMOTIONS_PER_START != 0 and _has_shape(parent, options)


def _has_shape(parent: Version, options: TrainingOptions) -> bool:
    """Whether the parent's adapter has the rank and the targets that this run is to have."""
    try:
        config = json.loads((parent.directory / CONFIG_FILE).read_text(encoding="utf-8"))
        targets = config["target_modules"]
        return bool(config["r"] == options.lora_rank and set(targets) == set(options.lora_targets))
    except (OSError, ValueError, LookupError, TypeError):
        return False
