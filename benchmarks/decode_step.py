"""How near to the limit of memory is one decoding step of a network alone, and how fast does it read prompts?

    python -m benchmarks.decode_step mamba2|mistral [--batches 1 8 64 256] [--adapter-rank 32]

The full 7B shape with random weights in bf16, on one CUDA GPU; no scheduler and no sampling. The bound is the time
a device-to-device copy, timed in the same run, takes for the bytes a step must move: all weights but the embedding
once, and per sequence the recurrent state in bf16 read and written (Mamba2) or the keys and values of its context
read (Mistral). With an adapter rank, steps are timed again with two random adapters on the device and every row on
the first. Caveats: Mamba2Network writes the state only every eighth token, so it can pass its bound; the bound
leaves adapters out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.machine import Machine, milliseconds
from benchmarks.subjects import MODELS, SHAPES, Subject, random_module
from core.messages import ModelName
from ensemble.engine.adapter import Adapter, LowRank
from ensemble.engine.mamba2_network import Mamba2Network, adaptable
from ensemble.engine.mistral_network import MistralNetwork
from ensemble.engine.network import Chunk, SlotNetwork
from ensemble.engine.paged_cache import CacheShape
from ensemble.engine.versions import PLACES

PROMPT_TOKENS = 256
STEPS = 128  # decoded per batch size, after as many that are not timed
STEPS_PER_TIMING = 16  # the least is twice the tokens between two writes of Mamba2's state
PREFILL_CHUNKS = (1, 4, 16, 32)  # prompts read at once
CONTEXT_TOKENS = 1024


def build_network(subject: Subject, slots: int) -> SlotNetwork:
    """The network alone, warmed up, with room for what is decoded here."""
    module = subject.module
    network: SlotNetwork
    if subject.model is ModelName.CODESTRAL:
        state_dtype = torch.bfloat16 if module.device.type == "cuda" else torch.float32
        network = Mamba2Network(module, slots=slots, state_dtype=state_dtype)
    else:
        pages = slots * CacheShape.of(module.config).pages_for(PROMPT_TOKENS + 2 * STEPS + 1)
        network = MistralNetwork(module, slots=slots, pages=pages, context_tokens=CONTEXT_TOKENS)
    network.warm_up()
    return network


def prompts(rows: int) -> Iterator[Chunk]:
    generator = torch.Generator().manual_seed(rows)
    for slot in range(rows):
        tokens = torch.randint(3, 32_000, (PROMPT_TOKENS,), generator=generator).tolist()
        yield Chunk(slot=slot, start=0, tokens=tokens)


def read_prompts(network: SlotNetwork, rows: int, *, at_once: int, place: int | None = None) -> Tensor:
    chunks = list(prompts(rows))
    for chunk in chunks:
        if not network.open(chunk.slot, PROMPT_TOKENS + 2 * STEPS + 1, place=place):
            raise RuntimeError(f"no memory for slot {chunk.slot}")
    logits = [network.prefill(chunks[first : first + at_once]).clone() for first in range(0, rows, at_once)]
    return torch.cat(logits)


def close(network: SlotNetwork, rows: int) -> None:
    for slot in range(rows):
        network.close(slot)


def time_step(network: SlotNetwork, rows: int, *, place: int | None = None) -> float:
    """Median milliseconds of a step; tokens are fed back, so memory holds what a model would really see."""
    slots = torch.arange(rows, device=network.device)
    logits = read_prompts(network, rows, at_once=16, place=place)
    position = torch.full((rows,), PROMPT_TOKENS, device=network.device)

    def advance(steps: int) -> None:
        nonlocal logits
        for _ in range(steps):
            logits = network.decode(slots, tokens, position)
            position.add_(1)

    tokens = logits.argmax(-1)
    advance(STEPS)
    timings = [
        milliseconds(lambda: advance(STEPS_PER_TIMING), network.device) for _ in range(STEPS // STEPS_PER_TIMING)
    ]
    close(network, rows)
    if not logits.isfinite().all():
        raise RuntimeError("logits are not finite")
    return statistics.median(timings) / STEPS_PER_TIMING


def report_steps(
    subject: Subject, network: SlotNetwork, batches: list[int], machine: Machine, *, place: int | None = None
) -> None:
    context = PROMPT_TOKENS + STEPS + STEPS // 2
    print(f"{'batch':>6} {'step ms':>9} {'bound ms':>9} {'tokens/s':>9} {'of bound':>9}")
    for rows in batches:
        step = time_step(network, rows, place=place)
        bound = 1e3 * subject.bound(machine, rows=rows, context=context).memory_s
        print(f"{rows:>6} {step:>9.3f} {bound:>9.3f} {1e3 * rows / step:>9.0f} {bound / step:>9.1%}")


def report_prefill(network: SlotNetwork, counts: list[int]) -> None:
    print(f"{'prompts':>8} {'of tokens':>9} {'ms':>9} {'tokens/s':>9}")
    for rows in counts:
        timings = []
        for _ in range(4):
            timings.append(milliseconds(partial(read_prompts, network, rows, at_once=rows), network.device))
            close(network, rows)
        least = min(timings[1:])
        print(f"{rows:>8} {PROMPT_TOKENS:>9} {least:>9.2f} {1e3 * rows * PROMPT_TOKENS / least:>9.0f}")


def adopt_random(subject: Subject, network: SlotNetwork, rank: int) -> None:
    """Fill every place with an adapter of `rank`, and say how long each took."""
    for place in range(PLACES):
        generator = torch.Generator().manual_seed(place)
        products = {
            name: LowRank(
                0.01 * torch.randn(rank, linear.in_features, generator=generator),
                0.01 * torch.randn(linear.out_features, rank, generator=generator),
            )
            for name, linear in adaptable(subject.module).items()
        }
        begun = time.perf_counter()
        network.adopt(place, Adapter(rank, products))
        if network.device.type == "cuda":
            torch.cuda.synchronize()
        print(f"an adapter of rank {rank} in place {place} after {time.perf_counter() - begun:.3f} s")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=list(MODELS))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64, 256])
    parser.add_argument("--shape", choices=SHAPES, default="full")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--adapter-rank", type=int, help="time adapted steps too (mamba2)")
    arguments = parser.parse_args()
    machine = Machine.measure(arguments.device)
    print(machine)
    slots = max(*arguments.batches, *PREFILL_CHUNKS)
    model = MODELS[arguments.network]
    subject = Subject.of(model, random_module(model, arguments.shape, arguments.device))
    network = build_network(subject, slots)
    print(f"{subject.weight_bytes / 1e9:.2f} GB of weights read in a step, {slots} slots")
    report_steps(subject, network, arguments.batches, machine)
    if arguments.adapter_rank:
        adopt_random(subject, network, arguments.adapter_rank)
        report_steps(subject, network, arguments.batches, machine, place=0)
    report_prefill(network, [count for count in PREFILL_CHUNKS if count <= slots])


if __name__ == "__main__":
    main()
