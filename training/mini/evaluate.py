"""Asks a network in training held-out problems, many at once and greedily: quick on a GPU, and on any device.

Each step computes whole rows again, so nothing of the engine is needed; `benchmarks/mini_quality.py` measures the
same problems through the engine.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from core.messages import ModelName
from training.mini.encoding import EOS, Encoder
from training.mini.networks import head_of, hidden_states
from training.mini.quality import grade, problems, seed_prompts, table

ROWS = {"cuda": 512, "cpu": 16}
MOST_TOKENS = 512
_COMPACT_EVERY, _STEP_WIDTH = 16, 64


def evaluate_network(
    model: ModelName,
    network: PreTrainedModel,
    encoder: Encoder,
    *,
    count: int,
    out: Path,
    most_tokens: int = MOST_TOKENS,
) -> None:
    """Print a table, and write it with a few wrong answers to `out`."""
    begun = time.perf_counter()
    asked = problems(model, count)
    seeds = seed_prompts(model)
    shown_all = [*seeds, *asked]
    answers = write_greedily(network, [encoder.prompt(e) for e in shown_all], most_tokens=most_tokens)
    texts = [encoder.answer(e, answer) for e, answer in zip(shown_all, answers, strict=True)]
    graded = grade(asked, texts[len(seeds) :], workers=max(2, os.cpu_count() or 2))
    rows = table(graded)
    for row in rows:
        print(
            f"{row['kind']:50} {row['count']:5} right {row['right']:7.1%}"
            + (f"  parses {row['parses']:.1%}" if "parses" in row else ""),
            flush=True,
        )
    for example, text in zip(seeds, texts, strict=False):
        print(f"\n### {example.shown[-1].content[:80]!r}\n{text}", flush=True)
    wrong = [(e, t) for e, t, g in zip(asked, texts[len(seeds) :], graded, strict=True) if not g.is_right]
    random.Random(0).shuffle(wrong)
    shown = [
        {"kind": e.kind, "asked": e.shown[-1].content, "written": t, "expected": e.expected or e.written}
        for e, t in wrong[:150]
    ]
    seconds = time.perf_counter() - begun
    out.write_text(json.dumps({"table": rows, "seconds": seconds, "wrong": shown}, indent=1), encoding="utf-8")
    print(f"evaluated {len(asked)} problems in {seconds:.0f} s", flush=True)


def write_greedily(network: PreTrainedModel, prompts: Sequence[list[int]], *, most_tokens: int) -> list[list[int]]:
    """What the network writes after each prompt, without the end token."""
    device = next(network.parameters()).device
    order = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))
    written: list[list[int]] = [[] for _ in prompts]
    for at in range(0, len(order), ROWS[device.type]):
        chosen = order[at : at + ROWS[device.type]]
        for index, answer in zip(chosen, _write(network, [prompts[i] for i in chosen], most_tokens), strict=True):
            written[index] = answer
    return written


@torch.inference_mode()
def _write(network: PreTrainedModel, prompts: Sequence[list[int]], most_tokens: int) -> list[list[int]]:
    device = next(network.parameters()).device
    width = max(map(len, prompts)) + most_tokens
    tokens = torch.full((len(prompts), width), EOS, device=device)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt)] = torch.tensor(prompt, device=device)
    starts = torch.tensor([len(prompt) for prompt in prompts], device=device)
    lengths, alive = starts.clone(), torch.arange(len(prompts), device=device)
    for step in range(most_tokens):
        if step % _COMPACT_EVERY == 0:
            rows = torch.arange(len(alive), device=device)
            last = tokens[alive, lengths[alive] - 1]
            alive = alive[rows[(last != EOS) | (lengths[alive] == starts[alive])]]
            if not len(alive):
                break
            longest = -(-(int(lengths[alive].max()) + _COMPACT_EVERY) // _STEP_WIDTH) * _STEP_WIDTH
        fresh = _next(network, tokens[alive, : min(width, longest)], lengths[alive])
        tokens[alive, lengths[alive]] = fresh
        lengths[alive] += 1
    answers = []
    for row, start in zip(tokens.tolist(), starts.tolist(), strict=True):
        rest = row[start:]
        answers.append(rest[: rest.index(EOS)] if EOS in rest else rest)
    return answers


def _next(network: PreTrainedModel, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The most probable token after each row; what stands behind a row's end is never looked at."""
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=tokens.is_cuda):
        hidden = hidden_states(network, tokens)
        logits = functional.linear(
            hidden[torch.arange(len(tokens), device=tokens.device), lengths - 1], head_of(network)
        )
    return logits.float().argmax(-1)
