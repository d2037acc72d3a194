"""The examples of the OpenAI client run as they are."""

from __future__ import annotations

import subprocess
import sys

from tests.harness import ROOT, Installation


def run(example: str, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, f"examples/{example}", url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_examples_print_answers(running: Installation) -> None:
    chat, stream = (run(f"openai_{name}.py", f"{running.url}/v1") for name in ("chat", "stream"))
    assert (chat.returncode, stream.returncode) == (0, 0), chat.stderr + stream.stderr
    assert chat.stdout.count("> ") == 2
    assert "[mathstral-scripted]" in chat.stdout
    assert stream.stdout.endswith("\n[64 tokens]\n")
    newest = running.get("/v1/jobs", params={"limit": 1}).json()["data"][0]["id"]
    answer = running.job(newest)["answer"]["response"]
    assert stream.stdout.startswith(answer)


def test_an_example_says_what_went_wrong(running: Installation) -> None:
    refused = run("openai_chat.py", f"{running.url}/v2")
    assert refused.returncode == 1
    assert "404" in refused.stderr
