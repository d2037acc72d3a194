"""How long until a stack answers, and how much memory does it hold while idle?

    python -m benchmarks.footprint

Starts `mathcode up` (profile tiny) on an empty data directory, asks one question, reads `mathcode status`, stops
it, and does so again on the same directory, then warm. The time to the first answer includes the process start of
`mathcode ask`. Resident memory is the sum over all processes, so pages they share count more than once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import psutil

from core.settings import child_environment
from stack.servers import scratch_data_dir
from tests.harness import free_port

MATHCODE = (sys.executable, "-m", "cli.main")
MIB = 2**20


def main() -> None:
    with scratch_data_dir() as data_dir:
        environment = child_environment(
            MATHCODE_DATA_DIR=str(data_dir),
            MATHCODE_PORT=str(free_port()),
            MATHCODE_FLOWER_PORT=str(free_port()),
            MATHCODE_TRAINER_PORT=str(free_port()),
            MATHCODE_PROFILE="tiny",
        )
        print(f"{os.cpu_count()} cores")
        for name in ("cold (empty data directory)", "warm"):
            measure(name, environment)


def measure(name: str, environment: dict[str, str]) -> None:
    begun = time.perf_counter()
    with subprocess.Popen(
        [*MATHCODE, "up", "--json"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as up:
        assert up.stdout is not None
        up.stdout.readline()
        ready = time.perf_counter() - begun
        _run("ask", "What is 2 + 2?", "--max-tokens", "16", environment=environment)
        answered = time.perf_counter() - begun
        processes = json.loads(_run("status", "--json", environment=environment))["processes"]
        resident = sum(psutil.Process(each["pid"]).memory_info().rss for each in processes if each["pid"])
        supervisor = psutil.Process(up.pid).memory_info().rss
        stopping = time.perf_counter()
        _run("down", environment=environment)
    stopped = time.perf_counter() - stopping
    print(f"{name}: ready after {ready:.1f} s, first answer after {answered:.1f} s, stopped in {stopped:.1f} s")
    print(f"  resident: {(resident + supervisor) / MIB:.0f} MiB, {supervisor / MIB:.0f} of them the supervisor")


def _run(*words: str, environment: dict[str, str]) -> str:
    return subprocess.run([*MATHCODE, *words], env=environment, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
