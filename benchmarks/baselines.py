"""What does transformers make of the same weights: `generate`, compiled `generate`, and continuous batching?

    python -m benchmarks.engine mistral|mamba2 --parts baselines [--baseline-batches 1 64]

Greedy, all prompts of equal length, the default attention (sdpa). Each way first generates a few tokens
(`set-up s`: compiling, capturing; `compiled` counts the graphs that torch.compile made), then FEW and MANY
tokens, the lesser of two rounds each. The difference gives the time of a step, so that reading prompts and what
each call does anew count for none; `decode/s` is made from it. `tokens/s` is what follows for whole answers,
prompts included: the time to the first token plus as many steps as the engine wrote. Every way has a limit of
seconds and prints its error, or its refusal, in its row. Caveats: the context is shorter than that of the
engine's mean step, which favours these ways; continuous batching is measured with all requests there from the
start.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch._dynamo.utils
from transformers import ContinuousBatchingConfig, GenerationConfig

from benchmarks.report import Report, Row, print_table
from benchmarks.serving import free_memory

WARM_UP, FEW, MANY = 8, 8, 56
ROUNDS = 2
LIMIT_S = 75.0  # of one way at one batch
STOP_S = 10.0
_CPU_BLOCKS = 64
_COLUMNS = [
    ("way", "way", "s"),
    ("rows", "at once", "d"),
    ("rate", "tokens/s", ".0f"),
    ("decode", "decode/s", ".0f"),
    ("set_up_s", "set-up s", ".1f"),
    ("graphs", "compiled", "d"),
    ("error", "error", "s"),
]


class Way(ABC):
    """One way to generate; used as a context manager around all its batches."""

    def __init__(self, name: str, module: Any, prompt_tokens: int) -> None:
        self.name = name
        self.module = module
        self.prompt_tokens = prompt_tokens
        self._calls = 0

    @abstractmethod
    def generate(self, rows: int, tokens: int) -> int:
        """Generate `tokens` for each of `rows` prompts; how many there were in all. Waits for the device."""

    @contextmanager
    def ready(self, rows: int, tokens: int) -> Iterator[None]:
        """Prepared for `rows` prompts of at most `tokens` new tokens."""
        yield

    def prompts(self, rows: int) -> torch.Tensor:
        """New random prompts (rows, prompt tokens) at every call, so that no cached prefix helps."""
        self._calls += 1
        generator = torch.Generator().manual_seed(self._calls)
        return torch.randint(1100, 32_000, (rows, self.prompt_tokens), generator=generator)


class Generate(Way):
    """`model.generate`, with whatever `options` its cache takes."""

    def __init__(self, name: str, module: Any, prompt_tokens: int, **options: Any) -> None:
        super().__init__(name, module, prompt_tokens)
        self._options = options

    @contextmanager
    def ready(self, rows: int, tokens: int) -> Iterator[None]:
        torch.compiler.reset()  # else code compiled for the batch before would be made to serve all sizes
        torch._dynamo.utils.counters.clear()
        yield

    def generate(self, rows: int, tokens: int) -> int:
        prompts = self.prompts(rows).to(self.module.device)
        output = self.module.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
            max_new_tokens=tokens,
            **self._options,
        )
        return int(output[:, prompts.shape[1] :].cpu().numel())


class ContinuousBatching(Way):
    """transformers' own engine."""

    @contextmanager
    def ready(self, rows: int, tokens: int) -> Iterator[None]:
        configure: Any = GenerationConfig
        on_cpu = self.module.device.type == "cpu"  # where it would take most of the memory for its cache
        limits: dict[str, Any] = {"num_blocks": _CPU_BLOCKS, "max_batch_tokens": 1024} if on_cpu else {}
        self._manager = self.module.init_continuous_batching(
            generation_config=configure(do_sample=False, eos_token_id=-1, pad_token_id=0),
            continuous_batching_config=ContinuousBatchingConfig(auto_switch_to_flash=False, **limits),
        )
        try:
            self._manager.warmup()
            self._manager.start()
            yield
        finally:
            if self._manager.is_running():
                self._manager.stop(block=True, timeout=STOP_S, hard_stop=True)
            self._manager.destroy()
            del self._manager

    def generate(self, rows: int, tokens: int) -> int:
        manager = self._manager
        manager.add_requests(self.prompts(rows).tolist(), max_new_tokens=tokens)
        written = finished = 0
        while finished < rows:
            result = manager.get_result(timeout=1)
            if result is None and not manager.is_running():
                raise RuntimeError(f"the manager stopped: {manager.background_thread_status.fatal_error}")
            if result is not None and result.is_finished():
                if result.error is not None:
                    raise RuntimeError(str(result.error))
                finished, written = finished + 1, written + len(result.generated_tokens)
        return written


def ways(module: Any, *, tokens: tuple[int, int]) -> list[Way]:
    """All of them, for prompts and answers of `tokens` tokens."""
    static = {"cache_implementation": "static", "max_cache_len": sum(tokens)}
    return [
        Generate("generate", module, tokens[0]),
        ContinuousBatching("continuous batching", module, tokens[0]),
        Generate("generate, static cache", module, tokens[0], **static),  # last: compiling takes longest
    ]


def measure_baselines(
    module: Any, report: Report, *, batches: list[int], tokens: tuple[int, int], limit_s: float = LIMIT_S
) -> list[Row]:
    rows: list[Row] = []
    module.generation_config.eos_token_id = None  # every answer has its full length
    for way in ways(module, tokens=tokens):
        for count in batches:
            row: Row = {"way": way.name, "rows": count}
            rows.append(row)
            with report.part(f"baseline: {way.name}, {count} at once", limit_s=limit_s) as part:
                row |= _measure(way, count, tokens[1])
            row["error"] = part.error
            print_table(_COLUMNS, [row])
            report.keep("baselines", rows)
            free_memory()
    print_table(_COLUMNS, rows)
    return rows


def _measure(way: Way, rows: int, answer_tokens: int) -> Row:
    begun = time.perf_counter()
    with way.ready(rows, MANY):
        way.generate(rows, WARM_UP)
        set_up_s = time.perf_counter() - begun
        graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        few, many = ([_seconds(way, rows, tokens) for _ in range(ROUNDS)] for tokens in (FEW, MANY))
    step_s = (min(many) - min(few)) / (MANY - FEW)
    if step_s <= 0:
        raise RuntimeError(f"{MANY} tokens took no longer than {FEW}: the machine is too busy to measure")
    first_s = max(0.0, min(few) - (FEW - 1) * step_s)
    return {
        "decode": rows / step_s,
        "rate": rows * answer_tokens / (first_s + (answer_tokens - 1) * step_s),
        "set_up_s": set_up_s,
        "graphs": graphs,
        "few_s": few,
        "many_s": many,
    }


def _seconds(way: Way, rows: int, tokens: int) -> float:
    begun = time.perf_counter()
    written = way.generate(rows, tokens)
    if written != rows * tokens:
        raise RuntimeError(f"{written} tokens instead of {rows * tokens}")
    return time.perf_counter() - begun
