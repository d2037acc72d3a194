"""Whether Python parses, and what a linter says of it: `ruff`, asked about a batch of files at once.

Its parser takes 0.3 ms for a file of the standard library where `ast.parse` takes 2.5. It runs as a process of its
own, so that a text that overflows the parser's stack ends that process and not the ingest.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from ruff import find_ruff_bin

from core.settings import child_environment

RULES = "E9,F401,F402,F403,F501,F502,F541,F601,F632,F811,F821,F823,F841,E711,E721,E722,E741,B006,B012,B018,B023"
SYNTAX = ("invalid-syntax", "E902", "E999")
BATCH_TIMEOUT_S = 120.0
MEMORY = Path("/dev/shm")  # noqa: S108 -- a directory of our own is made in it; files elsewhere cost more than parsing

_FINDING = re.compile(r"^(\d+)\.py:\d+(?::\d+)?: ([\w-]+):? ?(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Lint:
    """What was found in one file, how often each rule; `error` where it does not parse."""

    error: str | None = None
    findings: Counter[str] = field(default_factory=Counter)


def lint(texts: Mapping[int, bytes]) -> dict[int, Lint]:
    """One verdict per text. A text that ends the linter does not parse."""
    if not texts:
        return {}
    with TemporaryDirectory(prefix="mathcode-lint-", dir=MEMORY if MEMORY.is_dir() else None) as directory:
        for number, text in texts.items():
            Path(directory, f"{number}.py").write_bytes(text)
        report = _ruff(Path(directory))
    if report is not None:
        return _verdicts(texts, report)
    if len(texts) == 1:
        return {number: Lint(error="the parser did not survive it") for number in texts}
    numbers = list(texts)
    halves = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
    return {n: verdict for half in halves for n, verdict in lint({n: texts[n] for n in half}).items()}


def _ruff(directory: Path) -> str | None:
    """Its report, or None where it did not end as it should."""
    options = ("--isolated", "--no-cache", "--ignore-noqa", "--target-version=py313", "--output-format=concise")
    try:
        finished = subprocess.run(
            [find_ruff_bin(), "check", *options, f"--select={RULES}", "."],
            cwd=directory,
            env=child_environment(RAYON_NUM_THREADS="1", NO_COLOR="1"),
            capture_output=True,
            check=False,
            timeout=BATCH_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return None
    return finished.stdout.decode("utf-8", "replace") if finished.returncode in (0, 1) else None


def _verdicts(texts: Mapping[int, bytes], report: str) -> dict[int, Lint]:
    errors: dict[int, str] = {}
    findings: dict[int, Counter[str]] = {number: Counter() for number in texts}
    for number, rule, message in _FINDING.findall(report):
        if rule in SYNTAX:
            errors.setdefault(int(number), message.strip())
        else:
            findings[int(number)][rule] += 1
    return {number: Lint(error=errors.get(number), findings=findings[number]) for number in texts}
