"""What Mamba2 remembers of every slot, one `LayerMemory` per layer, and how large that is.

The recurrent state is written only once per `WINDOW` tokens. Between, each step leaves the token's inputs in a
window and replays the window over the state it reads: memory traffic per token falls from two states to one and an
eighth, and the state is rounded to its dtype an eighth as often.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.errors import ConfigurationError

_LONGEST_BLOCK = 32  # longer ones spend more on scores within a block than they save
WINDOW = 8  # tokens between two writes of the state; it is written after positions 7, 15, 23 ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mamba2Shape:
    """Sizes of one mixer; what it projects to is (gate, inputs of the convolution: x, B and C, time step)."""

    heads: int
    head_dim: int
    groups: int
    state: int
    width: int  # of the convolution
    block: int  # tokens scanned at once

    @property
    def inner(self) -> int:
        return self.heads * self.head_dim

    @property
    def keyed(self) -> int:
        """Width of B, and of C."""
        return self.groups * self.state

    @property
    def channels(self) -> int:
        """Width of what is convolved."""
        return self.inner + 2 * self.keyed

    @property
    def parts(self) -> list[int]:
        """Widths of what is projected to."""
        return [self.inner, self.channels, self.heads]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMemory:
    """One layer's memory of all slots; `absorbed` is one tensor that all layers share."""

    state: Tensor  # (slots, heads, head_dim, state)
    taps: Tensor  # (slots, width, channels): inputs of the convolution, that of position p at p % width
    x: Tensor  # (slots, WINDOW, inner): tokens not yet in the state, that of position p at p % WINDOW
    b: Tensor  # (slots, WINDOW, keyed)
    dt: Tensor  # (slots, WINDOW, heads), fp32
    absorbed: Tensor  # (slots,): how many tokens were in the state when the prompt had been read


def read_shape(config: Any) -> Mamba2Shape:
    """The sizes in a transformers config.

    Raises:
        ConfigurationError: for variants that no checkpoint of ours uses.
    """
    if config.hidden_act not in {"silu", "swish"} or tuple(config.time_step_limit) != (0.0, float("inf")):
        raise ConfigurationError(
            f"Mamba2 with hidden_act {config.hidden_act} and time_step_limit {config.time_step_limit} is not "
            "supported: it must be silu, with no limit"
        )
    return Mamba2Shape(
        heads=config.num_heads,
        head_dim=config.head_dim,
        groups=config.n_groups,
        state=config.state_size,
        width=config.conv_kernel,
        block=min(config.chunk_size, _LONGEST_BLOCK),
    )


def allocate(module: Any, *, slots: int, state_dtype: torch.dtype) -> list[LayerMemory]:
    """Memory of all layers for `slots` sequences of a `Mamba2ForCausalLM`; all but state and dt in its dtype."""
    shape, layers = read_shape(module.config), module.config.num_hidden_layers
    options = {"device": module.device, "dtype": module.dtype}
    absorbed = torch.zeros(slots, device=module.device, dtype=torch.int64)
    return [
        LayerMemory(
            state=torch.zeros(
                slots, shape.heads, shape.head_dim, shape.state, device=module.device, dtype=state_dtype
            ),
            taps=torch.zeros(slots, shape.width, shape.channels, **options),
            x=torch.zeros(slots, WINDOW, shape.inner, **options),
            b=torch.zeros(slots, WINDOW, shape.keyed, **options),
            dt=torch.zeros(slots, WINDOW, shape.heads, device=module.device),
            absorbed=absorbed,
        )
        for _ in range(layers)
    ]


def slot_bytes(config: Any, *, dtype: torch.dtype, state_dtype: torch.dtype) -> int:
    """Memory of one slot in all layers, for weights that compute in `dtype`."""
    shape = read_shape(config)
    inputs = WINDOW * (shape.inner + shape.keyed) + shape.width * shape.channels
    state = shape.inner * shape.state * state_dtype.itemsize
    return int(config.num_hidden_layers * (state + inputs * dtype.itemsize + WINDOW * shape.heads * 4))
