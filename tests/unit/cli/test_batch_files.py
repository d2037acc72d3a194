"""The files of `mathcode batch run`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli import batch_files
from cli.batch_files import RunFiles, RunState, read_request
from core.errors import InvalidRequest


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    return RunFiles(tmp_path / "in.jsonl", tmp_path / "out.jsonl")


def result(custom_id: str, status: int = 200) -> bytes:
    return json.dumps({"custom_id": custom_id, "response": {"status_code": status}}).encode()


def short(custom_id: str, **fields: Any) -> bytes:
    return json.dumps({"custom_id": custom_id, "prompt": "Prove it", **fields}).encode()


def test_a_short_line_becomes_a_chat() -> None:
    name, line = read_request(short("a", max_tokens=3, logprobs=0))
    body = json.loads(line)["body"]
    assert name == "a"
    assert body == {
        "model": "mathcode",
        "messages": [{"role": "user", "content": "Prove it"}],
        "temperature": 0,
        "max_tokens": 3,
        "logprobs": True,
        "top_logprobs": 0,
    }


@pytest.mark.parametrize("line", [b"{broken", b"[1]", b'{"custom_id": "a", "body": {}}', b"\xff", b"7"])
def test_any_other_line_goes_as_it_is(line: bytes) -> None:
    assert read_request(line + b"\r\n")[1] == line


def test_lines_left_out_are_blank(files: RunFiles) -> None:
    files.source.write_bytes(b"\n".join(short(name) for name in "abc"))
    assert files.write_requests({"b"}) == "/v1/chat/completions"
    written = files.requests.read_bytes().split(b"\n")
    assert [bool(line) for line in written] == [True, False, True, False]
    assert files.write_requests({"a", "b", "c"}) is None


def test_what_is_too_much_for_one_batch_is_left_for_the_next(
    files: RunFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_files, "MOST_LINES", 2)
    files.source.write_bytes(b"\n".join(short(name) for name in "abcde"))
    done: set[str] = set()
    for expected in ("ab", "cd", "e"):
        assert files.write_requests(done)
        names = {json.loads(line)["custom_id"] for line in files.requests.read_bytes().split(b"\n") if line}
        assert names == set(expected)
        done |= names
    assert files.write_requests(done) is None


def test_new_results_take_the_place_of_earlier_ones(files: RunFiles) -> None:
    assert files.add([result("a"), result("b", 500)]) == {"a": True, "b": False}
    assert files.answered() == {"a"}
    assert files.add([result("b")]) == {"b": True}
    assert files.answered() == {"a", "b"}
    assert len(files.output.read_bytes().splitlines()) == 2


def test_results_that_break_off_leave_the_output_as_it_was(files: RunFiles) -> None:
    files.add([result("a")])

    def broken() -> Any:
        yield result("b")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        files.add(broken())
    assert files.answered() == {"a"}


def test_the_state_is_kept_until_it_is_forgotten(files: RunFiles) -> None:
    assert files.load() is None
    state = files.save(RunState(run="r", input_hash="h", endpoint="e"), batch_id="batch_1")
    assert files.load() == state
    files.forget()
    assert files.load() is None
    files.output.with_name("out.jsonl.run").write_text("{}")
    with pytest.raises(InvalidRequest, match="damaged"):
        files.load()
