"""Trains one of the small pair: `python -m training.mini.train --model mathstral --minutes 8 --out DIR`.

The learning rate follows the clock: it warms up, then falls along a cosine to nothing when the minutes are over.
DIR gets `model/` in the hub's layout (bf16, rewritten every minute), `losses.json`, and in the end `quality.json`.
With `--start` it goes on from the `model/` of an earlier run, with a fresh optimizer.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from core.messages import ModelName
from training.mini.encoding import Encoder
from training.mini.mixture import Maker, maker_of
from training.mini.networks import SHAPES, head_of, hidden_states, load_weights, make_network, save_network
from training.mini.pools import Batch, Pools
from training.mini.stream import Stream, make_rows
from training.mini.wording import Split

LOOK_S = 20.0
SAVE_S = 60.0
WARM_SHARE = 0.02


@dataclass
class Run:
    """Everything a run needs; `losses` is its log."""

    network: PreTrainedModel
    pools: Pools
    stream: Stream
    options: argparse.Namespace
    device: torch.device
    held_out: list[Batch]
    optimizers: list[torch.optim.Optimizer]
    losses: list[dict[str, float]] = field(default_factory=list)
    step: int = 0
    tokens: int = 0

    def train(self) -> None:
        """Until the time is over; the first step, which compiles kernels, does not count."""
        self._fill(self.options.fill_tokens)
        self._advance(0.0)
        self._synchronize()
        begun = time.perf_counter()
        budget = self._budget(begun)
        print(f"first step after {begun - self.options.begun:.0f} s; {budget:.0f} s of training", flush=True)
        looked = saved = begun
        running = torch.zeros((), device=self.device)
        since = 0
        while (now := time.perf_counter()) - begun < budget and self.step < self.options.most_steps:
            self._refill()
            running += self._advance((now - begun) / budget)
            since += 1
            if since % 8 == 0:
                self._synchronize()
            if now - looked > LOOK_S:
                self._look(now - begun, float(running) / since)
                running.zero_()
                since, looked = 0, now
            if now - saved > SAVE_S:
                self.save()
                saved = now
        self._look(time.perf_counter() - begun, float(running) / max(1, since))
        self.save()

    def save(self) -> None:
        out = Path(self.options.out)
        save_network(self.network, out / "model")
        about = {"options": {k: str(v) for k, v in vars(self.options).items()}, "losses": self.losses}
        (out / "losses.json").write_text(json.dumps(about, indent=1), encoding="utf-8")

    def _budget(self, begun: float) -> float:
        wanted: float = 60.0 * self.options.minutes
        if self.options.deadline_s:
            wanted = min(wanted, self.options.deadline_s - (begun - self.options.begun) - self.options.reserve_s)
        return max(1.0, wanted)

    def _advance(self, progress: float) -> Tensor:
        """One step; the mean loss of its answers in nats, on the device."""
        self._set_rates(progress)
        batches = [self.pools.draw(self.options.micro_tokens) for _ in range(self.options.micro_batches)]
        total = torch.stack([(counted.sum(1) * weights).sum() for _, counted, weights in batches]).sum()
        loss = torch.zeros((), device=self.device)
        for batch in batches:
            part = batch_loss(self.network, batch, self.device) / total
            part.backward()  # type: ignore[no-untyped-call]
            loss += part.detach()
            self.tokens += batch[0].numel()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return loss

    def _set_rates(self, progress: float) -> None:
        warm = min(1.0, progress / WARM_SHARE, (self.step + 1) / 50) if progress else 0.02
        rate = warm * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * rate

    def _fill(self, tokens: int) -> None:
        begun = time.perf_counter()
        while self.pools.tokens < tokens:
            for rows in self.stream.take(timeout_s=60.0):
                self.pools.put(rows)
        seconds = time.perf_counter() - begun
        print(
            f"made {self.pools.tokens} tokens in {seconds:.0f} s: {self.pools.tokens / seconds:.0f}/s", flush=True
        )

    def _refill(self) -> None:
        for rows in self.stream.take(timeout_s=0.0):
            self.pools.put(rows)

    @torch.no_grad()
    def _look(self, seconds: float, loss: float) -> None:
        sums = [batch_loss(self.network, batch, self.device) for batch in self.held_out]
        counts = [int(counted.sum()) for _, counted, _ in self.held_out]
        held_out = float(torch.stack(sums).sum()) / sum(counts)
        row = {
            "seconds": round(seconds, 1),
            "step": self.step,
            "tokens": self.tokens,
            "loss": loss,
            "held_out": held_out,
        }
        self.losses.append({**row, "made": self.pools.tokens})
        print(
            f"{seconds:6.0f} s  step {self.step:6}  {self.tokens / 1e6:8.1f} M tokens (made {self.pools.tokens / 1e6:.1f} M)  loss {loss:.4f}  held-out {held_out:.4f}",
            flush=True,
        )

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def batch_loss(network: PreTrainedModel, batch: Batch, device: torch.device) -> Tensor:
    """Weighted sum of the cross-entropies of the counted tokens, in nats; only their logits are computed."""
    tokens, is_counted, weights = batch
    with _autocast(device):
        hidden = hidden_states(network, tokens[:, :-1])
        chosen = hidden[is_counted]
        logits = functional.linear(chosen, head_of(network))
    losses = functional.cross_entropy(logits.float(), tokens[:, 1:][is_counted], reduction="none")
    return (losses * weights[:, None].expand(is_counted.shape)[is_counted]).sum()


def _autocast(device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast("cuda", dtype=torch.bfloat16) if device.type == "cuda" else nullcontext()


def make_optimizers(network: PreTrainedModel, *, rate: float, kind: str) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers and AdamW for the rest, or AdamW for all."""
    matrices, rest, plain = [], [], []
    for name, parameter in network.named_parameters():
        if parameter.ndim == 2 and ".layers." in name:
            matrices.append(parameter)
        elif parameter.ndim == 2:
            rest.append(parameter)
        else:
            plain.append(parameter)
    fused = next(network.parameters()).is_cuda
    adam_groups: list[dict[str, Any]] = [
        {"params": rest, "weight_decay": 0.01},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = []
    if kind == "muon":
        muon: Any = torch.optim.Muon
        optimizers.append(
            muon(matrices, lr=rate, weight_decay=0.05, momentum=0.95, adjust_lr_fn="match_rms_adamw")
        )
    else:
        adam_groups.append({"params": matrices, "weight_decay": 0.05})
    optimizers.append(torch.optim.AdamW(adam_groups, lr=rate, betas=(0.9, 0.95), fused=fused))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = rate
    return optimizers


def held_out_batches(maker: Maker, encoder: Encoder, device: torch.device, *, count: int) -> list[Batch]:
    """Fixed held-out examples, one batch per width."""
    rows = make_rows(maker, random.Random("held-out losses"), encoder, count=count, split=Split.HELD_OUT)
    batches = []
    for each in rows:
        tokens = torch.from_numpy(each.tokens).to(device).long()
        begins, ends = (torch.from_numpy(a).to(device).long()[:, None] for a in (each.begins, each.ends))
        places = torch.arange(1, each.width, device=device)
        batches.append((tokens, (places >= begins) & (places < ends), torch.ones(len(tokens), device=device)))
    return batches


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=[m.value for m in ModelName], required=True)
    parser.add_argument("--minutes", type=float, required=True, help="of training, after the first step")
    parser.add_argument("--out", required=True)
    parser.add_argument("--shape", choices=sorted(SHAPES), help="default: that of the model")
    parser.add_argument("--start", type=Path, help="a `model/` to go on from")
    parser.add_argument("--deadline-s", type=float, default=0.0, help="from the start of the process to its end")
    parser.add_argument("--reserve-s", type=float, default=90.0, help="of the deadline, for the evaluation")
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="muon")
    parser.add_argument("--rate", type=float, default=2e-3, help="the greatest learning rate")
    parser.add_argument("--micro-tokens", type=int, default=32_768)
    parser.add_argument("--micro-batches", type=int, default=4)
    parser.add_argument("--fill-tokens", type=int, default=4_000_000, help="made before the first step")
    parser.add_argument("--most-steps", type=int, default=1 << 40)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=lambda text: tuple(text.split(",")), default=(), help="kinds or tasks")
    parser.add_argument("--evaluate", type=int, default=40, help="held-out problems of each kind in the end")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse(sys.argv[1:])
    options.begun = time.perf_counter()
    model, encoder = ModelName(options.model), Encoder()
    Path(options.out).mkdir(parents=True, exist_ok=True)
    stream = Stream(model, workers=options.workers, seed=options.seed, only=options.only)
    try:
        _run(options, model, encoder, stream)
    finally:
        stream.close()


def _run(options: argparse.Namespace, model: ModelName, encoder: Encoder, stream: Stream) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision("high")
    network = make_network(model, SHAPES[options.shape or model.value], vocabulary=encoder.size, seed=options.seed)
    if options.start is not None:
        load_weights(network, options.start)
    network.to(device)  # type: ignore[arg-type]
    print(f"{model}: {network.num_parameters() / 1e6:.2f} M parameters on {device}", flush=True)
    run = Run(
        network=network,
        pools=Pools(device),
        stream=stream,
        options=options,
        device=device,
        held_out=held_out_batches(
            maker_of(model, options.only), encoder, device, count=1000 if device.type == "cuda" else 50
        ),
        optimizers=make_optimizers(network, rate=options.rate, kind=options.optimizer),
    )
    run.train()
    stream.close()
    if options.evaluate:
        from training.mini.evaluate import evaluate_network

        evaluate_network(model, network, encoder, count=options.evaluate, out=Path(options.out) / "quality.json")


if __name__ == "__main__":
    main()
