"""What one card does: measured on an H200 (docs/performance.md), and derived from that for other cards.

Decoding is bound by memory, so a step of another card is that of the H200 times the ratio of the data sheets'
bandwidths; reading prompts is bound by arithmetic, and scaled by that. Only the H200's were measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from core.messages import ModelName


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFigures:
    """One model on one card, in bf16. `steps` are (rows, seconds of a decoding step), in ascending order."""

    steps: tuple[tuple[int, float], ...]
    prompt_tokens_per_s: float
    prompt_overhead_s: float  # what a prompt costs beside its tokens: a pass of its own over all weights
    delivery_s: float  # from the end of a prompt's pass until its first token is in the client's hands
    weights_bytes: float
    slot_bytes: float  # of recurrent state
    token_bytes: float  # of keys and values, for each token of prompt and answer

    def step_s(self, rows: float) -> float:
        """Between what was measured on a straight line; nothing is known beyond the last."""
        if rows <= self.steps[0][0]:
            return self.steps[0][1]
        for (fewer, fast), (more, slow) in pairwise(self.steps):
            if rows <= more:
                return fast + (slow - fast) * (rows - fewer) / (more - fewer)
        raise ValueError(f"no step was measured with {rows} rows")

    @property
    def most_rows(self) -> int:
        return self.steps[-1][0]

    def prompt_s(self, tokens: float) -> float:
        return self.prompt_overhead_s + tokens / self.prompt_tokens_per_s

    def bytes_per_slot(self, tokens: float) -> float:
        return self.slot_bytes + tokens * self.token_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """`basis` says where its figures come from, for whoever reads a plan."""

    name: str
    memory_bytes: float
    models: Mapping[ModelName, ModelFigures]
    basis: str


_MATHSTRAL = ModelFigures(
    steps=((1, 1 / 261), (64, 64 / 11_857), (256, 256 / 24_029)),
    prompt_tokens_per_s=40_630,
    prompt_overhead_s=0.0048,
    delivery_s=0.010,
    weights_bytes=14.5e9,
    slot_bytes=0,
    token_bytes=131_072,
)
_CODESTRAL = ModelFigures(
    steps=((1, 1 / 232.5), (64, 64 / 7_686), (256, 256 / 12_793)),
    prompt_tokens_per_s=34_573,
    prompt_overhead_s=0.0040,
    delivery_s=0.018,
    weights_bytes=14.6e9,
    slot_bytes=154e6,
    token_bytes=0,
)
_H200_BANDWIDTH, _H200_ARITHMETIC = 4.8e12, 989e12


def _derived(name: str, *, memory: float, bandwidth: float, arithmetic: float) -> Card:
    slower, weaker = _H200_BANDWIDTH / bandwidth, _H200_ARITHMETIC / arithmetic
    models = {model: _scaled(figures, slower, weaker) for model, figures in H200.models.items()}
    basis = (
        f"derived, not measured: the H200's steps x {slower:.2f} (bandwidth), prompts x {weaker:.2f} (arithmetic)"
    )
    return Card(name=name, memory_bytes=memory, models=models, basis=basis)


def _scaled(figures: ModelFigures, slower: float, weaker: float) -> ModelFigures:
    return replace(
        figures,
        steps=tuple((rows, slower * seconds) for rows, seconds in figures.steps),
        prompt_tokens_per_s=figures.prompt_tokens_per_s / weaker,
        prompt_overhead_s=figures.prompt_overhead_s * slower,
    )


H200 = Card(
    name="H200",
    memory_bytes=141e9,
    models={ModelName.MATHSTRAL: _MATHSTRAL, ModelName.CODESTRAL: _CODESTRAL},
    basis="measured on an H200",
)
CARDS = {
    card.name: card
    for card in (
        H200,
        _derived("H100", memory=80e9, bandwidth=3.35e12, arithmetic=989e12),
        _derived("4090", memory=24e9, bandwidth=1.008e12, arithmetic=165e12),
    )
}
