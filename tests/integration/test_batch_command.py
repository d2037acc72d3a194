"""`mathcode batch` as its user runs it, against a running installation."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from cli.batch_files import RunState
from core.database import Database
from tests.harness import Installation, eventually
from tests.integration.test_batches import CHAT, chat_line, jsonl

MATHCODE = (sys.executable, "-W", "ignore", "-m", "cli.main", "batch")


def call(installation: Installation, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MATHCODE, *words], env=installation.environment, capture_output=True, text=True, check=False, timeout=90
    )


def launch(installation: Installation, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*MATHCODE, *words],
        env=installation.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def answers(path: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert len({line["custom_id"] for line in lines}) == len(lines)
    return {line["custom_id"]: line for line in lines}


def has_noted(directory: Path) -> bool:
    """Whether a client that runs there knows its batch."""
    state = directory / "out.jsonl.run"
    return state.exists() and b': "batch_' in state.read_bytes()


def asked(installation: Installation) -> int:
    with closing(Database(installation.database_url)) as ledger:
        return int(ledger.fetch("SELECT count(*) AS n FROM job")[0]["n"])


def test_both_kinds_of_lines_are_answered_and_never_asked_again(running: Installation, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    short = {"custom_id": "short", "prompt": "Prove it", "max_tokens": 3, "force_task_type": "code", "logprobs": 1}
    source.write_bytes(jsonl(chat_line("long"), b"", short))
    first = call(running, "run", str(source), "-o", str(output))
    assert first.returncode == 0, first.stderr
    assert "2 answered, 0 failed" in first.stderr
    found = answers(output)
    assert set(found) == {"long", "short"}
    body = found["short"]["response"]["body"]
    assert body["mathcode"]["jobs"][0]["task_type"] == "code"
    assert len(body["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]
    before = asked(running)
    assert call(running, "run", str(source), "-o", str(output)).returncode == 0
    assert asked(running) == before
    source.write_bytes(source.read_bytes() + jsonl({"custom_id": "third", "prompt": "Prove it", "max_tokens": 2}))
    assert call(running, "run", str(source), "-o", str(output)).returncode == 0
    assert asked(running) == before + 1
    assert answers(output).keys() == {"long", "short", "third"}


def test_lines_that_failed_are_asked_again(running: Installation, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(jsonl(chat_line("good"), chat_line("late", deadline_s=0.001)))
    for _ in range(2):
        before = asked(running)
        finished = call(running, "run", str(source), "-o", str(output), "--json")
        assert finished.returncode == 1, finished.stderr
        assert json.loads(finished.stdout.splitlines()[-1])["status"] == "completed"
        assert asked(running) - before in (1, 2)
    assert asked(running) - before == 1
    assert answers(output)["late"]["response"]["status_code"] == 504


def test_bad_lines_are_named_by_the_number_they_have_in_the_source(running: Installation, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(jsonl(chat_line("a"), b"{broken", {"prompt": "no name"}, {"custom_id": "x", "prompt": ""}))
    finished = call(running, "run", str(source), "-o", str(output))
    assert finished.returncode == 2
    for line in (2, 3, 4):
        assert f"line {line}: " in finished.stderr
    assert not output.exists()
    output.write_text("something else\n")
    assert "this is no result" in call(running, "run", str(source), "-o", str(output)).stderr
    assert output.read_text() == "something else\n"


def test_what_would_do_harm_is_refused_and_nothing_is_touched(running: Installation, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(content := jsonl(chat_line("a")))
    (link := tmp_path / "link.jsonl").symlink_to(source)
    before = asked(running)
    for path, said in (
        (source, "is what is asked"),
        (link, "is what is asked"),
        (tmp_path / "nowhere" / "out.jsonl", "is no directory"),
        (source / "out.jsonl", "is no directory"),
    ):
        refused = call(running, "run", str(source), "-o", str(path))
        assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    lost = RunState(run="x", input_hash=sha256(content).hexdigest(), endpoint=CHAT, batch_id=f"batch_{'0' * 32}")
    state = tmp_path / "out.jsonl.run"
    state.write_text(json.dumps(asdict(lost)))
    refused = call(running, "run", str(source), "-o", str(output))
    assert (refused.returncode, f"or delete {state}" in refused.stderr) == (2, True), refused.stderr
    assert (source.read_bytes(), asked(running)) == (content, before)
    state.unlink()
    assert call(running, "run", str(source), "-o", str(output)).returncode == 0


def test_batches_are_listed_shown_and_cancelled(running: Installation, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(jsonl(*(chat_line(f"{n}") for n in range(3))))
    call(running, "run", str(source), "-o", str(tmp_path / "out.jsonl"))
    batch_id = json.loads(call(running, "list", "--json").stdout)[0]["id"]
    assert batch_id in call(running, "list").stdout
    assert call(running, "status", batch_id).stdout.strip() == f"{batch_id} completed: 3 of 3 answered, 0 failed"
    refused = call(running, "cancel", batch_id)
    assert (refused.returncode, "nothing left to cancel" in refused.stderr) == (2, True)
    assert call(running, "status", "batch_x").returncode == 2


def test_a_run_goes_on_after_the_client_and_the_server_were_killed(fresh: Installation, tmp_path: Path) -> None:
    fresh.settings["MATHCODE_SCRIPTED_DELAY_S"] = "0.02"
    fresh.start(*(everything := ("api", "mathstral", "light", "beat")))
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(jsonl(*(chat_line(f"{number}") for number in range(300))))
    words = ("run", str(source), "-o", str(output))
    with closing(Database(fresh.database_url)) as ledger:
        client = launch(fresh, *words)
        eventually(lambda: ledger.fetch("SELECT 1 FROM batch"), every_s=0.002)
        client.kill()  # it may or may not have noted the batch
        client.communicate()
        client = launch(fresh, *words)
        eventually(lambda: has_noted(tmp_path))
        eventually(lambda: ledger.fetch("SELECT 1 FROM batch WHERE completed > 3"))
        for name in everything:
            fresh.kill(name)
        fresh.start(*everything)
        client.send_signal(signal.SIGINT)
        assert client.wait(30) == 130
        client.communicate()
        finished = call(fresh, *words)
        assert finished.returncode == 0, finished.stderr
        assert len(ledger.fetch("SELECT 1 FROM batch")) == 1
    assert answers(output).keys() == {str(number) for number in range(300)}
    assert asked(fresh) == 300


def test_a_source_that_changed_under_way_is_refused(fresh: Installation, tmp_path: Path) -> None:
    fresh.start("api")
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(jsonl(chat_line("a")))
    client = launch(fresh, "run", str(source), "-o", str(output))
    eventually(lambda: has_noted(tmp_path))
    client.kill()
    client.communicate()
    source.write_bytes(jsonl(chat_line("b")))
    finished = call(fresh, "run", str(source), "-o", str(output))
    assert (finished.returncode, "has changed while batch_" in finished.stderr) == (2, True)


def test_a_source_that_changed_before_there_was_a_batch_is_asked_as_it_is(
    running: Installation, tmp_path: Path
) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(jsonl(chat_line("a")))
    refused = call(running, "run", str(source), "-o", str(output), "--window", "soon")
    assert (refused.returncode, "completion_window" in refused.stderr) == (2, True)
    source.write_bytes(jsonl(chat_line("b")))
    finished = call(running, "run", str(source), "-o", str(output))
    assert finished.returncode == 0, finished.stderr
    assert answers(output).keys() == {"b"}


def test_a_source_without_lines_is_refused(running: Installation, tmp_path: Path) -> None:
    (source := tmp_path / "in.jsonl").write_bytes(b"\n")
    refused = call(running, "run", str(source), "-o", str(tmp_path / "out.jsonl"))
    assert (refused.returncode, "there is nothing to ask" in refused.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == [source]
