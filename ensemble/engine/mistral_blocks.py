"""The layers of Mistral around attention, over the weights of the transformers module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from ensemble.engine.dense import Norm, add_projected, project, project_gated


class Block(Protocol):
    """One decoder layer but for attention itself; `hidden` is the residual stream, (n, hidden size)."""

    def project(self, hidden: Tensor) -> Tensor:
        """Queries, keys and values of n tokens, side by side."""

    def add_attention(self, hidden: Tensor, attended: Tensor) -> None:
        """Add what attention found to `hidden`."""

    def add_mlp(self, hidden: Tensor) -> None:
        """Add what the feed-forward layer makes of `hidden` to it."""


class DenseBlock:
    """Fuses projections that read the same input.

    The module's own weights become views of the fused ones: no memory is held twice, and whatever changes a weight
    in place changes both.
    """

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self._input_norm, self._mlp_norm = norm_of(layer.input_layernorm), norm_of(layer.post_attention_layernorm)
        self._qkv = _fuse([attention.q_proj, attention.k_proj, attention.v_proj])
        self._out = attention.o_proj.weight.detach()
        self._gate_up = _fuse([mlp.gate_proj, mlp.up_proj])
        self._down = mlp.down_proj.weight.detach()

    def project(self, hidden: Tensor) -> Tensor:
        return project(hidden, self._qkv, self._input_norm)

    def add_attention(self, hidden: Tensor, attended: Tensor) -> None:
        add_projected(hidden, attended, self._out)

    def add_mlp(self, hidden: Tensor) -> None:
        add_projected(hidden, project_gated(hidden, self._gate_up, self._mlp_norm), self._down)


class ModuleBlock:
    """Calls the module's layers as they are, for weights that cannot be fused (4-bit)."""

    def __init__(self, layer: Any) -> None:
        self._attention, self._mlp = layer.self_attn, layer.mlp
        self._input_norm, self._mlp_norm = norm_of(layer.input_layernorm), norm_of(layer.post_attention_layernorm)

    def project(self, hidden: Tensor) -> Tensor:
        x, attention = self._input_norm(hidden), self._attention
        return torch.cat([attention.q_proj(x), attention.k_proj(x), attention.v_proj(x)], dim=-1)

    def add_attention(self, hidden: Tensor, attended: Tensor) -> None:
        hidden += self._attention.o_proj(attended)

    def add_mlp(self, hidden: Tensor) -> None:
        x, mlp = self._mlp_norm(hidden), self._mlp
        hidden += mlp.down_proj(functional.silu(mlp.gate_proj(x)) * mlp.up_proj(x))


def block_of(layer: Any) -> Block:
    """The faster block that the layer's weights allow."""
    linears = [module for name, module in layer.named_modules() if name.endswith("_proj")]
    return DenseBlock(layer) if all(type(linear) is nn.Linear for linear in linears) else ModuleBlock(layer)


def norm_of(module: Any) -> Norm:
    return Norm(module.weight.detach(), module.variance_epsilon)


def _fuse(linears: Sequence[nn.Linear]) -> Tensor:
    """Their weights above one another in one tensor, which the modules then share."""
    fused = torch.cat([linear.weight.detach() for linear in linears])
    parts = torch.split(fused, [linear.out_features for linear in linears])
    for linear, part in zip(linears, parts, strict=True):
        linear.weight.data = part
    return fused
