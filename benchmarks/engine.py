"""How fast is the whole engine (scheduler, sampling, delivery to threads) at full 7B size, beside transformers?

    python -m benchmarks.engine mamba2|mistral [--batches 1 64 256] [--no-baseline]

Random weights in bf16 on one CUDA GPU; 256 prompt tokens and 256 new ones each, greedy; each request has a thread
of its own that reads its text. `tokens/s` counts new tokens from the first submission to the last outcome, prompts
included. `decode` leaves out the time to the last first token, and is what the memory bound is compared with: the
bytes a step must move (benchmarks/decode_step.py says which) at the bandwidth of a copy timed in the same run.
`late` is the time to first token of a request that joins while the others run. The baseline is `model.generate` on
the same weights. Caveat: random weights seldom end early, so no row leaves before its 256th token.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from transformers import Mamba2Config, Mamba2ForCausalLM, MistralConfig, MistralForCausalLM

from benchmarks.decode_step import Subject, build_mamba2, build_mistral, measure_bandwidth, random_module
from core.messages import ChatMessage, Completion, ModelName, Sampling
from core.work import Delta, Work
from ensemble.engine.batch_runner import BatchRunner
from ensemble.engine.engine import ModelEngine
from ensemble.engine.tokenizer import load_tokenizer
from ensemble.models import ModelSpec

PROMPT_TOKENS = 256
NEW_TOKENS = 256
BASELINE_TOKENS = 48
SHAPES: dict[str, tuple[Any, Any]] = {
    "mamba2": (Mamba2ForCausalLM, Mamba2Config()),
    "mistral": (MistralForCausalLM, MistralConfig(vocab_size=32_768, sliding_window=None)),
}


class NumberVocabulary:
    """Prompts of exactly PROMPT_TOKENS tokens, told apart by their number; answers by the real tokenizer."""

    end_tokens: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self._tokenizer = load_tokenizer()

    def encode(self, messages: tuple[ChatMessage, ...]) -> list[int]:
        generator = torch.Generator().manual_seed(int(messages[0].content))
        return torch.randint(3, 32_000, (PROMPT_TOKENS,), generator=generator).tolist()

    def detokenizer(self) -> Any:
        return self._tokenizer.detokenizer()


def build_engine(subject: Subject, slots: int) -> ModelEngine[Any]:
    network: Any = subject.network
    runner = BatchRunner(network, prefill_tokens=8192)
    return ModelEngine(
        spec=ModelSpec(model=ModelName.MATHSTRAL, version="random", context_tokens=PROMPT_TOKENS + NEW_TOKENS),
        vocabulary=NumberVocabulary(),
        runner=runner,
        slots=slots,
        default_max_tokens=NEW_TOKENS,
    )


def ask(engine: ModelEngine[Any], number: int) -> Completion:
    message = ChatMessage(role="user", content=str(number))
    work = Work(messages=(message,), sampling=Sampling(max_tokens=NEW_TOKENS))
    for item in engine.generate(work):
        if isinstance(item, Completion):
            return item
        assert isinstance(item, Delta), item
    raise RuntimeError("no outcome")


def run(engine: ModelEngine[Any], requests: int) -> dict[str, float]:
    """Seconds and rates of `requests` at once, and of one more that comes late where there is room."""
    with ThreadPoolExecutor(requests + 1) as pool:
        begun = time.perf_counter()
        futures = [pool.submit(ask, engine, number) for number in range(requests)]
        late: Future[Completion] | None = None
        if requests > 1:
            while engine.running < requests:
                time.sleep(0.001)
            time.sleep(0.5)
            late = pool.submit(ask, engine, 10_000)
        outcomes = [future.result() for future in futures]
        seconds = time.perf_counter() - begun
        first = max(outcome.first_token_s or 0.0 for outcome in outcomes)
        return {
            "seconds": seconds,
            "rate": sum(outcome.completion_tokens for outcome in outcomes) / seconds,
            "decode": requests * (NEW_TOKENS - 1) / (seconds - first),
            "first_ms": 1e3 * statistics.median(outcome.first_token_s or 0.0 for outcome in outcomes),
            "late_ms": 1e3 * (late.result().first_token_s or 0.0) if late else float("nan"),
        }


def report(subject: Subject, batches: list[int], bandwidth: float) -> None:
    engine = build_engine(subject, max(batches) + 1)
    run(engine, 2)
    print(
        f"{'at once':>8} {'tokens/s':>9} {'decode/s':>9} {'bound/s':>9}"
        f" {'of bound':>9} {'first ms':>9} {'late ms':>8}"
    )
    for requests in batches:
        measured = run(engine, requests)
        context = PROMPT_TOKENS + NEW_TOKENS / 2
        moved = subject.weight_bytes + requests * (subject.state_bytes + context * subject.token_bytes)
        bound = requests * bandwidth / moved
        print(
            f"{requests:>8} {measured['rate']:>9.0f} {measured['decode']:>9.0f} {bound:>9.0f}"
            f" {measured['decode'] / bound:>9.1%} {measured['first_ms']:>9.0f} {measured['late_ms']:>8.0f}"
        )
    engine.close()


@torch.inference_mode()
def report_baseline(module: Any) -> None:
    for rows in (1, 32):
        tokens = torch.randint(3, 32_000, (rows, PROMPT_TOKENS), device="cuda")
        options = {"attention_mask": torch.ones_like(tokens), "do_sample": False, "eos_token_id": None}
        module.generate(tokens, max_new_tokens=4, **options)
        begun = time.perf_counter()
        module.generate(tokens, max_new_tokens=BASELINE_TOKENS, **options)
        torch.cuda.synchronize()
        rate = rows * BASELINE_TOKENS / (time.perf_counter() - begun)
        print(f"model.generate, batch {rows:>3}: {rate:>7.0f} tokens/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=["mamba2", "mistral"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64, 256])
    parser.add_argument("--no-baseline", action="store_true")
    arguments = parser.parse_args()
    bandwidth = measure_bandwidth()
    print(f"{torch.cuda.get_device_name()}, {os.cpu_count()} cores, copies move {bandwidth / 1e12:.2f} TB/s")
    slots = max(arguments.batches) + 1
    subject = build_mamba2(slots) if arguments.network == "mamba2" else build_mistral(slots)
    report(subject, arguments.batches, bandwidth)
    if not arguments.no_baseline:
        del subject
        architecture, config = SHAPES[arguments.network]
        report_baseline(random_module(architecture, config))  # its seed is fixed: the same weights


if __name__ == "__main__":
    main()
