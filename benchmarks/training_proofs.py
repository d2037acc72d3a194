"""Shows on the device at hand that what makes training fast leaves its numbers as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from benchmarks.report import Row
from benchmarks.subjects import random_module
from benchmarks.training_loops import Way, build
from core.messages import ModelName
from core.options import Weights
from core.training import TrainingOptions
from ensemble.engine.adapter import Adapter, LowRank
from ensemble.engine.mamba2_network import Mamba2Network, adaptable
from ensemble.engine.network import Chunk
from training.network import packed_loss
from training.rows import Batch, targets_of

FILE_TOKENS = (700, 33, 256, 411, 600)
LAYERS = 8
"""Of full width; noise of bf16 grows with depth and would hide mistakes."""
SHALLOW = 2
"""Of full width, where gradients are compared."""


class Proofs:
    """Each returns one row: what was compared, both figures, and by how much they may differ."""

    def __init__(self, options: TrainingOptions, batch: Batch, *, shape: str, device: torch.device) -> None:
        self._options, self._shape, self._device = options, shape, device
        tokens = batch["tokens"][batch["segments"] > 0]
        lengths = FILE_TOKENS if len(tokens) >= sum(FILE_TOKENS) else (len(tokens) // 2, len(tokens) // 3)
        self._files = [each.to(device) for each in tokens[: sum(lengths)].split(list(lengths))]

    def cure_equals_unfused(self) -> Row:
        """Our loss of one file beside that of transformers' mixer in evaluation mode, which is unfused."""
        network = self._network(Weights.BF16)
        tokens, segments, targets = self._packed(self._files[:1])
        with torch.no_grad():
            cured = packed_loss(network.train(), tokens, segments, targets) / (targets >= 0).sum()
            logits = network.eval()(tokens, use_cache=False).logits[0, :-1].float()
            unfused = functional.cross_entropy(logits, tokens[0, 1:])
        return _row("loss, cure / unfused", cured, unfused, 2e-3)

    def train_equals_eval(self) -> Row:
        """Our loss in training and in evaluation mode."""
        network, packed = self._network(Weights.BF16), self._packed(self._files)
        with torch.no_grad():
            losses = [packed_loss(network.train(mode), *packed) for mode in (True, False)]
        return _row("loss, training / evaluation mode", *losses, 1e-6)

    def packed_equals_separate(self) -> Row:
        """Files in one row beside each file alone."""
        network = self._network(Weights.BF16)
        with torch.no_grad():
            together = packed_loss(network, *self._packed(self._files))
            apart = sum(packed_loss(network, *self._packed([file])) for file in self._files)
        return _row("loss, packed / separate", together, apart, 2e-3)

    def gradients_agree(self) -> Row:
        """Gradients of all adapters: files in one row, beside each file alone.

        Rounding to bf16, amplified by random weights, sets them apart by some per cent; so does computing the same
        files in rows of their own, padded, which is the measure: packing may set them apart by half as much again.
        Borders forgotten must show, or nothing would.
        """
        network = self._network(Weights.BF16, layers=SHALLOW)
        alone = _gradients(network, [self._packed([file]) for file in self._files])
        together = self._packed(self._files)
        packed = _apart(_gradients(network, [together]), alone)
        rounding = _apart(_gradients(network, [self._padded()]), alone)
        merged = (together[0], torch.ones_like(together[1]), together[2])
        forgotten = _apart(_gradients(network, [merged]), alone)
        row = _row("gradients, apart by packing / rounding", packed, rounding, float("inf"))
        is_good = packed <= max(1.5 * rounding, 1e-5) and forgotten > 2 * packed
        return {**row, "forgotten": forgotten, "is_good": is_good}

    def out_proj_is_trained(self, weights: Weights) -> Row:
        """The least norm among the gradients of adapters on `out_proj`."""
        network = self._network(weights)
        packed_loss(network, *self._packed(self._files)).backward()
        norms = [
            float(each.grad.norm())
            for name, each in network.named_parameters()
            if "out_proj.lora_" in name and each.grad is not None
        ]
        layers = len(network.get_base_model().backbone.layers)
        is_good = len(norms) == 2 * layers and min(norms) > 0
        least = min(norms, default=0.0)
        return {"proof": f"out_proj gradients, {weights}", "first": least, "is_good": is_good}

    def hot_swap_equals_cold_load(self) -> Row:
        """The engine's logits with an adapter put where another was, beside those of one that only had it."""
        module = random_module(ModelName.CODESTRAL, self._shape, self._device, layers=LAYERS)
        warm, cold = (Mamba2Network(module, slots=2) for _ in range(2))
        warm.adopt(0, _random_adapter(module, seed=1, rank=self._options.lora_rank))
        before = self._logits(warm)
        for network in (warm, cold):
            network.adopt(0, _random_adapter(module, seed=2, rank=self._options.lora_rank))
        swapped, loaded = self._logits(warm), self._logits(cold)
        row = _row("logits, hot swap - cold load, most", (swapped - loaded).abs().max(), torch.zeros(()), 0.0)
        return {**row, "is_good": row["is_good"] and not torch.equal(before, swapped)}

    @torch.inference_mode()
    def _logits(self, network: Mamba2Network) -> Tensor:
        tokens = self._files[0][: 4 * 64].tolist()
        network.open(1, len(tokens), place=0)
        logits = network.prefill([Chunk(1, 0, tokens)]).float()
        network.close(1)
        return logits

    def _network(self, weights: Weights, layers: int = LAYERS) -> Any:
        """With adapters that do something."""
        way = Way(is_ours=True, weights=weights, is_checkpointed=False)
        network = build(way, self._options, shape=self._shape, device=self._device, layers=layers)
        torch.manual_seed(1)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.01)
        return network

    def _packed(self, files: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        tokens = torch.cat(list(files))[None]
        lengths = torch.tensor([len(file) for file in files], device=self._device)
        numbers = torch.arange(1, len(files) + 1, dtype=torch.int32, device=self._device)
        segments = numbers.repeat_interleave(lengths)[None]
        return tokens, segments, targets_of(tokens, segments)

    def _padded(self) -> tuple[Tensor, Tensor, Tensor]:
        """Each file in a row of its own."""
        tokens = pad_sequence(self._files, batch_first=True)
        segments = pad_sequence(
            [torch.ones_like(file, dtype=torch.int32) for file in self._files], batch_first=True
        )
        return tokens, segments, targets_of(tokens, segments)


def _gradients(network: Any, batches: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """Of all adapters, over all batches, as one vector."""
    network.zero_grad()
    for batch in batches:
        packed_loss(network, *batch).backward()
    return torch.cat([each.grad.flatten() for each in network.parameters() if each.grad is not None])


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def _random_adapter(module: Any, *, seed: int, rank: int) -> Adapter:
    generator = torch.Generator().manual_seed(seed)
    products: Mapping[str, LowRank] = {
        name: LowRank(
            torch.randn(rank, linear.in_features, generator=generator) / 64,
            torch.randn(linear.out_features, rank, generator=generator) / 64,
        )
        for name, linear in adaptable(module).items()
    }
    return Adapter(rank, products)


def _row(proof: str, first: Any, second: Any, most: float, *, is_absolute: bool = False) -> Row:
    first, second = float(first), float(second)
    apart = abs(first - second) if is_absolute or second == 0 else abs(first - second) / abs(second)
    return {"proof": proof, "first": first, "second": second, "apart": apart, "is_good": apart <= most}
