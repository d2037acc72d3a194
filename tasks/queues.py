"""The queues, and how urgent messages are on them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from core.messages import ModelName, Priority

# Kombu's Redis transport keeps one list for each of 0, 3, 6 and 9; 0 is served first, and is also its default.
STEPS: Mapping[Priority, int] = {Priority.HIGH: 0, Priority.NORMAL: 3, Priority.LOW: 6}


class QueueName(StrEnum):
    """One queue per model, one for work without a model, one exclusive to training."""

    MATHSTRAL = "mathstral"
    CODESTRAL = "codestral"
    LIGHT = "light"
    TRAINING = "training"

    @property
    def model(self) -> ModelName | None:
        """The model whose requests arrive here, if any."""
        return ModelName(self.value) if self.value in set(ModelName) else None
