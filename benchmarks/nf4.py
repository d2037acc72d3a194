"""How much memory do both models take in 4-bit, idle and answering, and how fast is each?

    python -m benchmarks.nf4 [--slots 8] [--context-tokens 1024] [--batches 1 64] [--json FILE]
    python -m benchmarks.nf4 --shape tiny --device cpu --batches 1 8        # try it out

The full 7B shapes with random weights, made 4-bit as the loader would have them (`quantising.py`), both in one
process on one device. The table of memory has, after each stage: what torch has allocated and reserved, and
what is used on the device by all processes, the CUDA context among it (on the CPU: this process's resident
memory). Engines have `--slots` slots; Mathstral's keys and values have room for `--context-tokens` in each.
`peak` is the most while both answer one request per slot at the same time. The tables of rates are
`rates.py`'s, in 4-bit, with as many slots as the largest batch; their bound counts 4-bit weights and their
scales. Caveat: in service each model has a process and a CUDA context of its own, so a second context is to be
added.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict

import psutil
import torch

from benchmarks.engine import add_common_arguments
from benchmarks.machine import Machine
from benchmarks.quantising import quantise
from benchmarks.rates import GREEDY, Costs, measure_rates
from benchmarks.report import Report, Row, print_table
from benchmarks.serving import Serving, build_engine, free_memory
from benchmarks.subjects import Subject, random_module
from core.messages import ModelName, Sampling

GB = 1e9
_POLL_S = 0.02
_COLUMNS = [
    ("stage", "stage", "s"),
    ("allocated", "allocated GB", ".2f"),
    ("reserved", "reserved GB", ".2f"),
    ("used", "used GB", ".2f"),
]


class MemoryLog:
    """The stages so far, each with the memory it left in use."""

    def __init__(self, device: torch.device, report: Report) -> None:
        self._device = device
        self._report = report
        self._rows: list[Row] = []

    def note(self, stage: str) -> None:
        free_memory()
        row: Row = {"stage": stage, "used": self._used()}
        if self._device.type == "cuda":
            row["allocated"] = torch.cuda.memory_allocated() / GB
            row["reserved"] = torch.cuda.memory_reserved() / GB
        self._keep(row)

    @contextmanager
    def peak(self, stage: str) -> Iterator[None]:
        """Note the most in use during the block."""
        most, done = [self._used()], threading.Event()

        def watch() -> None:
            while not done.wait(_POLL_S):
                most[0] = max(most[0], self._used())

        watcher = threading.Thread(target=watch, daemon=True)
        on_cuda = self._device.type == "cuda"
        if on_cuda:
            torch.cuda.reset_peak_memory_stats()
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
        row: Row = {"stage": stage, "used": max(most[0], self._used())}
        if on_cuda:
            row["allocated"] = torch.cuda.max_memory_allocated() / GB
            row["reserved"] = torch.cuda.max_memory_reserved() / GB
        self._keep(row)

    def print(self) -> None:
        print_table(_COLUMNS, self._rows)

    def _used(self) -> float:
        if self._device.type != "cuda":
            return float(psutil.Process().memory_info().rss) / GB
        free, total = torch.cuda.mem_get_info()
        return (total - free) / GB

    def _keep(self, row: Row) -> None:
        self._rows.append(row)
        self._report.keep("memory", self._rows)


def load_both(arguments: argparse.Namespace, memory: MemoryLog, report: Report) -> list[Subject]:
    """The models that could be made 4-bit."""
    subjects = []
    memory.note("nothing loaded")
    for model in ModelName:
        with report.part(f"{model} in 4-bit"):
            subjects.append(_load(model, arguments))
            memory.note(f"+ weights of {model}")
    return subjects


def _load(model: ModelName, arguments: argparse.Namespace) -> Subject:
    module = random_module(model, arguments.shape, arguments.device)
    quantise(module)
    return Subject.of(model, module)


def measure_memory(
    arguments: argparse.Namespace, subjects: list[Subject], memory: MemoryLog, report: Report
) -> None:
    """Idle without graphs, idle with graphs, and while all answer; a stage that fails leaves the ones before."""
    for is_warm, stage in ((False, "+ engines, idle, no CUDA graphs"), (True, "+ engines, idle, CUDA graphs")):
        served: list[Serving] = []
        with report.part(f"memory {stage}"):
            for subject in subjects:
                options = {"slots": arguments.slots, "context_tokens": arguments.context_tokens}
                served.append(build_engine(subject, **options, is_warm=is_warm))
            memory.note(stage)
            if is_warm:
                with memory.peak(f"peak, {arguments.slots} answers of each"):
                    answer_together(served, arguments)
                memory.note("idle again")
        for each in served:
            each.close()
    memory.print()


def answer_together(served: list[Serving], arguments: argparse.Namespace) -> None:
    """One request for every slot of every engine, all at once."""
    sampling = Sampling(max_tokens=arguments.new_tokens)
    with ThreadPoolExecutor(len(served) * arguments.slots) as pool:
        futures = [
            future
            for each in served
            for future in each.put(
                pool, each.asks(arguments.slots, prompt_tokens=arguments.prompt_tokens, sampling=sampling)
            )
        ]
        for future in futures:
            assert future.result().completion


def report_rates(arguments: argparse.Namespace, subject: Subject, machine: Machine, report: Report) -> None:
    served: Serving | None = None
    tokens = arguments.prompt_tokens, arguments.new_tokens
    with report.part(f"engine of {subject.model} in 4-bit"):
        served = build_engine(subject, slots=max(arguments.batches), context_tokens=sum(tokens))
    if served is not None:
        costs, name = Costs(subject=subject, machine=machine, tokens=tokens), f"{subject.model} in 4-bit"
        measure_rates(served, costs, report, name=name, batches=arguments.batches, how=GREEDY)
        served.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--slots", type=int, default=8, help="of each engine in the table of memory")
    parser.add_argument("--context-tokens", type=int, default=1024, help="of each of these slots")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64], help="requests at once, for the rates")
    arguments = parser.parse_args()
    machine = Machine.measure(arguments.device)
    free_memory()
    print(f"4-bit, {arguments.shape} shapes, on {machine}", flush=True)
    report = Report(arguments.json, arguments=vars(arguments), machine=asdict(machine))
    memory = MemoryLog(arguments.device, report)
    subjects = load_both(arguments, memory, report)
    if subjects:
        measure_memory(arguments, subjects, memory, report)
    for subject in subjects:
        report_rates(arguments, subject, machine, report)
    sys.exit(report.has_failed)


if __name__ == "__main__":
    main()
