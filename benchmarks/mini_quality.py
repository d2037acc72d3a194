"""How well does the small pair answer held-out problems, through the engine, on the CPU?

    python -m benchmarks.mini_quality --mathstral DIR --codestral DIR [--count 20] [--together 16] [--json FILE]

Generator seeds and phrasings were never trained on. `count` problems of each kind of mathematics; ten times as
many known code tasks in held-out words, five times as many held-out tasks, hybrid requests and docstrings. Greedy.
Programs run in the sandbox of `training.sandbox`. Beside the quality: tokens per second, all requests of a model
`together` at a time, with the sandbox not yet at work. Caveat: the held-out tasks of a family combine parts that
are known from other tasks; those of none are new altogether.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.report import Report, Row, print_table
from core.messages import Completion, ModelName, Sampling
from core.settings import Settings
from core.work import Work
from ensemble.engine.build import build_engine
from training.mini.examples import Example
from training.mini.quality import grade, problems, seed_prompts, table

MOST_TOKENS = 512
_COLUMNS = [
    ("kind", "kind", "s"),
    ("count", "problems", "d"),
    ("right", "right", ".1%"),
    ("parses", "parses", ".1%"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for model in ModelName:
        parser.add_argument(f"--{model}", type=Path, metavar="DIR", help="checkpoint in the hub's layout")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--together", type=int, default=16)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all raw numbers there")
    arguments = parser.parse_args()
    report = Report(arguments.json, count=arguments.count, together=arguments.together)
    for model in ModelName:
        directory = getattr(arguments, model.value)
        if directory is not None:
            with report.part(model.value):
                report.keep(model.value, measure(model, directory, arguments))


def measure(model: ModelName, directory: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as data:
        where: dict[str, Any] = {f"MATHCODE_{model.value.upper()}": str(directory.absolute())}
        engine = build_engine(model, Settings(MATHCODE_DATA_DIR=data, MATHCODE_SLOTS=arguments.together, **where))
        asked = problems(model, arguments.count)
        begun = time.perf_counter()
        answers = _ask_all(engine, asked, arguments.together)
        seconds = time.perf_counter() - begun
        for example in seed_prompts(model):
            print(f"\n> {example.shown[-1].content.splitlines()[0]}\n{_ask(engine, example).text}")
        engine.close()
    rows: list[Row] = table(grade(asked, [answer.text for answer in answers], workers=2))
    print_table(_COLUMNS, rows)
    rate = sum(answer.completion_tokens for answer in answers) / seconds
    print(f"{rate:.0f} tokens/s, {arguments.together} at once, prompts included")
    return {"table": rows, "tokens_per_s": rate, "seconds": seconds}


def _ask_all(engine: Any, asked: list[Example], together: int) -> list[Completion]:
    with ThreadPoolExecutor(together) as pool:
        return list(pool.map(lambda example: _ask(engine, example), asked))


def _ask(engine: Any, example: Example) -> Completion:
    *_, outcome = engine.generate(Work(messages=example.shown, sampling=Sampling(max_tokens=MOST_TOKENS)))
    assert isinstance(outcome, Completion), outcome
    return outcome


if __name__ == "__main__":
    main()
