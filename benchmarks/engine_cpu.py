"""What does batching gain on the CPU, with the tiny models?

    python -m benchmarks.engine_cpu

32 requests at once through the engine, against the same 32 one after another through `model.generate`; greedy, 64
new tokens each, the same weights, the same number of torch threads, medians of three rounds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from core.messages import ChatMessage, Completion, ModelName, Sampling
from core.options import Device, Weights
from core.settings import Settings
from core.work import Work
from ensemble.engine.build import build_engine
from ensemble.engine.loading import load_network
from ensemble.engine.tokenizer import load_tokenizer

REQUESTS, NEW_TOKENS, ROUNDS = 32, 64, 3


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(MATHCODE_DATA_DIR=Path(directory), MATHCODE_SLOTS=REQUESTS)
        for model in ModelName:
            engine = build_engine(model, settings)
            checkpoint = Path(directory) / "models" / "tiny" / model
            network = load_network(model, checkpoint, device=Device.CPU, weights=Weights.FP32)
            together = measure(lambda engine=engine: _ask_all(engine))  # type: ignore[misc]
            alone = measure(lambda network=network: _generate_all(network))  # type: ignore[misc]
            engine.close()
            print(f"{model}: engine {together:.0f} tokens/s, generate {alone:.0f}, {together / alone:.1f} times")


def measure(run: Callable[[], int]) -> float:
    """Tokens per second, median."""
    run()
    rates = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        rates.append(run() / (time.perf_counter() - begun))
    return statistics.median(rates)


def _messages(number: int) -> tuple[ChatMessage, ...]:
    return (ChatMessage(role="user", content=f"Write a function that adds {number} to its argument."),)


def _ask_all(engine: Any) -> int:
    def ask(number: int) -> int:
        sampling = Sampling(max_tokens=NEW_TOKENS)
        *_, outcome = engine.generate(Work(messages=_messages(number), sampling=sampling))
        assert isinstance(outcome, Completion)
        return outcome.completion_tokens

    with ThreadPoolExecutor(REQUESTS) as pool:
        return sum(pool.map(ask, range(REQUESTS)))


@torch.inference_mode()
def _generate_all(network: Any) -> int:
    tokenizer, written = load_tokenizer(), 0
    for number in range(REQUESTS):
        tokens = torch.tensor([tokenizer.encode(_messages(number))])
        mask = torch.ones_like(tokens)
        output = network.generate(tokens, attention_mask=mask, max_new_tokens=NEW_TOKENS, do_sample=False)
        written += output.shape[1] - tokens.shape[1]
    return written


if __name__ == "__main__":
    main()
