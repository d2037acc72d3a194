"""What one engine shows of itself: the seam between the loop that counts and everything that reports."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from core.observing.histograms import Histogram


class EngineMetrics(BaseModel):
    """A snapshot. Quantiles are over recent requests and None before the first one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    """The weights that new requests get."""
    versions: tuple[str, ...] = ()
    """All weights that a request may ask for by name, that one among them."""
    is_asleep: bool
    """Its memory is given back; requests wait."""
    running: int
    waiting: int
    free_slots: int
    tokens: int
    """Generated since the engine started."""
    tokens_per_s: float
    """Generated lately."""
    preemptions: int
    """How often a request lost its slot for lack of memory, since the engine started."""
    first_token_p50_s: float | None
    first_token_p95_s: float | None
    """From submission to the first token."""
    token_p50_s: float | None
    token_p95_s: float | None
    """Between two tokens of a request, on its average."""
    first_token_s: Histogram | None = None
    token_s: Histogram | None = None
    """The same of all requests since the engine started."""
    memory_bytes: int
    """Reserved for recurrent state, or for keys and values."""
    memory_used_bytes: int
    """Of these, what open requests hold."""
