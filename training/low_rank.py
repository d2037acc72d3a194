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
from torch.nn import functional


class LeanLinear(Linear):
    """Replaces a peft layer with one active plain LoRA adapter; anything else is left to peft."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        adapter = self._only_adapter()
        base = self.get_base_layer()
        if adapter is None or args or kwargs or not _is_plain(base, x):
            usual: Tensor = super().forward(x, *args, **kwargs)
            return usual
        down, up = self.lora_A[adapter].weight, self.lora_B[adapter].weight
        holder: list[Any] = []
        held = _Held.apply(x, down, holder)  # type: ignore[no-untyped-call]
        added: Tensor = _LowRankProduct.apply(  # type: ignore[no-untyped-call]
            held, down, up, base, self.scaling[adapter], holder[0]
        )
        return added

    def _only_adapter(self) -> str | None:
        """The name of the adapter, where there is nothing but a product to add."""
        if self.disable_adapters or self.merged or len(self.active_adapters) != 1:
            return None
        name: str = self.active_adapters[0]
        is_plain = isinstance(self.lora_dropout[name], nn.Identity) and name not in self.lora_variant
        return name if is_plain else None


class _Held(torch.autograd.Function):
    """Keeps the input of a product for its backward, and does so before the product is computed.

    A checkpointed block that is computed again is left as soon as all it keeps is there: its last product is not
    computed a second time. `down` is there so that there is a backward even where x is without a gradient.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, _down: Tensor, holder: list[Any]) -> Tensor:
        ctx.save_for_backward(x)
        holder.append(ctx)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (gradients[0] if ctx.needs_input_grad[0] else None), None, None


class _LowRankProduct(torch.autograd.Function):
    """base(x) + scale * x down^T up^T, with gradients of x, down and up; the base is frozen, `held` keeps x."""

    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any, x: Tensor, down: Tensor, up: Tensor, base: nn.Module, scale: float, held: Any
    ) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        out = functional.linear(flat, _dense(base, x.dtype), getattr(base, "bias", None))
        out.addmm_(flat @ down.to(x.dtype).T, up.to(x.dtype).T, alpha=scale)
        ctx.down, ctx.up, ctx.base, ctx.scale, ctx.held = down, up, base, scale, held
        return out.view(*x.shape[:-1], out.shape[-1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.held.saved_tensors
        flat, down, up = x.reshape(-1, x.shape[-1]), ctx.down.to(x.dtype), ctx.up.to(x.dtype)
        gradient = gradients[0].reshape(-1, gradients[0].shape[-1])
        narrowed = gradient @ up
        of_x = None
        if ctx.held.needs_input_grad[0]:
            of_x = gradient @ _dense(ctx.base, gradient.dtype)
            of_x = of_x.addmm_(narrowed, down, alpha=ctx.scale).view(x.shape)
        of_down = ctx.scale * (narrowed.T @ flat).to(ctx.down.dtype)
        of_up = ctx.scale * (gradient.T @ (flat @ down.T)).to(ctx.up.dtype)
        return of_x, of_down, of_up, None, None, None


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
