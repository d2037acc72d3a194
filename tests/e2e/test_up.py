"""`mathcode up` to `mathcode down` as a user sees it: the real stack, real models of both architectures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from core.settings import child_environment
from stack.layout import Layout
from stack.readiness import ask_status
from stack.servers import ServerUrls, scratch_data_dir
from stack.state import ProcessState, read_state
from tests.harness import eventually, free_port

MATHCODE = (sys.executable, "-m", "cli.main")
NAMES = {
    "postgres",
    "redis",
    "api",
    "beat",
    "flower",
    "worker-mathstral",
    "worker-codestral",
    "worker-light",
    "worker-training",
}


@dataclass
class User:
    """Somebody with a shell, an environment and one stack."""

    data_dir: Path
    environment: dict[str, str]
    up: subprocess.Popen[str]

    def run(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MATHCODE, *words],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.run("status", "--json").stdout))

    def process(self, name: str) -> dict[str, Any]:
        return next(process for process in self.status()["processes"] if process["name"] == name)

    def looked_at(self, name: str) -> ProcessState:
        """As the stack wrote it down: what `status` shows, without a process for each look."""
        state = read_state(Layout(self.data_dir))
        assert state is not None
        return next(process for process in state.processes if process.name == name)

    def workers(self) -> dict[str, int]:
        service = ask_status(f"http://127.0.0.1:{self.environment['MATHCODE_PORT']}")
        return dict((service or {}).get("workers", {}))

    def ask(self, *words: str) -> dict[str, Any]:
        finished = self.run("ask", *words, "--max-tokens", "8", "--json")
        assert finished.returncode == 0, finished.stderr
        return dict(json.loads(finished.stdout))


def environment_of(data_dir: Path) -> dict[str, str]:
    return child_environment(
        MATHCODE_DATA_DIR=str(data_dir),
        MATHCODE_PORT=str(free_port()),
        MATHCODE_FLOWER_PORT=str(free_port()),
        MATHCODE_TRAINER_PORT=str(free_port()),
        MATHCODE_PROFILE="tiny",
        DATABASE_URL="",
        REDIS_URL="",
    )


def start(data_dir: Path, environment: dict[str, str]) -> User:
    with (data_dir / "up.log").open("ab") as log:
        up = subprocess.Popen(
            [*MATHCODE, "up", "--json"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    assert up.stdout is not None
    announced = up.stdout.readline()
    assert announced, (data_dir / "up.log").read_text()
    assert json.loads(announced)["ready"] is not None
    return User(data_dir, environment, up)


def end(user: User) -> None:
    user.up.terminate()
    try:
        user.up.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        user.up.kill()
        user.up.communicate()


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with scratch_data_dir() as data_dir:
        started = start(data_dir, environment_of(data_dir))
        yield started
        end(started)


def test_everything_runs(user: User) -> None:
    status = user.status()
    assert {process["name"] for process in status["processes"]} == NAMES
    assert {process["state"] for process in status["processes"]} == {"running"}
    assert status["service"]["database"] == status["service"]["broker"] == "ok"
    assert status["service"]["workers"] == {"mathstral": 1, "codestral": 1, "light": 1, "training": 1}


def test_the_table_names_every_process(user: User) -> None:
    table = user.run("status").stdout
    assert all(name in table for name in NAMES)


@pytest.mark.parametrize(("kind", "models"), [("math", 1), ("code", 1), ("hybrid", 2)])
def test_each_kind_is_answered_by_its_models(user: User, kind: str, models: int) -> None:
    job = user.ask("Implement Newton's method and prove that it converges", "--force", kind)
    assert job["status"] == "succeeded"
    assert job["route"]["task_type"] == kind
    assert len(job["answer"]["completions"]) == models
    assert not job["answer"]["degraded"]
    assert "random" in job["answer"]["model_used"]


def test_a_streamed_answer_is_the_answer(user: User) -> None:
    words = ("What is 2 + 2?", "--force", "math", "--max-tokens", "12", "--seed", "1")
    streamed = user.run("ask", *words, "--stream")
    asked = user.run("ask", *words)
    assert streamed.returncode == asked.returncode == 0
    assert streamed.stdout.rstrip("\n") == asked.stdout.rstrip("\n")
    assert "succeeded" in streamed.stderr


def test_a_prompt_may_come_through_a_pipe(user: User) -> None:
    finished = user.run("ask", "-", "--max-tokens", "4", "--json", stdin="Integrate x^2\n")
    assert json.loads(finished.stdout)["request"]["prompt"].strip() == "Integrate x^2"


def test_a_bad_request_is_one_line_and_2(user: User) -> None:
    finished = user.run("ask", "hello", "--temperature", "9")
    assert finished.returncode == 2
    assert "temperature" in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_ctrl_c_cancels_the_job(user: User) -> None:
    words = [
        *MATHCODE,
        "ask",
        "Count to a million",
        "--force",
        "math",
        "--max-tokens",
        "4000",
        "--stream",
        "--json",
    ]
    with subprocess.Popen(
        words, env=user.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as ask:
        assert ask.stdout is not None
        assert json.loads(ask.stdout.readline())["event"] == "piece"
        ask.send_signal(signal.SIGINT)
        _, said = ask.communicate(timeout=30)
    assert ask.returncode == 130
    job_id = said.split("cancelled job ")[1].split()[0]
    url = f"http://127.0.0.1:{user.environment['MATHCODE_PORT']}/v1/jobs/{job_id}"
    eventually(lambda: requests.get(url, timeout=10).json()["status"] == "cancelled")


def test_a_second_stack_is_refused_with_process_and_url(user: User) -> None:
    finished = user.run("up")
    assert finished.returncode == 78
    assert str(user.up.pid) in finished.stderr
    assert f"http://127.0.0.1:{user.environment['MATHCODE_PORT']}" in finished.stderr


def test_flower_asks_for_the_password(user: User) -> None:
    url = user.status()["flower_url"]
    services = (user.data_dir / "run" / "services.env").read_text()
    password = services.split("MATHCODE_FLOWER_PASSWORD='")[1].split("'")[0]
    assert requests.get(f"{url}/workers", timeout=10).status_code == 401
    assert requests.get(f"{url}/workers", auth=("mathcode", password), timeout=10).status_code == 200
    shutdown = f"{url}/api/worker/shutdown/light@{os.uname().nodename}"
    assert requests.post(shutdown, auth=("mathcode", password), timeout=10).status_code == 403


def test_a_worker_started_by_hand_finds_the_stack(user: User) -> None:
    """What it needs stands in the services file of the data directory, not in its environment."""
    environment = {**user.environment, "MATHCODE_PORT": "", "MATHCODE_PROFILE": ""}
    words = ["-m", "celery", "-A", "tasks.celery_app", "worker", "-Q", "light"]
    with (user.data_dir / "by-hand.log").open("ab") as log:
        worker = subprocess.Popen([sys.executable, *words], env=environment, cwd="/", stdout=log, stderr=log)
    try:
        eventually(lambda: user.workers().get("light") == 2, within_s=60, every_s=0.2)
        assert user.status()["service"]["workers"]["light"] == 2
    finally:
        worker.terminate()
        worker.wait(60)


@pytest.mark.parametrize("name", ["worker-codestral", "redis", "postgres", "api"])
def test_a_killed_process_is_back_and_answers(user: User, name: str) -> None:
    before = user.process(name)
    os.kill(before["pid"], signal.SIGKILL)
    eventually(lambda: (seen := user.looked_at(name)).restarts > before["restarts"] and seen.pid, every_s=0.1)
    after = user.process(name)
    assert after["restarts"] > before["restarts"]
    assert after["pid"] != before["pid"]
    eventually(lambda: user.workers().get("codestral"), within_s=60, every_s=0.2)
    assert user.ask("Implement a stack", "--force", "code")["status"] == "succeeded"


def test_a_killed_stack_leaves_nobody_and_the_next_one_has_its_jobs(user: User) -> None:
    job = user.ask("What is 3 * 4?")
    pids = [process["pid"] for process in user.status()["processes"]]
    user.up.kill()
    user.up.communicate()
    if sys.platform == "linux":
        eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))
    user.up = start(user.data_dir, user.environment).up
    url = f"http://127.0.0.1:{user.environment['MATHCODE_PORT']}/v1/jobs/{job['id']}"
    assert requests.get(url, timeout=10).json()["answer"] == job["answer"]


def test_down_stops_everything(user: User) -> None:
    pids = [user.up.pid, *(process["pid"] for process in user.status()["processes"])]
    finished = user.run("down")
    assert finished.returncode == 0, finished.stderr
    user.up.communicate(timeout=10)
    assert user.up.returncode == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not (user.data_dir / "run" / "services.env").exists()
    assert user.run("status").returncode == 1


def test_servers_of_the_operator_are_used_and_none_is_started(urls: ServerUrls) -> None:
    with scratch_data_dir() as data_dir:
        own = {"DATABASE_URL": urls.database_url, "REDIS_URL": urls.redis_url}
        user = start(data_dir, {**environment_of(data_dir), **own})
        try:
            assert {process["name"] for process in user.status()["processes"]} == NAMES - {"postgres", "redis"}
            assert user.ask("What is 3 * 4?")["status"] == "succeeded"
        finally:
            end(user)
        assert not list((data_dir / "postgres").glob("*"))


def test_the_demo_answers_everything_and_leaves_nothing() -> None:
    with scratch_data_dir() as temporary:
        environment = child_environment(MATHCODE_PROFILE="tiny", TMPDIR=str(temporary))
        demo = subprocess.run(
            [*MATHCODE, "demo", "--json"], env=environment, capture_output=True, text=True, check=False
        )
        left = list(temporary.glob("mathcode-*"))
    assert demo.returncode == 0, demo.stderr
    jobs = [json.loads(line) for line in demo.stdout.splitlines()]
    assert len(jobs) == 33
    assert {job["status"] for job in jobs} == {"succeeded"}
    assert jobs[2]["route"]["task_type"] == "hybrid"
    assert left == []


def test_a_demo_without_one_of_its_models_says_which() -> None:
    environment = child_environment(MATHCODE_PROFILE="tiny", MATHCODE_MATHSTRAL="/nonexistent/model")
    demo = subprocess.run([*MATHCODE, "demo"], env=environment, capture_output=True, text=True, check=False)
    assert demo.returncode == 75
    assert "worker-mathstral does not run: /nonexistent/model" in demo.stderr
