"""The greatest values of each row in a fixed order, also where values are equal."""

from __future__ import annotations

import torch
from torch import Tensor

_SIGN = 2**31 - 1
_FEW = 8  # up to an eighth of the row, a CPU selects faster than it sorts


def rank(values: Tensor, count: int) -> Tensor:
    """Indices (n, count) of the greatest of `values` (n, width) float32, greatest first; ties by lower index.

    So the first k are the same whatever `count` is: what one row gets does not depend on what others ask for.
    """
    width = values.shape[-1]
    if values.is_cuda or count * _FEW >= width:  # a GPU sorts a batch of rows as fast as it selects from them
        return values.sort(dim=-1, descending=True, stable=True).indices[:, :count]
    # `topk` breaks ties as it likes, so it is given none: the index is in the lower half of each key.
    bits = (values + 0.0).view(torch.int32)  # without -0.0, which equals 0.0
    ordered = bits ^ ((bits >> 31) & _SIGN)  # as integers in the order of the floats
    index = torch.arange(width - 1, -1, -1, device=values.device)
    return ((ordered.long() << 32) | index).topk(count, dim=-1).indices
