"""Small tables on their way to the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def to_device(values: Sequence[Any], dtype: torch.dtype, device: torch.device) -> Tensor:
    """`values`, nested or not, as a tensor on `device`, without waiting for what it is doing.

    CUDA takes a copy of ordinary (pageable) memory before the call returns, so nothing has to be kept; a copy that
    is not `non_blocking` would wait for all steps under way.
    """
    return torch.tensor(values, dtype=dtype).to(device, non_blocking=True)


def column(values: Sequence[float], dtype: torch.dtype, device: torch.device) -> Tensor:
    """One value for each row of a batch, (n, 1)."""
    return to_device(values, dtype, device)[:, None]
