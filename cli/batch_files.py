"""The files of `mathcode batch run`: what is asked, what was answered, and where a run stands."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Set
from dataclasses import asdict, dataclass, replace
from hashlib import file_digest
from pathlib import Path
from typing import Any

from core.errors import InvalidRequest
from core.jsonl import one_line

CHAT = "/v1/chat/completions"
MOST_LINES = 50_000
MOST_BYTES = 200_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """One batch of a run, kept beside the output until its results are there; `run` is its mark at the server."""

    run: str
    input_hash: str
    endpoint: str
    batch_id: str | None = None


class RunFiles:
    """`source` is read; beside `output` lie for a while what is sent, what is received and the state."""

    def __init__(self, source: Path, output: Path) -> None:
        """Raises InvalidRequest where `output` cannot be written without harm."""
        if output.exists() and output.samefile(source):
            raise InvalidRequest(f"{output} is what is asked: name another output file", param="output")
        if not output.parent.is_dir() or not os.access(output.parent, os.W_OK):
            raise InvalidRequest(
                f"{output.parent} is no directory to write in: name another output file", param="output"
            )
        self.source = source
        self.output = output
        self.requests = output.with_name(f"{output.name}.requests")
        self._part = output.with_name(f"{output.name}.part")
        self.state = output.with_name(f"{output.name}.run")

    def input_hash(self) -> str:
        with self.source.open("rb") as content:
            return file_digest(content, "sha256").hexdigest()

    def load(self) -> RunState | None:
        """Raises InvalidRequest where the file cannot be read."""
        try:
            return RunState(**json.loads(self.state.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            raise InvalidRequest(f"{self.state} is damaged: delete it, and what it asked is asked again") from None

    def save(self, state: RunState, *, batch_id: str | None = None) -> RunState:
        state = replace(state, batch_id=batch_id or state.batch_id)
        _replace(self.state, [json.dumps(asdict(state)).encode()])
        return state

    def forget(self) -> None:
        """The results are there, or there will be none."""
        self.state.unlink(missing_ok=True)
        self.requests.unlink(missing_ok=True)

    def answered(self) -> set[str]:
        """custom_ids in the output that have an answer."""
        return {name for name, line in self._results() if is_answer(line)}

    def write_requests(self, without: Set[str]) -> str | None:
        """Write what is to be asked, with short lines as OpenAI has them; the endpoint, or None if nothing is.

        Lines left out are blank, so that every line keeps its number.
        """
        endpoint, lines, size = None, 0, 0
        with self.source.open("rb") as source, self.requests.open("wb") as out:
            for content in source:
                name, line = read_request(content)
                is_wanted = bool(line.strip()) and name not in without
                if is_wanted and (lines == MOST_LINES or size + len(line) > MOST_BYTES):
                    break
                out.write(line + b"\n" if is_wanted else b"\n")
                size += len(line) + 1 if is_wanted else 1
                if is_wanted:
                    lines += 1
                    endpoint = endpoint or _endpoint(line)
        return endpoint

    def add(self, lines: Iterable[bytes]) -> dict[str, bool]:
        """Put results into the output, in place of earlier ones; custom_ids, and whether each was answered."""
        added: dict[str, bool] = {}

        def merged() -> Iterator[bytes]:
            for line in lines:
                found = json.loads(line)
                added[found["custom_id"]] = is_answer(found)
                yield line + b"\n"
            for name, found in self._results():
                if name not in added:
                    yield one_line(json.dumps(found, ensure_ascii=False)).encode() + b"\n"

        _replace(self.output, merged(), self._part)
        return added

    def _results(self) -> Iterator[tuple[str, dict[str, Any]]]:
        if not self.output.exists():
            return
        with self.output.open("rb") as content:
            for number, line in enumerate(content, 1):
                try:
                    found = json.loads(line)
                    yield found["custom_id"], found
                except (ValueError, TypeError, KeyError):
                    problem = f"{self.output}, line {number}: this is no result: name another output file"
                    raise InvalidRequest(problem, param="output") from None


def is_answer(line: dict[str, Any]) -> bool:
    response = line.get("response")
    return isinstance(response, dict) and response.get("status_code") == 200


def read_request(content: bytes) -> tuple[str | None, bytes]:
    """The custom_id and the line as the server reads it; what is malformed stays so, for the server to name."""
    content = content.rstrip(b"\r\n")
    try:
        given = json.loads(content)
    except ValueError:
        return None, content
    if not isinstance(given, dict):
        return None, content
    name = given.get("custom_id")
    if "prompt" in given and not given.keys() & {"body", "url", "method"}:
        content = json.dumps(_long(given), ensure_ascii=False).encode(errors="surrogatepass")
    return name if isinstance(name, str) else None, content


def _long(given: dict[str, Any]) -> dict[str, Any]:
    """A short line, with the fields of POST /v1/jobs, as OpenAI has it."""
    fields = {name: value for name, value in given.items() if name not in ("custom_id", "prompt", "logprobs")}
    if given.get("logprobs") is not None:
        fields |= {"logprobs": True, "top_logprobs": given["logprobs"]}
    messages = [{"role": "user", "content": given["prompt"]}]
    body = {"model": "mathcode", "messages": messages, "temperature": 0, **fields}
    named = {"custom_id": given["custom_id"]} if "custom_id" in given else {}
    return {**named, "method": "POST", "url": CHAT, "body": body}


def _endpoint(line: bytes) -> str:
    try:
        url = json.loads(line)["url"]
    except (ValueError, TypeError, KeyError):
        return CHAT
    return url if isinstance(url, str) else CHAT


def _replace(path: Path, lines: Iterable[bytes], part: Path | None = None) -> None:
    """Write `path` whole, or leave it as it was."""
    part = part or path.with_name(f"{path.name}.part")
    with part.open("wb") as out:
        out.writelines(lines)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)
