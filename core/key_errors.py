"""What is refused of keys that are valid."""

from __future__ import annotations

from core.errors import InvalidRequest


class OperatorNeeded(InvalidRequest):
    """What was asked changes things for everybody, and the key that was shown, if any, may not."""

    code = "operator_needed"

    def __init__(self) -> None:
        super().__init__(
            "this changes what everybody is answered with: send an operator's key, made with "
            "`mathcode keys create NAME --operator`"
        )
