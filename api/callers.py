"""Whose request is being answered."""

from __future__ import annotations

from flask import g


def caller_key_id() -> str | None:
    """The id of the key that the request was made with; None where no keys are asked for."""
    key_id: str | None = g.get("key_id")
    return key_id
