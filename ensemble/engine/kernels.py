"""Did transformers find the compiled Mamba2 kernels?

Where it did not, it goes on with pure torch, 10 to 100 times slower, after one warning.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from core.errors import KernelsMissing

# As transformers/models/mamba2/modeling_mamba2.py names them in generation, with the package each must come from.
_KERNELS = {
    "causal_conv1d_fn": "causal_conv1d",
    "causal_conv1d_update": "causal_conv1d",
    "mamba2_chunk_scan": "mamba_ssm",
    "mamba2_selective_state_update": "mamba_ssm",
}


def require_mamba2_kernels() -> None:
    """Refuse to go on where any kernel is transformers' pure torch stand-in.

    Raises:
        KernelsMissing: naming the kernels and how to install them.
    """
    from transformers.models.mamba2 import modeling_mamba2

    missing = [
        name
        for name, package in _KERNELS.items()
        if not is_compiled(getattr(modeling_mamba2, name, None), package)
    ]
    if missing:
        raise KernelsMissing(
            f"Mamba2 would run 10 to 100 times slower without the compiled kernels {', '.join(missing)}: "
            'install them with `pip install --no-build-isolation ".[gpu]"`, for the torch installed here, '
            "and check that `import mamba_ssm, causal_conv1d` works"
        )


def is_compiled(function: Callable[..., Any] | None, package: str) -> bool:
    """Whether transformers' dispatching `function` ends in an implementation of `package`.

    transformers (5.23) keeps the chosen implementation in the closure variable `implementation`.
    """
    if not inspect.isfunction(function):
        return False
    implementation = inspect.getclosurevars(function).nonlocals.get("implementation")
    return str(getattr(implementation, "__module__", "")).partition(".")[0] == package
