"""What an engine is given and what it gives back while it works (in-process values, not stored)."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event

from core.messages import ChatMessage, Priority, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One completion to generate.

    `deadline` is in seconds since the epoch (None: no deadline). Setting `cancelled` ends the work within one
    decoding step; so does passing the deadline. Both keep the text generated until then. `version` asks for exact
    weights: an engine that does not have them fails the work with VERSION_NOT_SERVED and never uses others.
    """

    messages: tuple[ChatMessage, ...]
    sampling: Sampling
    priority: Priority = Priority.NORMAL
    deadline: float | None = None
    version: str | None = None
    cancelled: Event = field(default_factory=Event)


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of text; the pieces of one work joined are exactly the completion's text."""

    text: str
