"""Engines seen and operated from outside, while jobs come and go."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ROOT, Installation, eventually

CELERY = ("-m", "celery", "-A", "worker.bootstrap", "control", "--json", "--timeout", "10")
ENDLESS = {"MATHCODE_SLOTS": "2", "MATHCODE_SCRIPTED_DELAY_S": "1"}


def _run(installed: Installation, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=installed.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _control(installed: Installation, *words: str, only: str | None = None) -> dict[str, dict[str, Any]]:
    """The replies of the workers, by the name of their queue, once all that are named have replied."""
    workers = [only] if only else [name for name in installed.processes if name not in {"api", "beat"}]
    nodes = ",".join(f"{worker}@{socket.gethostname()}" for worker in workers)
    finished = _run(installed, *CELERY, "-d", nodes, *words)
    assert finished.returncode == 0, finished.stderr
    replies = json.loads(finished.stdout)
    return {name.partition("@")[0]: reply for node in replies for name, reply in node.items()}


def _metrics(installed: Installation, queue: str = "mathstral") -> dict[str, Any]:
    roster = installed.get("/v1/status").json()["roster"]
    return dict(next(worker["metrics"] for worker in roster if worker["queue"] == queue))


def _fall_asleep(installed: Installation) -> None:
    assert _control(installed, "sleep_engine", "mathstral")["mathstral"]["ok"]["begun"] == "sleep_engine"
    eventually(lambda: _metrics(installed)["is_asleep"])


def test_the_status_lists_every_worker_with_what_its_engine_shows(running: Installation) -> None:
    running.ask("Prove it", max_tokens=4)
    eventually(lambda: _metrics(running)["tokens"] >= 4)
    workers = {worker["queue"]: worker for worker in running.get("/v1/status").json()["roster"]}
    assert list(workers) == ["codestral", "light", "mathstral"]
    assert workers["light"]["metrics"] is workers["light"]["version"] is None
    mathstral = workers["mathstral"]
    assert mathstral["name"].startswith("mathstral@")
    assert mathstral["version"] == mathstral["metrics"]["version"] == "mathstral-scripted"
    assert mathstral["slots"] == 8
    assert mathstral["seen_at"] >= mathstral["started_at"]
    assert mathstral["metrics"]["free_slots"] == 8
    assert not mathstral["metrics"]["is_asleep"]


def test_a_command_reaches_the_engine_it_names_and_no_other(running: Installation) -> None:
    replies = _control(running, "wake_engine", "codestral")
    assert replies == {
        "codestral": {"ok": {"model": "codestral", "begun": "wake_engine"}},
        "mathstral": {"ok": {"model": "mathstral", "begun": None}},
        "light": {"ok": {"model": None, "begun": None}},
    }


def test_a_command_without_a_model_reaches_every_engine(running: Installation) -> None:
    replies = _control(running, "wake_engine")
    assert {queue for queue, reply in replies.items() if reply["ok"]["begun"]} == {"mathstral", "codestral"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [(("sleep_engine", "poetry"), "no model 'poetry'"), (("swap_adapter", "mathstral", "v1"), "a directory")],
)
def test_a_command_that_makes_no_sense_is_refused(
    running: Installation, words: tuple[str, ...], reason: str
) -> None:
    assert all(reason in reply["error"] for reply in _control(running, *words).values())


def test_an_adapter_that_cannot_be_served_is_logged_and_the_engine_goes_on(running: Installation) -> None:
    reply = _control(running, "swap_adapter", "codestral", "v1", "/nonexistent")["codestral"]
    assert reply == {"ok": {"model": "codestral", "begun": "swap_adapter"}}
    eventually(lambda: "swap_adapter failed after" in running.log("codestral").read_text())
    job = running.ask("Refactor this function", max_tokens=2)
    assert job["answer"]["model_used"] == "codestral-scripted"


def test_requests_to_a_sleeping_engine_wait_longer_than_their_lease_until_it_wakes(fresh: Installation) -> None:
    fresh.settings.update(MATHCODE_LEASE_S="1", MATHCODE_MAX_ATTEMPTS="1")
    fresh.start("api", "light", "beat", "mathstral")
    _fall_asleep(fresh)
    seen = fresh.get("/v1/status").json()["roster"][-1]["seen_at"]
    job_id = fresh.submit("Prove it", max_tokens=3)
    fresh.await_running(job_id)
    eventually(lambda: _beats_since(fresh, seen) > 2)
    assert (fresh.status(job_id), _metrics(fresh)["waiting"]) == ("running", 1)
    _control(fresh, "wake_engine")
    assert fresh.finished(job_id)["status"] == "succeeded"


def _beats_since(installed: Installation, seen: str) -> float:
    """Seconds between two signatures of the mathstral worker."""
    latest = installed.get("/v1/status").json()["roster"][-1]["seen_at"]
    return (datetime.fromisoformat(latest) - datetime.fromisoformat(seen)).total_seconds()


def test_a_job_waiting_for_a_sleeping_engine_is_cancelled_at_once_and_expires_in_time(fresh: Installation) -> None:
    fresh.start("api", "mathstral")
    _fall_asleep(fresh)
    cancelled, expired = fresh.submit("Prove it"), fresh.submit("Prove it", deadline_s=1)
    fresh.await_running(cancelled)
    fresh.post(f"/v1/jobs/{cancelled}/cancel")
    assert fresh.finished(cancelled, within_s=5)["status"] == "cancelled"
    assert fresh.finished(expired, within_s=5)["status"] == "expired"


def test_a_sleeping_worker_that_stops_hands_its_jobs_back(fresh: Installation) -> None:
    fresh.settings.update(MATHCODE_DRAIN_S="0", MATHCODE_MAX_ATTEMPTS="1", MATHCODE_LEASE_S="30")
    fresh.start("api", "light", "beat")
    fresh.start("mathstral", **ENDLESS)
    job_ids = [fresh.submit("Prove it") for _ in range(3)]
    for job_id in job_ids[:2]:
        fresh.await_running(job_id)
    _fall_asleep(fresh)
    assert fresh.terminate("mathstral", within_s=15) == 0
    assert [fresh.status(job_id) for job_id in job_ids] == ["running", "running", "queued"]
    fresh.start("mathstral-2")
    for job_id in job_ids:
        assert fresh.finished(job_id, within_s=15)["status"] == "succeeded"


def test_the_command_line_operates_the_engines_of_one_model(running: Installation) -> None:
    asked = _run(running, "-m", "cli.main", "engine", "sleep", "codestral", "--json")
    assert asked.returncode == 0, asked.stderr
    (reply,) = json.loads(asked.stdout).values()
    assert reply == {"ok": {"model": "codestral", "begun": "sleep_engine"}}
    eventually(lambda: _metrics(running, "codestral")["is_asleep"])
    asked = _run(running, "-m", "cli.main", "engine", "wake", "codestral")
    assert (asked.returncode, "wake_engine has begun" in asked.stdout) == (0, True)
    eventually(lambda: not _metrics(running, "codestral")["is_asleep"])


def test_versions_beside_each_other_are_asked_for_by_name(running: Installation, tmp_path: Path) -> None:
    _control(running, "swap_adapter", "codestral", "v1", str(tmp_path))
    eventually(lambda: _metrics(running, "codestral")["version"] == "v1")
    texts = set()
    for name in ("codestral-scripted", "v1"):
        body = {"model": f"codestral@{name}", "prompt": "def f(x):", "temperature": 0}
        assert running.get(f"/v1/models/{body['model']}").status_code == 200
        answer = running.post("/v1/completions", body).json()
        assert answer["system_fingerprint"] == name
        texts.add(answer["choices"][0]["text"])
    assert len(texts) == 2
    assert running.post("/v1/completions", {"model": "codestral@v2", "prompt": "def f(x):"}).status_code == 404
    _control(running, "follow_versions", "codestral")
    eventually(lambda: _metrics(running, "codestral")["version"] == "codestral-scripted")


def test_a_model_that_nobody_serves_is_told_to_the_one_who_asks(fresh: Installation) -> None:
    fresh.start("api", "light")
    asked = _run(fresh, "-m", "cli.main", "engine", "sleep", "codestral")
    assert (asked.returncode, asked.stderr.count("\n")) == (75, 1)
    assert "no worker of codestral answers" in asked.stderr


def test_a_sleeping_worker_can_be_kept_from_taking_what_another_could_do(fresh: Installation) -> None:
    fresh.start("api")
    fresh.start("mathstral")
    _fall_asleep(fresh)
    assert "ok" in _control(fresh, "cancel_consumer", "mathstral", only="mathstral")["mathstral"]
    fresh.start("mathstral-2")
    job_ids = [fresh.submit("Prove it", max_tokens=2) for _ in range(6)]
    for job_id in job_ids:
        assert fresh.finished(job_id, within_s=15)["status"] == "succeeded"
    assert fresh.terminate("mathstral-2") == 0
    assert "ok" in _control(fresh, "add_consumer", "mathstral", only="mathstral")["mathstral"]
    _control(fresh, "wake_engine")
    assert fresh.ask("Prove it", max_tokens=2)["status"] == "succeeded"
