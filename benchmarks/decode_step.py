"""How near to the limit of memory is one decoding step of a network alone, and how fast does it read prompts?

    python -m benchmarks.decode_step mamba2|mistral [--batches 1 8 64 256]

The full 7B shape with random weights in bf16, on one CUDA GPU; no scheduler and no sampling. The bound is the time
a device-to-device copy, timed in the same run, takes for the bytes a step must move: all weights but the embedding
once, and per sequence the recurrent state in bf16 read and written (Mamba2) or the keys and values of its context
read (Mistral). Caveat: Mamba2Network writes the state only every eighth token, so it can pass its bound.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import Mamba2Config, Mamba2ForCausalLM, MistralConfig, MistralForCausalLM, PreTrainedModel

from ensemble.engine.network import Chunk, SlotNetwork

PROMPT_TOKENS = 256
STEPS = 128  # decoded per batch size, after as many that are not timed
STEPS_PER_TIMING = 16  # the least is twice the tokens between two writes of Mamba2's state
PREFILL_CHUNKS = (1, 4, 16, 32)  # prompts read at once
COPY_BYTES = 1 << 33


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A network under test, and what its step must move."""

    network: SlotNetwork
    weight_bytes: int
    state_bytes: int  # of one sequence, read in each step, whatever its length
    token_bytes: int  # of one token of context, read in each step


def build_mamba2(slots: int) -> Subject:
    from ensemble.engine.mamba2_network import Mamba2Network

    module = random_module(Mamba2ForCausalLM, Mamba2Config())
    config: Any = module.config
    state = config.num_hidden_layers * config.num_heads * config.head_dim * config.state_size
    network = Mamba2Network(module, slots=slots)
    network.warm_up()
    return Subject(network=network, weight_bytes=streamed_bytes(module), state_bytes=2 * 2 * state, token_bytes=0)


def build_mistral(slots: int) -> Subject:
    from ensemble.engine.mistral_network import MistralNetwork
    from ensemble.engine.paged_cache import CacheShape

    config = MistralConfig(vocab_size=32_768, sliding_window=None, max_position_embeddings=32_768)
    module = random_module(MistralForCausalLM, config)
    context = PROMPT_TOKENS + 2 * STEPS + 1
    pages = slots * CacheShape.of(config).pages_for(context)
    network = MistralNetwork(module, slots=slots, pages=pages, context_tokens=1024)
    network.warm_up()
    width = config.num_key_value_heads * (config.hidden_size // config.num_attention_heads)
    return Subject(
        network=network,
        weight_bytes=streamed_bytes(module),
        state_bytes=0,
        token_bytes=2 * 2 * width * config.num_hidden_layers,
    )


def random_module(architecture: Any, config: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    with torch.device("cuda"):
        module: PreTrainedModel = architecture._from_config(config, dtype=torch.bfloat16)
    return module.eval()


def streamed_bytes(module: PreTrainedModel) -> int:
    embedding = module.get_input_embeddings().weight
    return sum(each.nbytes for each in module.parameters()) - embedding.nbytes


def milliseconds(action: Callable[[], object]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    action()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def measure_bandwidth() -> float:
    """Bytes read plus bytes written per second by a large copy."""
    source = torch.randint(0, 1 << 62, (COPY_BYTES // 8,), device="cuda")
    target = torch.empty_like(source)
    timings = [milliseconds(lambda: target.copy_(source)) for _ in range(8)]
    return 2 * COPY_BYTES / (1e-3 * statistics.median(timings[2:]))


def prompts(rows: int) -> Iterator[Chunk]:
    generator = torch.Generator().manual_seed(rows)
    for slot in range(rows):
        tokens = torch.randint(3, 32_000, (PROMPT_TOKENS,), generator=generator).tolist()
        yield Chunk(slot=slot, start=0, tokens=tokens)


def read_prompts(network: SlotNetwork, rows: int, *, at_once: int) -> Tensor:
    chunks = list(prompts(rows))
    for chunk in chunks:
        if not network.open(chunk.slot, PROMPT_TOKENS + 2 * STEPS + 1):
            raise RuntimeError(f"no memory for slot {chunk.slot}")
    logits = [network.prefill(chunks[first : first + at_once]).clone() for first in range(0, rows, at_once)]
    return torch.cat(logits)


def close(network: SlotNetwork, rows: int) -> None:
    for slot in range(rows):
        network.close(slot)


def time_step(network: SlotNetwork, rows: int) -> float:
    """Median milliseconds of a step; tokens are fed back, so memory holds what a model would really see."""
    slots = torch.arange(rows, device="cuda")
    logits = read_prompts(network, rows, at_once=16)
    position = torch.full((rows,), PROMPT_TOKENS, device="cuda")

    def advance(steps: int) -> None:
        nonlocal logits
        for _ in range(steps):
            logits = network.decode(slots, tokens, position)
            position.add_(1)

    tokens = logits.argmax(-1)
    advance(STEPS)
    timings = [milliseconds(lambda: advance(STEPS_PER_TIMING)) for _ in range(STEPS // STEPS_PER_TIMING)]
    close(network, rows)
    if not logits.isfinite().all():
        raise RuntimeError("logits are not finite")
    return statistics.median(timings) / STEPS_PER_TIMING


def report_steps(subject: Subject, batches: list[int], bandwidth: float) -> None:
    context = PROMPT_TOKENS + STEPS + STEPS // 2
    print(f"{'batch':>6} {'step ms':>9} {'bound ms':>9} {'tokens/s':>9} {'of bound':>9}")
    for rows in batches:
        step = time_step(subject.network, rows)
        moved = subject.weight_bytes + rows * (subject.state_bytes + context * subject.token_bytes)
        bound = 1e3 * moved / bandwidth
        print(f"{rows:>6} {step:>9.3f} {bound:>9.3f} {1e3 * rows / step:>9.0f} {bound / step:>9.1%}")


def report_prefill(network: SlotNetwork, counts: list[int]) -> None:
    print(f"{'prompts':>8} {'of tokens':>9} {'ms':>9} {'tokens/s':>9}")
    for rows in counts:
        timings = []
        for _ in range(4):
            timings.append(milliseconds(partial(read_prompts, network, rows, at_once=rows)))
            close(network, rows)
        least = min(timings[1:])
        print(f"{rows:>8} {PROMPT_TOKENS:>9} {least:>9.2f} {1e3 * rows * PROMPT_TOKENS / least:>9.0f}")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=["mamba2", "mistral"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64, 256])
    arguments = parser.parse_args()
    bandwidth = measure_bandwidth()
    print(f"{torch.cuda.get_device_name()}: copies move {bandwidth / 1e12:.2f} TB/s (read + written)")
    slots = max(*arguments.batches, *PREFILL_CHUNKS)
    subject = build_mamba2(slots) if arguments.network == "mamba2" else build_mistral(slots)
    print(f"weights {subject.weight_bytes / 1e9:.2f} GB, in use {torch.cuda.memory_allocated() / 1e9:.1f} GB")
    report_steps(subject, arguments.batches, bandwidth)
    report_prefill(subject.network, [count for count in PREFILL_CHUNKS if count <= slots])


if __name__ == "__main__":
    main()
