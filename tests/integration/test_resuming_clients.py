"""Clients that live through the end of the API in the middle of a stream: the command line and the example."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO

import pytest

from stack.servers import ServerUrls
from tests.harness import ROOT, Installation, installation

PROMPT = "Implement a numerical gradient descent algorithm with mathematical proof"
TOKENS = "60"


@pytest.fixture(scope="module")
def paced(new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """About three seconds of text."""
    urls, directory = new_urls(), tmp_path_factory.mktemp("paced")
    settings = {"MATHCODE_SCRIPTED_DELAY_S": "0.05"}
    with installation(
        database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory, settings=settings
    ) as made:
        made.start("api", "mathstral", "codestral", "light")
        yield made


def newest_answer(installed: Installation) -> str:
    job, *_ = installed.get("/v1/jobs").json()["data"]
    return str(installed.job(job["id"])["answer"]["response"])


def restart_api_in_mid_stream(installed: Installation, output: IO[str]) -> str:
    """Kill the API once some text is out, start another, and read the rest."""
    seen = output.read(200)
    installed.kill("api")
    installed.start("api")
    return seen + output.read()


def test_ask_stream_shows_every_event_once_though_the_api_is_killed(paced: Installation) -> None:
    command = [sys.executable, "-m", "cli.main", "ask", PROMPT, "--stream", "--json", "--max-tokens", TOKENS]
    with subprocess.Popen(command, cwd=ROOT, env=paced.environment, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        lines = restart_api_in_mid_stream(paced, client.stdout).splitlines()
        assert client.wait(60) == 0
    *events, job = (json.loads(line) for line in lines)
    counts = Counter(event["event"] for event in events)
    assert counts["done"] == counts["answer"] == 1
    for completion in job["answer"]["completions"]:
        pieces = [
            event["data"]["text"]
            for event in events
            if event["event"] == "piece" and event["data"]["model"] == completion["model"]
        ]
        assert "".join(pieces) == completion["text"]
        assert len(pieces) > 5


def test_the_example_shows_the_whole_text_though_the_api_is_killed(paced: Installation) -> None:
    command = [sys.executable, "examples/stream.py", "Prove that the sum of two even numbers is even"]
    command += ["--url", paced.url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        shown = restart_api_in_mid_stream(paced, client.stdout)
        assert client.wait(60) == 0
    assert shown == f"{newest_answer(paced)}\n[succeeded]\n"


def test_the_example_shows_both_models_and_the_merged_answer(paced: Installation) -> None:
    shown = subprocess.run(
        [sys.executable, "examples/stream.py", PROMPT, "--url", paced.url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert newest_answer(paced) in shown
