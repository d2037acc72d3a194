"""peft's low-rank layers with less memory traffic: the product is added in place, in the base's precision.

peft computes an adapter of fp32 beside a bf16 base in fp32 and in several passes over the output; here the masters
stay fp32, their product with bf16 activations is bf16, and the matrix multiplication itself adds it to the base's
output. Where activations are fp32 nothing is rounded.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn


class LeanLinear(Linear):
    """Replaces a peft layer with one active plain LoRA adapter; anything else is left to peft."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        adapter = self._only_adapter()
        base = self.get_base_layer()
        if adapter is None or args or kwargs or not _is_plain(base, x):
            usual: Tensor = super().forward(x, *args, **kwargs)
            return usual
        down, up = self.lora_A[adapter].weight, self.lora_B[adapter].weight
        added: Tensor = _LowRankProduct.apply(  # type: ignore[no-untyped-call]
            x, down, up, base, self.scaling[adapter]
        )
        return added

    def _only_adapter(self) -> str | None:
        """The name of the adapter, where there is nothing but a product to add."""
        if self.disable_adapters or self.merged or len(self.active_adapters) != 1:
            return None
        name: str = self.active_adapters[0]
        is_plain = isinstance(self.lora_dropout[name], nn.Identity) and name not in self.lora_variant
        return name if is_plain else None


class _LowRankProduct(torch.autograd.Function):
    """base(x) + scale * x down^T up^T, with gradients of x, down and up; the base is frozen."""

    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any, x: Tensor, down: Tensor, up: Tensor, base: nn.Module, scale: float
    ) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        narrow = flat @ down.to(x.dtype).T
        out = torch.nn.functional.linear(flat, _dense(base, x.dtype), getattr(base, "bias", None))
        out.addmm_(narrow, up.to(x.dtype).T, alpha=scale)
        ctx.save_for_backward(flat, narrow, down, up)
        ctx.base, ctx.scale, ctx.shape = base, scale, x.shape
        return out.view(*x.shape[:-1], out.shape[-1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        flat, narrow, down, up = ctx.saved_tensors
        gradient = gradients[0].reshape(-1, gradients[0].shape[-1])
        narrowed = gradient @ up.to(gradient.dtype)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = gradient @ _dense(ctx.base, gradient.dtype)
            of_x.addmm_(narrowed, down.to(gradient.dtype), alpha=ctx.scale)
            of_x = of_x.view(ctx.shape)
        of_down = ctx.scale * (narrowed.T @ flat).to(down.dtype)
        of_up = ctx.scale * (gradient.T @ narrow).to(up.dtype)
        return of_x, of_down, of_up, None, None


def _is_plain(base: nn.Module, x: Tensor) -> bool:
    """Whether the frozen layer computes in the precision of `x`."""
    weight: Any = base.weight
    return not weight.requires_grad and (hasattr(weight, "quant_state") or weight.dtype == x.dtype)


def _dense(base: nn.Module, dtype: torch.dtype) -> Tensor:
    """The weight (outputs, inputs); 4-bit ones are unpacked for the moment."""
    weight: Any = base.weight
    state = getattr(weight, "quant_state", None)
    if state is None:
        plain: Tensor = weight
        return plain
    from bitsandbytes.functional import dequantize_4bit

    unpacked: Tensor = dequantize_4bit(weight.data, state).to(dtype)
    return unpacked


def lighten(network: nn.Module) -> None:
    """Make every plain peft layer of `network` a `LeanLinear`; names and weights stay as they are."""
    from peft.tuners.lora.layer import LoraLayer

    layers: list[Any] = [module for module in network.modules() if isinstance(module, LoraLayer)]
    for module in layers:
        if type(module).__name__ in {"Linear", "Linear4bit"}:
            module.__class__ = LeanLinear
