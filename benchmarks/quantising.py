"""Makes a random bf16 module 4-bit in place, as transformers' loader would have made it from a checkpoint."""

from __future__ import annotations

import gc
from typing import Any

import torch
from torch import nn

KEPT = "lm_head"


def quantise(module: nn.Module, *, kept: tuple[str, ...] = (KEPT,)) -> None:
    """Turn every linear layer but those called `kept` into NF4 on its own device, each bf16 weight freed in turn.

    Like bitsandbytes in `core.options.Weights.NF4`: bf16 arithmetic, no double quantisation. Anything that still
    refers to a bf16 weight keeps it in memory. Raises ImportError without bitsandbytes.
    """

    def is_wanted(name: str, child: nn.Module) -> bool:
        return type(child) is nn.Linear and name.rpartition(".")[2] not in kept

    names = [name for name, child in module.named_modules() if is_wanted(name, child)]
    for name in names:
        parent_name, _, own_name = name.rpartition(".")
        parent = module.get_submodule(parent_name)
        setattr(parent, own_name, _quantised(getattr(parent, own_name)))
    compact(module)


def _quantised(linear: nn.Linear) -> Any:
    from bitsandbytes.nn import Linear4bit, Params4bit

    new: Any = Linear4bit(
        linear.in_features,
        linear.out_features,
        bias=linear.bias is not None,
        compute_dtype=torch.bfloat16,
        compress_statistics=False,
        quant_type="nf4",
        device="meta",
    )
    data = linear.weight.data
    weight = Params4bit(data, requires_grad=False, compress_statistics=False, quant_type="nf4", module=new)
    new.weight = weight._quantize(data.device)
    new.bias = linear.bias
    new.eval()
    return new


def compact(module: nn.Module) -> None:
    """Move all weights to the host and back: quantised ones had settled in the gaps of freed bf16 ones.

    Otherwise torch would reserve far more than it uses, which a loader that never held the bf16 model does not.
    """
    tensors: list[Any] = [*module.parameters(), *module.buffers()]
    states = [getattr(each, "quant_state", None) for each in tensors]
    tensors += [state.absmax for state in states if state is not None]
    devices = [each.device for each in tensors]
    hosts = [each.data.cpu() for each in tensors]
    for each in tensors:
        each.data = torch.empty(0, dtype=each.dtype, device=each.device)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    for each, host, device in zip(tensors, hosts, devices, strict=True):
        each.data = host.to(device)
