"""The queues, and how urgent messages are on them."""

from __future__ import annotations

from enum import StrEnum

from core.messages import ModelName

# Kombu's Redis transport: 0 is served first, and is also the default; one explicit value keeps room on both sides.
NORMAL_PRIORITY = 3


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
