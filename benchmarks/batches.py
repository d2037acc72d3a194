"""How fast is a batch taken in? From its creation until every line is checked and is a job in the ledger.

    python -m benchmarks.batches [--lines 50000] [--rounds 3] [--answered 0] [--prompt-bytes 0]

Real servers, one API, the light worker and beat; no model worker, so that what answering costs is not in the
figure. The light worker's memory is its resident set, before and at its highest. `--answered N` afterwards has
workers with the scripted model answer a batch of N lines and measures until its files are written.
`--prompt-bytes` makes each prompt at least so long: 50,000 of 3,800 are about 200 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import requests

from core.database import Database
from stack.servers.embedded import EmbeddedServers
from tests.harness import Installation, eventually, installation

PROMPTS = (
    "Solve the equation: {0}x^2 + 5x - 3 = 0 and explain every step of the solution",
    "Implement a binary search tree in Python with {0} methods and unit tests",
    "Implement a numerical gradient descent algorithm with mathematical proof, variant {0}",
)


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="mathcode-bench-") as directory:
        data_dir = Path(directory)
        data_dir.chmod(0o711)
        with EmbeddedServers(data_dir) as servers:
            urls = servers.urls
            with installation(
                database_url=urls.database_url, redis_url=urls.redis_url, data_dir=data_dir
            ) as running:
                running.start("api", "light", "beat")
                print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {arguments.lines} lines")
                for number in range(arguments.rounds):
                    _take_in(running, arguments, number)
                if arguments.answered:
                    _answer(running, arguments)


def _take_in(running: Installation, arguments: argparse.Namespace, number: int) -> None:
    content, lines = running.data_dir / "in.jsonl", arguments.lines
    size = write_lines(content, lines, arguments.prompt_bytes)
    start = time.perf_counter()
    file_id = upload(running, content)
    uploaded = time.perf_counter()
    with _Watched(running.processes["light"].pid) as light:
        batch = create(running, file_id)
        with closing(Database(running.database_url)) as ledger:
            eventually(lambda: is_enqueued(ledger, batch), within_s=600, every_s=0.05)
            seconds, cpu_s = time.perf_counter() - uploaded, light.cpu_s()
            kinds = ledger.fetch(
                "SELECT task_type, count(*) AS n FROM job WHERE batch_id = %(id)s GROUP BY 1", batch
            )
    print(
        f"round {number}: upload of {size / 1e6:.1f} MB {uploaded - start:.2f} s; checked and enqueued in "
        f"{seconds:.2f} s: {lines / seconds:,.0f} lines/s; light worker {light.before / 1e6:.0f} MB, "
        f"at most {light.highest / 1e6:.0f} MB, {1e3 * cpu_s / lines:.2f} ms of a core per line; "
        f"{ ({row['task_type']: row['n'] for row in kinds}) }"
    )
    start = time.perf_counter()
    running.post(f"/v1/batches/batch_{batch['id']}/cancel")
    await_end(running, batch["id"])
    print(f"         cancelled, its files written, in {time.perf_counter() - start:.2f} s")


def _answer(running: Installation, arguments: argparse.Namespace) -> None:
    running.start("mathstral", "codestral")
    content = running.data_dir / "in.jsonl"
    write_lines(content, arguments.answered, arguments.prompt_bytes)
    batch = create(running, upload(running, content))
    start = time.perf_counter()
    view = await_end(running, batch["id"])
    print(f"answered {view['request_counts']} in {time.perf_counter() - start:.2f} s with the scripted model")


def write_lines(path: Path, lines: int, prompt_bytes: int) -> int:
    with path.open("w") as out:
        for number in range(lines):
            prompt = PROMPTS[number % len(PROMPTS)].format(number).ljust(prompt_bytes, ".")
            messages = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": prompt}]
            body = {"model": "mathcode", "messages": messages, "max_tokens": 1, "temperature": 0}
            line = {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            out.write(json.dumps(line) + "\n")
    return path.stat().st_size


def upload(running: Installation, path: Path) -> str:
    with path.open("rb") as content:
        response = requests.post(
            f"{running.url}/v1/files", files={"file": content}, data={"purpose": "batch"}, timeout=600
        )
    assert response.ok, response.text
    return str(response.json()["id"])


def create(running: Installation, file_id: str) -> dict[str, str]:
    body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    response = running.post("/v1/batches", body)
    assert response.ok, response.text
    return {"id": str(response.json()["id"]).removeprefix("batch_")}


def is_enqueued(ledger: Database, batch: dict[str, str]) -> bool:
    (row,) = ledger.fetch("SELECT is_enqueued, state, errors FROM batch WHERE id = %(id)s", batch)
    assert row["state"] != "failed", row
    return bool(row["is_enqueued"])


def await_end(running: Installation, uuid: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        view: dict[str, Any] = running.get(f"/v1/batches/batch_{uuid}").json()
        return view if view["status"] in {"completed", "cancelled", "expired", "failed"} else None

    return eventually(look, within_s=900, every_s=0.2)


class _Watched:
    """A process while this is open: its resident set in bytes, its processor time."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._began_s = sum(self._process.cpu_times()[:2])
        self._stopping = Event()
        self.before = self.highest = self._process.memory_info().rss
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def cpu_s(self) -> float:
        """Seconds of a core since this was opened: unlike a rate it says little of who else uses the machine."""
        return float(sum(self._process.cpu_times()[:2]) - self._began_s)

    def _watch(self) -> None:
        while not self._stopping.wait(0.1):
            self.highest = max(self.highest, self._process.memory_info().rss)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt-bytes", type=int, default=0)
    parser.add_argument("--answered", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
