"""How fast does the 7B code model train, in how much memory, and are the numbers right?

    python -m benchmarks.training [--parts proofs plain ours] [--rows 4] [--row-tokens 2048] [--json FILE]
    python -m benchmarks.training --parts ours --ways bf16 nf4+ckpt --kept-blocks 16 --chunk-size 128 --profile
    python -m benchmarks.training --tiny --device cpu                     # try it out

Full 7B shape with random weights, LoRA on in_proj and out_proj, real code (the standard library) packed into rows;
one optimizer step per micro-batch of `--rows`. `plain` is the loop of transformers and peft on the same rows in
the same process: LoRA on in_proj only, for peft refuses out_proj, files of a row not kept apart, bf16 by autocast,
and in 4-bit with out_proj left in bf16, for it crashes otherwise. Tokens of padding are not counted. Utilisation
is that of matrices (4 operations per frozen entry and token, 6 per trained one, nothing computed twice counted)
against the rate of a bf16 product in the same run. `first step` begins before the model is made and ends with
its first step; kernels not yet in Triton's cache are compiled in it. Caveat: random weights; a checkpoint's take
as long.
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from benchmarks.machine import Machine
from benchmarks.report import Report, Row, print_table
from benchmarks.training_loops import UNTIMED, Way, build, loss_of, measure
from benchmarks.training_proofs import Proofs
from core.options import Weights
from core.settings import Settings
from core.training import Purpose, TrainingOptions
from ensemble.engine.tokenizer import load_tokenizer
from training.dataset import RowSet, prepare
from training.folder import RunFolder
from training.rows import Batch, Rows

PARTS = ("proofs", "plain", "ours")
WAYS = {
    "bf16": (Weights.BF16, False),
    "bf16+ckpt": (Weights.BF16, True),
    "nf4+ckpt": (Weights.NF4, True),
}
LIMIT_S = 150.0
_COLUMNS = [
    ("way", "", "s"),
    ("tokens_per_s", "tokens/s", ",.0f"),
    ("peak_gib", "peak GiB", ".1f"),
    ("mfu", "MFU", ".1%"),
    ("thousand_s", "1,000 x 512 s", ".1f"),
    ("load_s", "load s", ".1f"),
    ("first_step_s", "first step s", ".1f"),
]
_PROOFS = [
    ("proof", "", "s"),
    ("first", "first", ".6g"),
    ("second", "second", ".6g"),
    ("apart", "apart", ".2e"),
    ("verdict", "", "s"),
]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--ways", choices=tuple(WAYS), nargs="+", default=list(WAYS))
    parser.add_argument("--tiny", action="store_true", help="two narrow layers, to try it out")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--rows", type=int, default=4, help="packed rows at once")
    parser.add_argument("--row-tokens", type=int, default=2048)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--steps", type=int, default=6, help="timed, after two that are not")
    parser.add_argument("--kept-blocks", type=int, nargs="+", default=[0], help="of checkpointing, not recomputed")
    parser.add_argument("--chunk-size", type=int, nargs="+", default=[0], help="of the scan; 0: the model's own")
    parser.add_argument("--keep-scans", action="store_true", help="measure as well with all that scans have kept")
    parser.add_argument("--profile", action="store_true", help="print where the time of one step goes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all raw numbers there")
    return parser.parse_args()


def options_of(arguments: argparse.Namespace) -> TrainingOptions:
    changes = {
        "row_tokens": arguments.row_tokens,
        "batch_rows": arguments.rows,
        "micro_batch_rows": arguments.rows,
        "lora_rank": arguments.rank,
        "lora_alpha": float(2 * arguments.rank),
    }
    return TrainingOptions.of(Settings()).model_copy(update=changes)


def read_batches(options: TrainingOptions, count: int) -> list[Batch]:
    """So many batches of real, packed code."""
    needed = (count + 1) * options.batch_rows * options.row_tokens * 5  # characters, some more than needed
    with tempfile.TemporaryDirectory() as directory:
        folder = RunFolder(Path(directory))
        sources = {Purpose.TRAIN: _code(needed)}
        prepare(folder, sources, tokenizer=load_tokenizer(), options=options)
        rows = Rows.read(folder, RowSet.TRAINED, seed=options.seed)
        return list(islice(rows.batches(options.batch_rows), count))


def _code(characters: int) -> Iterator[str]:
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        text = file.read_text(encoding="utf-8", errors="replace")
        yield text
        characters -= len(text)
        if characters < 0:
            return


def ways_of(arguments: argparse.Namespace, part: str) -> Iterator[Way]:
    for name in arguments.ways:
        weights, is_checkpointed = WAYS[name]
        if weights is Weights.NF4 and arguments.device.type != "cuda":
            continue
        is_ours = part == "ours"
        for kept in arguments.kept_blocks if is_ours and is_checkpointed else [0]:
            for chunk in arguments.chunk_size if is_ours else [0]:
                way = Way(
                    is_ours=is_ours,
                    weights=weights,
                    is_checkpointed=is_checkpointed,
                    kept_blocks=kept,
                    chunk_size=chunk,
                )
                yield way
                if arguments.keep_scans and is_ours:
                    yield replace(way, keeps_scans=True)


def measure_speed(
    arguments: argparse.Namespace, report: Report, machine: Machine, batches: Sequence[Batch]
) -> None:
    options, rows = options_of(arguments), []
    shape = "tiny" if arguments.tiny else "full"
    for part in (part for part in ("plain", "ours") if part in arguments.parts):
        for way in ways_of(arguments, part):
            with report.part(str(way), limit_s=LIMIT_S):
                row = measure(way, batches, options, shape=shape, device=arguments.device)
                row["mfu"] = row["tokens_per_s"] * row["flops_per_token"] / machine.flops
                row["thousand_s"] = 512_000 / row["tokens_per_s"]
                rows.append(row)
                print_table(_COLUMNS, [row])
                report.keep("speed", rows)
                if arguments.profile:
                    profile(way, batches[0], options, shape=shape, device=arguments.device)
    print(f"\n{machine}")
    print_table(_COLUMNS, rows)


def profile(way: Way, batch: Batch, options: TrainingOptions, *, shape: str, device: torch.device) -> None:
    """Where the time of the third step goes."""
    network = build(way, options, shape=shape, device=device)
    moved = {name: each.to(device) for name, each in batch.items()}
    for _ in range(UNTIMED):
        loss_of(way, network, moved).backward()
    with torch.profiler.profile() as profiler:
        loss_of(way, network, moved).backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
    by = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    print(profiler.key_averages().table(sort_by=by, row_limit=40, max_name_column_width=70))


def prove(arguments: argparse.Namespace, report: Report, batch: Batch) -> bool:
    """Whether all holds."""
    proofs = Proofs(
        options_of(arguments), batch, shape="tiny" if arguments.tiny else "full", device=arguments.device
    )
    stories = {
        "cure": proofs.cure_equals_unfused,
        "modes": proofs.train_equals_eval,
        "packing": proofs.packed_equals_separate,
        "gradients": proofs.gradients_agree,
        "out_proj bf16": lambda: proofs.out_proj_is_trained(Weights.BF16),
        "out_proj nf4": lambda: proofs.out_proj_is_trained(Weights.NF4),
        "hot swap": proofs.hot_swap_equals_cold_load,
    }
    if arguments.device.type != "cuda":
        del stories["out_proj nf4"]
    rows: list[Row] = []
    for name, story in stories.items():
        with report.part(f"proof: {name}", limit_s=LIMIT_S):
            row = story()
            rows.append({**row, "verdict": "holds" if row["is_good"] else "DOES NOT HOLD"})
            report.keep("proofs", rows)
    print_table(_PROOFS, rows)
    return len(rows) == len(stories) and all(row["is_good"] for row in rows)


def main() -> int:
    arguments = parse_arguments()
    begun = time.perf_counter()
    machine = Machine.measure(arguments.device)
    report = Report(arguments.json, machine=str(machine), arguments=vars(arguments))
    print(machine)
    batches = read_batches(options_of(arguments), UNTIMED + arguments.steps)
    holds = prove(arguments, report, batches[0]) if "proofs" in arguments.parts else True
    if {"plain", "ours"} & set(arguments.parts):
        measure_speed(arguments, report, machine, batches)
    print(f"{time.perf_counter() - begun:.0f} s in all")
    return 0 if holds and not report.has_failed else 1


if __name__ == "__main__":
    sys.exit(main())
