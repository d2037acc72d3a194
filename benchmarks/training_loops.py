"""One way of training at a time on one model: the plain transformers + peft loop, or ours, timed step by step."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from benchmarks.quantising import KEPT, quantise
from benchmarks.report import Row
from benchmarks.subjects import random_module
from core.messages import ModelName
from core.options import Weights
from core.training import TrainingOptions
from training.network import adapt, checkpoint_gradients, make_ready, packed_loss
from training.rows import Batch, predicted

GIB = 1 << 30
UNTIMED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How to train: `kept_blocks` at the end are not computed twice where the others are."""

    is_ours: bool
    weights: Weights
    is_checkpointed: bool
    kept_blocks: int = 0
    chunk_size: int = 0  # of the scan; 0 is the checkpoint's own
    keeps_scans: bool = False

    def __str__(self) -> str:
        parts = ["ours" if self.is_ours else "plain", self.weights.value]
        parts += ["checkpointing"] if self.is_checkpointed else []
        parts += [f"but {self.kept_blocks} blocks"] if self.kept_blocks else []
        parts += [f"chunks of {self.chunk_size}"] if self.chunk_size else []
        parts += ["scans kept"] if self.keeps_scans else []
        return " ".join(parts)


def build(
    way: Way, options: TrainingOptions, *, shape: str, device: torch.device, layers: int | None = None
) -> Any:
    """The adapted network, in training mode."""
    network: Any = random_module(ModelName.CODESTRAL, shape, device, layers=layers)
    if way.weights is Weights.NF4:
        quantise(network, kept=(KEPT,) if way.is_ours else (KEPT, "out_proj"))
    if way.chunk_size:
        for block in network.backbone.layers:
            block.mixer.chunk_size = way.chunk_size
    network.requires_grad_(False)
    if not way.is_ours:
        return _plain(network, way, options)
    make_ready(network)
    adapted: Any = adapt(network, options)
    if way.is_checkpointed:
        checkpoint_gradients(network, kept_blocks=way.kept_blocks)
    if way.keeps_scans:
        for block in network.backbone.layers:
            block.mixer.is_computed_again = True
    return adapted.train()


def _plain(network: Any, way: Way, options: TrainingOptions) -> Any:
    """As peft's own documents have it: no `out_proj`, fp32 adapters, bf16 by autocast."""
    for block in network.backbone.layers:
        block.gradient_checkpointing = way.is_checkpointed
        block._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
    config: Any = LoraConfig(r=options.lora_rank, lora_alpha=int(options.lora_alpha), target_modules=["in_proj"])
    return get_peft_model(network, config).train()


def loss_of(way: Way, network: Any, batch: Batch) -> Tensor:
    """Mean loss of a batch on the network's device."""
    tokens, segments, targets = batch["tokens"], batch["segments"], batch["targets"]
    if way.is_ours:
        return packed_loss(network, tokens, segments, targets) / predicted(batch)
    labels = torch.where(segments > 0, tokens, -100)  # it knows nothing of files that share a row
    with torch.autocast(tokens.device.type, torch.bfloat16):
        loss: Tensor = network(input_ids=tokens, labels=labels, use_cache=False).loss
    return loss


def measure(
    way: Way, batches: Sequence[Batch], options: TrainingOptions, *, shape: str, device: torch.device
) -> Row:
    """Tokens per second without padding, the peak of memory, seconds to the end of the first step, and more.

    The model and everything of it is gone afterwards.
    """
    _reset(device)
    begun = time.perf_counter()
    network = build(way, options, shape=shape, device=device)
    loaded_s = time.perf_counter() - begun
    parameters = [each for each in network.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=device.type == "cuda")
    times, losses = [], []
    for batch in batches:
        moved = {name: each.to(device) for name, each in batch.items()}
        at = time.perf_counter()
        loss = loss_of(way, network, moved)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))  # waits for the device
        times.append(time.perf_counter() - at)
    tokens = sum(int((batch["segments"] > 0).sum()) for batch in batches[UNTIMED:])
    peak = torch.cuda.max_memory_allocated(device) / GIB if device.type == "cuda" else None
    return {
        "way": str(way),
        "tokens_per_s": tokens / sum(times[UNTIMED:]),
        "peak_gib": peak,
        "load_s": loaded_s,
        "first_step_s": loaded_s + times[0],
        "flops_per_token": flops_per_token(network),
        "losses": losses,
        "step_s": times,
    }


def flops_per_token(network: nn.Module) -> int:
    """Of matrices, forward and backward: 4 for each frozen entry, 6 for each trained one, nothing recomputed.

    Scans and convolutions are not counted, so utilisation is a little higher than stated.
    """
    frozen = trained = 0
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            entries = module.in_features * module.out_features
            trained, frozen = (trained + entries, frozen) if ".lora_" in name else (trained, frozen + entries)
    return 4 * frozen + 6 * trained


def _reset(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
