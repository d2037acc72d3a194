"""Mamba2's convolution, scan and gated norm with frozen weights: gradients of the input alone.

The kernels are mamba_ssm's (Dao and Gu 2024, https://arxiv.org/abs/2405.21060); their order is that of its
`mamba_split_conv1d_scan_combined`, which computes most of its forward again in its backward. Here backward finds
what forward had: states between chunks always, everything where a checkpointed block is computed again anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.gated_norm import gradients_of_gated_norm


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenMixer:
    """What a mixer's scan is made of; `decay` is negative, fp32, one per head. `kernel` is (channels, taps)."""

    kernel: Tensor
    kernel_bias: Tensor | None
    decay: Tensor
    skip: Tensor
    time_bias: Tensor
    norm: Tensor
    epsilon: float
    head_width: int
    groups: int
    state_width: int
    chunk_tokens: int
    time_limit: tuple[float, ...]

    @property
    def width(self) -> int:
        """Columns of the gate, and of what is scanned."""
        return len(self.decay) * self.head_width

    def split(self, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gate, what is convolved, and time steps, as views of (rows, tokens, columns)."""
        convolved = self.width + 2 * self.groups * self.state_width
        gate, inner, times = torch.split(projected, [self.width, convolved, len(self.decay)], dim=-1)
        return gate, inner, times

    def parts(self, convolved: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scanned values by head, and both factors of the states by group, as views."""
        factor = self.groups * self.state_width
        values, entry, exit_ = torch.split(convolved, [self.width, factor, factor], dim=-1)
        by_head, by_group = (len(self.decay), self.head_width), (self.groups, self.state_width)
        return values.unflatten(-1, by_head), entry.unflatten(-1, by_group), exit_.unflatten(-1, by_group)  # type: ignore[no-untyped-call]

    def convolve(self, inner: Tensor, files: Tensor) -> Tensor:
        from causal_conv1d.cpp_functions import causal_conv1d_fwd_function
        from mamba_ssm.ops.triton.ssd_combined import ensure_stride

        turned = ensure_stride(inner).transpose(1, 2)
        out: Tensor = causal_conv1d_fwd_function(turned, self.kernel, self.kernel_bias, files, None, None, True)
        return out.transpose(1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scanned:
    """Everything between the convolution and the norm; `states` are those that each chunk begins with."""

    convolved: Tensor
    times: Tensor
    decays: Tensor
    products: Tensor
    states: Tensor


def frozen_scan(projected: Tensor, files: Tensor, mixer: FrozenMixer, *, keeps_everything: bool) -> Tensor:
    """What `out_proj` is given (rows, tokens, width), from what `in_proj` gave; on CUDA.

    `files` (rows, tokens) int32 says which file each token is of.
    """
    scanned: Tensor = _FrozenScan.apply(projected, files, mixer, keeps_everything)  # type: ignore[no-untyped-call]
    return scanned


class _FrozenScan(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any, projected: Tensor, files: Tensor, mixer: FrozenMixer, keeps_everything: bool
    ) -> Tensor:
        from mamba_ssm.ops.triton.layernorm_gated import _layer_norm_fwd
        from mamba_ssm.ops.triton.ssd_chunk_scan import _chunk_scan_fwd

        gate = mixer.split(projected)[0]
        scanned = _scan(projected, files, mixer)
        values, _, exit_ = mixer.parts(scanned.convolved)
        read, _ = _chunk_scan_fwd(
            *(scanned.products, values, scanned.times, scanned.decays, exit_, scanned.states),
            D=mixer.skip,
            seq_idx=files,
        )
        out, _, deviation = _layer_norm_fwd(
            *(read.flatten(0, 1).flatten(1), mixer.norm, None, mixer.epsilon),
            z=gate.flatten(0, 1),
            group_size=mixer.width // mixer.groups,
            norm_before_gate=False,
            is_rms_norm=True,
        )
        optional = (scanned.convolved, scanned.products) if keeps_everything else (None, None)
        ctx.save_for_backward(
            *(projected, files, read, deviation, scanned.states, scanned.times, scanned.decays), *optional
        )
        ctx.mixer = mixer
        whole: Tensor = out.view(*projected.shape[:2], mixer.width)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        projected, files, read, deviation, states, times, decays, convolved, products = ctx.saved_tensors
        mixer: FrozenMixer = ctx.mixer
        gate, inner, raw_times = mixer.split(projected)
        of_projected = torch.empty_like(projected)
        of_gate, of_inner, of_times = mixer.split(of_projected)
        if convolved is None:
            convolved = mixer.convolve(inner, files)
            products = _products(convolved, files, mixer)
        of_read = gradients_of_gated_norm(
            gradients[0].flatten(0, 1),
            *(read.flatten(0, 1).flatten(1), mixer.norm, deviation, gate.flatten(0, 1), of_gate.flatten(0, 1)),
            width=mixer.width // mixer.groups,
        )
        scanned = _Scanned(convolved=convolved, times=times, decays=decays, products=products, states=states)
        of_convolved = torch.empty_like(convolved)
        _scan_backward(
            of_read.view(read.shape), scanned, files, mixer, raw_times=raw_times, into=(of_convolved, of_times)
        )
        _convolve_backward(inner, of_convolved, files, mixer, into=of_inner)
        return of_projected, None, None, None


def _scan(projected: Tensor, files: Tensor, mixer: FrozenMixer) -> _Scanned:
    """All but reading the states."""
    from mamba_ssm.ops.triton.ssd_chunk_state import _chunk_cumsum_fwd, _chunk_state_fwd
    from mamba_ssm.ops.triton.ssd_state_passing import _state_passing_fwd

    _, inner, raw_times = mixer.split(projected)
    convolved = mixer.convolve(inner, files)
    values, entry, _ = mixer.parts(convolved)
    decays, times = _chunk_cumsum_fwd(
        *(raw_times, mixer.decay, mixer.chunk_tokens),
        dt_bias=mixer.time_bias,
        dt_softplus=True,
        dt_limit=mixer.time_limit,
    )
    own = _chunk_state_fwd(entry, values, times, decays, seq_idx=files, states_in_fp32=True)
    states, _ = _state_passing_fwd(
        own.flatten(-2), decays[..., -1], seq_idx=files, chunk_size=mixer.chunk_tokens, out_dtype=entry.dtype
    )
    products = _products(convolved, files, mixer)
    return _Scanned(
        convolved=convolved, times=times, decays=decays, products=products, states=states.view(own.shape)
    )


def _products(convolved: Tensor, files: Tensor, mixer: FrozenMixer) -> Tensor:
    """Of both factors, within each chunk: (rows, chunks, groups, tokens, tokens), fp32."""
    from mamba_ssm.ops.triton.ssd_bmm import _bmm_chunk_fwd

    _, entry, exit_ = mixer.parts(convolved)
    products: Tensor = _bmm_chunk_fwd(exit_, entry, mixer.chunk_tokens, seq_idx=files, output_dtype=torch.float32)
    return products


def _scan_backward(
    of_read: Tensor,
    scanned: _Scanned,
    files: Tensor,
    mixer: FrozenMixer,
    *,
    raw_times: Tensor,
    into: tuple[Tensor, Tensor],
) -> None:
    """Write gradients of the convolution's output and of the raw time steps `into` these."""
    from mamba_ssm.ops.triton.ssd_bmm import _bmm_chunk_bwd
    from mamba_ssm.ops.triton.ssd_chunk_scan import (
        _chunk_scan_bwd_dC,
        _chunk_scan_bwd_dcb,
        _chunk_scan_bwd_ddAcs_stable,
    )
    from mamba_ssm.ops.triton.ssd_chunk_state import _chunk_cumsum_bwd, _chunk_state_bwd_db
    from mamba_ssm.ops.triton.ssd_combined import _chunk_scan_chunk_state_bwd_dx

    values, entry, exit_ = mixer.parts(scanned.convolved)
    of_values, of_entry, of_exit = mixer.parts(into[0])
    packed, steps = {"seq_idx": files}, (scanned.times, scanned.decays)
    of_states, of_passing = _states_backward(of_read, scanned, files, mixer)
    _, of_steps, _ = _chunk_scan_chunk_state_bwd_dx(
        *(values, *steps, entry, scanned.products, of_read, of_states), D=mixer.skip, **packed, dx=of_values
    )
    entry_part, of_decays = _chunk_state_bwd_db(values, *steps, of_states, **packed, B=entry, ngroups=mixer.groups)
    exit_part, before = _chunk_scan_bwd_dC(
        scanned.states, scanned.decays, of_read, **packed, C=exit_, ngroups=mixer.groups
    )
    of_products = _chunk_scan_bwd_dcb(values, *steps, of_read, **packed, ngroups=mixer.groups)
    _bmm_chunk_bwd(exit_, of_products, residual=entry_part, out=of_entry)
    _bmm_chunk_bwd(entry, of_products.mT, residual=exit_part, out=of_exit)
    before[..., -1] += of_passing
    of_decays += before.flip([-1]).cumsum(dim=-1).flip([-1])
    of_decays += _chunk_scan_bwd_ddAcs_stable(values, *steps, of_read, scanned.products)
    _chunk_cumsum_bwd(
        *(of_decays, of_steps, raw_times, mixer.decay),
        dt_bias=mixer.time_bias,
        dt_softplus=True,
        dt_limit=mixer.time_limit,
        ddt=into[1],
    )


def _states_backward(
    of_read: Tensor, scanned: _Scanned, files: Tensor, mixer: FrozenMixer
) -> tuple[Tensor, Tensor]:
    """Gradients of each chunk's own states, and of its whole decay through them."""
    from mamba_ssm.ops.triton.ssd_chunk_scan import _chunk_scan_bwd_dstates
    from mamba_ssm.ops.triton.ssd_state_passing import _state_passing_bwd

    exit_ = mixer.parts(scanned.convolved)[2]
    read = _chunk_scan_bwd_dstates(exit_, scanned.decays, of_read, seq_idx=files, dtype=torch.float32)
    own, of_passing, _, _ = _state_passing_bwd(
        *(scanned.states.flatten(-2), scanned.decays[..., -1], read.flatten(-2)),
        seq_idx=files,
        has_initial_states=False,
        dstates_dtype=exit_.dtype,
        states_dtype=exit_.dtype,
        chunk_size=mixer.chunk_tokens,
    )
    return own.view(read.shape), of_passing


def _convolve_backward(
    inner: Tensor, of_convolved: Tensor, files: Tensor, mixer: FrozenMixer, *, into: Tensor
) -> None:
    from causal_conv1d.cpp_functions import causal_conv1d_bwd_function
    from mamba_ssm.ops.triton.ssd_combined import ensure_stride

    turned = ensure_stride(into).transpose(1, 2)
    found, *_ = causal_conv1d_bwd_function(
        *(ensure_stride(inner).transpose(1, 2), mixer.kernel, mixer.kernel_bias, of_convolved.transpose(1, 2)),
        *(files, None, None, turned, False, True),
    )
    if found.data_ptr() != into.data_ptr():
        into.copy_(found.transpose(1, 2))
