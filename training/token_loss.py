"""Cross-entropy of next tokens with a frozen head, a few thousand tokens at a time: whole logits never exist.

The gradient of a chunk's hidden states is computed while its logits are there; backward computes no logits again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

IGNORED = -100
CHUNK_TOKENS = 2048


def summed_loss(hidden: Tensor, head: Tensor, targets: Tensor, *, chunk_tokens: int = CHUNK_TOKENS) -> Tensor:
    """Sum of cross-entropies in nats, fp32; gradients flow into `hidden` alone.

    Shapes: hidden (..., width), head (vocabulary, width), targets (...) with `IGNORED` where nothing is predicted.
    """
    flat = hidden.reshape(-1, hidden.shape[-1])
    needs_gradient = torch.is_grad_enabled() and hidden.requires_grad
    loss: Tensor = _ChunkedLoss.apply(  # type: ignore[no-untyped-call]
        flat, head, targets.reshape(-1), chunk_tokens, needs_gradient
    )
    return loss


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, chunk_tokens: int, needs_gradient: bool
    ) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden) if needs_gradient else None
        for begin in range(0, len(hidden), chunk_tokens):
            part = slice(begin, begin + chunk_tokens)
            logits = functional.linear(hidden[part].to(head.dtype), head).float()
            total += functional.cross_entropy(logits, targets[part], ignore_index=IGNORED, reduction="sum")
            if gradient is not None:
                gradient[part] = _of_logits(logits, targets[part]).to(head.dtype) @ head
        ctx.gradient = gradient
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient, ctx.gradient = ctx.gradient, None
        return gradient.mul_(gradients[0].to(gradient.dtype)), None, None, None, None


def _of_logits(logits: Tensor, targets: Tensor) -> Tensor:
    """d(sum of losses)/d(logits): probabilities less one at the target, nothing where no target is."""
    is_counted = targets != IGNORED
    gradient = torch.softmax(logits, dim=-1)
    gradient.mul_(is_counted[:, None])
    at = targets.clamp(min=0)[:, None]
    gradient.scatter_add_(1, at, -is_counted[:, None].to(gradient.dtype))
    return gradient
