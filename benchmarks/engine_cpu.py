"""What does batching gain on the CPU, with the tiny models?

    python -m benchmarks.engine_cpu [--rounds 5] [--json FILE]

32 requests at once through the engine, against the same 32 one after another through `model.generate`; greedy, 64
new tokens each, the same fp32 weights, prompts and tokenizer, one torch thread for both. After one round that does
not count, the two take turns; rates and their ratio are medians of the rounds, with the least and the greatest.
Caveat: other work on the machine hits whichever runs just then, so look at the spread.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import Report, Row, print_table
from core.messages import ChatMessage, Completion, ModelName, Sampling
from core.options import Device, Weights
from core.settings import Settings
from core.work import Work
from ensemble.engine.build import build_engine
from ensemble.engine.loading import load_network
from ensemble.engine.tokenizer import load_tokenizer

REQUESTS, NEW_TOKENS, ROUNDS = 32, 64, 5
_COLUMNS = [
    ("model", "model", "s"),
    ("together", "engine, tokens/s", ".0f"),
    ("together_spread", "least-most", "s"),
    ("alone", "generate, tokens/s", ".0f"),
    ("alone_spread", "least-most", "s"),
    ("gain", "times", ".1f"),
    ("gain_spread", "least-most", "s"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all raw numbers there")
    arguments = parser.parse_args()
    report = Report(arguments.json, requests=REQUESTS, new_tokens=NEW_TOKENS)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as directory:
        for model in ModelName:
            rows.append(measure(model, Path(directory), rounds=arguments.rounds))
            report.keep("engine_cpu", rows)
    print_table(_COLUMNS, rows)


def measure(model: ModelName, directory: Path, *, rounds: int) -> Row:
    settings = Settings(MATHCODE_DATA_DIR=directory, MATHCODE_SLOTS=REQUESTS)
    engine = build_engine(model, settings)
    checkpoint = directory / "models" / "tiny" / model
    network = load_network(model, checkpoint, device=Device.CPU, weights=Weights.FP32)
    together, alone = _take_turns(lambda: _ask_all(engine), lambda: _generate_all(network), rounds)
    engine.close()
    gains = [one / other for one, other in zip(together, alone, strict=True)]
    row: Row = {"model": model.value, "threads": torch.get_num_threads()}
    for name, values in (("together", together), ("alone", alone), ("gain", gains)):
        form = ".1f" if name == "gain" else ".0f"
        row[name], row[f"{name}_rounds"] = statistics.median(values), values
        row[f"{name}_spread"] = f"{min(values):{form}}-{max(values):{form}}"
    return row


def _take_turns(one: Callable[[], int], other: Callable[[], int], rounds: int) -> tuple[list[float], list[float]]:
    """Tokens per second of both in each round, after one that does not count."""
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for run, own in zip((one, other), rates, strict=True):
            begun = time.perf_counter()
            written = run()
            own.append(written / (time.perf_counter() - begun))
    return rates[0][1:], rates[1][1:]


def _messages(number: int) -> tuple[ChatMessage, ...]:
    return (ChatMessage(role="user", content=f"Write a function that adds {number} to its argument."),)


def _ask_all(engine: Any) -> int:
    def ask(number: int) -> int:
        sampling = Sampling(max_tokens=NEW_TOKENS)
        *_, outcome = engine.generate(Work(messages=_messages(number), sampling=sampling))
        assert isinstance(outcome, Completion), outcome
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
