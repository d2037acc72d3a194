"""Has a network write greedily, all prompts at once, and says what is wrong with what it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ensemble.engine.tokenizer import Tokenizer

MOST_TOKENS = 128
TAIL_TOKENS = 16
"""Of a text that ends in so many equal tokens it is said that it loops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """For each prompt its tokens, without the end; and whether every logit was a number."""

    texts: tuple[str, ...]
    tokens: tuple[tuple[int, ...], ...]
    is_finite: bool

    @property
    def loops(self) -> float:
        """Part of the texts that end in the same token over and over."""
        tails = [each[-TAIL_TOKENS:] for each in self.tokens]
        return sum(len(tail) == TAIL_TOKENS and len(set(tail)) == 1 for tail in tails) / len(tails)


@torch.no_grad()
def write(network: nn.Module, tokenizer: Tokenizer, prompts: Sequence[str]) -> Written:
    """Up to `MOST_TOKENS` most probable tokens after each of `prompts`, which are code, not conversation."""
    network.eval()
    device = next(network.parameters()).device
    begin, end = tokenizer.control("<s>"), tokenizer.control("</s>")
    encoded = [[begin, *tokenizer.encode_text(prompt.rstrip("\n"))] for prompt in prompts]
    width = max(map(len, encoded))
    tokens = torch.tensor([[end] * (width - len(each)) + each for each in encoded], device=device)
    mask = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in encoded], device=device)
    model: Any = network
    made = model.generate(
        input_ids=tokens,
        attention_mask=mask,
        max_new_tokens=MOST_TOKENS,
        do_sample=False,
        pad_token_id=end,
        eos_token_id=end,
        output_scores=True,
        return_dict_in_generate=True,
    )
    written = [_until(row, end) for row in made.sequences[:, width:].tolist()]
    return Written(
        texts=tuple(tokenizer.decode(row) for row in written),
        tokens=tuple(written),
        is_finite=all(bool(scores.isfinite().all()) for scores in made.scores),
    )


def faults(
    candidate: Written, serving: Written, vocabulary_size: int, *, more_loops: float = 0.25
) -> tuple[str, ...]:
    """What is wrong with the candidate's texts, judged beside those of the version in service.

    The part of texts that loop may exceed that of the version in service by `more_loops`.
    """
    found = []
    if not candidate.is_finite:
        found.append("some logits are no numbers")
    if any(not 0 <= token < vocabulary_size for row in candidate.tokens for token in row):
        found.append("some tokens are not of the vocabulary")
    if not any(text.strip() for text in candidate.texts) and any(text.strip() for text in serving.texts):
        found.append("it writes nothing")
    if candidate.loops > serving.loops + more_loops:
        found.append(
            f"{candidate.loops:.0%} of its texts end in one token over and over, {serving.loops:.0%} before"
        )
    return tuple(found)


def _until(row: list[int], end: int) -> tuple[int, ...]:
    return tuple(row[: row.index(end)] if end in row else row)
