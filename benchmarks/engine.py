"""How fast is the whole engine (scheduler, sampling, delivery to threads), beside the device and transformers?

    python -m benchmarks.engine mistral|mamba2 [--parts greedy first_token ...] [--json FILE]
    python -m benchmarks.engine mistral --shape tiny --device cpu --batches 1 8 --sampled-batches 8 --others 4

The full 7B shape with random weights in bf16 on one CUDA GPU; 256 prompt and 256 new tokens, unless said
otherwise. The parts, each with its caveats in the file of its name:

    greedy, sampled   rates.py         tokens per second at several batch sizes, beside the device's bounds
    first_token       first_token.py   a request among many others, and what it costs them
    arrivals          arrivals.py      random arrivals at fractions of the capacity
    sleep             sleeping.py      the card given back, and taken again
    baselines         baselines.py     transformers on the same weights

One engine answers all parts but the baselines, which follow when its memory is free. A part that fails prints
its error and the others go on; the exit status then is 1. Random weights never end an answer early. The
settings that are not options here are the product's defaults, the prompt tokens per step among them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.arrivals import CAPACITY_S, measure_arrivals, measure_capacity, print_arrivals
from benchmarks.baselines import LIMIT_S, measure_baselines
from benchmarks.first_token import measure_first_token, measure_prefill, print_first_token
from benchmarks.machine import Machine
from benchmarks.rates import GREEDY, SAMPLED, Costs, measure_rates
from benchmarks.report import Report, Row
from benchmarks.serving import PREFILL_TOKENS, Serving, build_engine
from benchmarks.sleeping import measure_sleep
from benchmarks.subjects import MODELS, SHAPES, Subject, random_module
from benchmarks.workload import Workload
from core.messages import Sampling

PARTS = ("greedy", "sampled", "first_token", "arrivals", "sleep", "baselines")
WARM_UP_TOKENS = 16


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=list(MODELS))
    add_common_arguments(parser)
    parser.add_argument("--parts", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64, 256], help="requests at once")
    parser.add_argument("--sampled-batches", type=int, nargs="+", default=[64, 256], help="the same, sampled")
    parser.add_argument("--others", type=int, nargs="+", default=[64, 256], help="that write while others arrive")
    parser.add_argument("--loads", type=float, nargs="+", default=[0.5, 0.8, 1.0], help="of the capacity")
    parser.add_argument("--seconds", type=float, default=20.0, help="of arrivals at each load")
    parser.add_argument("--capacity-seconds", type=float, default=CAPACITY_S, help="of measuring that")
    parser.add_argument("--prompts", type=Path, help="JSON lines with a field `prompt`, for the arrivals")
    parser.add_argument("--baseline-batches", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds of one baseline at one batch")
    parser.add_argument("--prefill-tokens", type=int, default=PREFILL_TOKENS, help="of prompts read in one step")
    return parser.parse_args()


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shape", choices=SHAPES, default="full")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--prompt-tokens", type=int, default=256)
    parser.add_argument("--new-tokens", type=int, default=256)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all raw numbers there")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One model measured from all sides; each part keeps its raw numbers in the report."""

    arguments: argparse.Namespace
    machine: Machine
    subject: Subject
    report: Report

    @property
    def tokens(self) -> tuple[int, int]:
        """Of a prompt, and of an answer."""
        return self.arguments.prompt_tokens, self.arguments.new_tokens

    @property
    def slots(self) -> int:
        """One more than write at once, for the request that arrives."""
        arguments = self.arguments
        return 1 + int(max(*arguments.batches, *arguments.sampled_batches, *arguments.others))

    def measure(self) -> None:
        parts: dict[str, Callable[[Serving], None]] = {
            "greedy": lambda served: self.rates(served, "greedy", self.arguments.batches, GREEDY),
            "sampled": lambda served: self.rates(served, "sampled", self.arguments.sampled_batches, SAMPLED),
            "first_token": self.first_token,
            "arrivals": self.arrivals,
            "sleep": self.sleep,
        }
        wanted = [part for name, part in parts.items() if name in self.arguments.parts]
        served = self.build() if wanted else None
        for part in wanted:
            if served is not None and not served.engine.alive:  # the part before broke it
                served.close()
                served = self.build()
            if served is not None:
                part(served)
        if served is not None:
            with self.report.part("close"):
                served.close()
        if "baselines" in self.arguments.parts:
            self.baselines()

    def build(self) -> Serving | None:
        with self.report.part("build"):
            served = build_engine(self.subject, slots=self.slots, prefill_tokens=self.arguments.prefill_tokens)
            sampling = Sampling(max_tokens=WARM_UP_TOKENS)
            served.put_all(served.asks(2, prompt_tokens=WARM_UP_TOKENS, sampling=sampling))
            print(f"{self.slots} slots, {self.subject.weight_bytes / 1e9:.2f} GB of weights read in a step")
            return served
        return None

    def rates(self, served: Serving, name: str, batches: list[int], how: Sampling) -> None:
        costs = Costs(subject=self.subject, machine=self.machine, tokens=self.tokens)
        measure_rates(served, costs, self.report, name=name, batches=batches, how=how)

    def first_token(self, served: Serving) -> None:
        with self.report.part("prefill"):
            rows = measure_prefill(served, self.subject, self.machine, prompt_tokens=self.tokens[0])
            self.report.keep("prefill", rows)
        rows = []
        for others in self.arguments.others:
            with self.report.part(f"first_token among {others}"):
                rows.append(measure_first_token(served, others=others, prompt_tokens=self.tokens[0]))
                self.report.keep("first_token", rows)
        print_first_token(rows)

    def arrivals(self, served: Serving) -> None:
        rows: list[Row] = []
        capacity = float("nan")
        with self.report.part("capacity"):
            workload = Workload.of(self.arguments.prompts)
            measured = measure_capacity(served, workload, seconds=self.arguments.capacity_seconds)
            capacity = measured["tokens_per_s"]
            self.report.keep("capacity", measured)
        for load in self.arguments.loads if capacity > 0 else []:
            with self.report.part(f"arrivals at {load:.2f} of the capacity"):
                seconds = self.arguments.seconds
                row = measure_arrivals(served, workload, capacity=capacity, load=load, seconds=seconds)
                rows.append(row)
                self.report.keep("arrivals", rows)
                print_arrivals(rows)

    def sleep(self, served: Serving) -> None:
        with self.report.part("sleep"):
            self.report.keep("sleep", measure_sleep(served))

    def baselines(self) -> None:
        with self.report.part("baselines"):
            measure_baselines(
                self.subject.module,
                self.report,
                batches=self.arguments.baseline_batches,
                tokens=self.tokens,
                limit_s=self.arguments.limit,
            )


def main() -> None:
    arguments = read_arguments()
    machine = Machine.measure(arguments.device)
    print(f"{arguments.network}, {arguments.shape} shape, on {machine}", flush=True)
    report = Report(arguments.json, arguments=vars(arguments), machine=asdict(machine))
    with report.part("model"):
        model = MODELS[arguments.network]
        module = random_module(model, arguments.shape, arguments.device)
        run = Run(arguments=arguments, machine=machine, subject=Subject.of(model, module), report=report)
    if not report.has_failed:
        run.measure()
    sys.exit(report.has_failed)


if __name__ == "__main__":
    main()
