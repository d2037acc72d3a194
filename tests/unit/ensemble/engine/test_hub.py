"""Laws of fetching a model, against a real HTTP server that answers as the hub does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from core.settings import child_environment

COMMIT = "a" * 40
FILES = [
    "config.json",
    "model.safetensors",
    "tokenizer.model.v3",
    "consolidated.safetensors",
    "params.json",
    "README.md",
]
REFUSALS = {"gated": (403, "GatedRepo"), "unknown": (401, "RepoNotFound"), "broken": (500, "")}
FETCH = """
import sys
from core.errors import ModelAccessError
from core.settings import read_settings
from ensemble.engine.hub import download_checkpoint
try:
    print(download_checkpoint(sys.argv[1], read_settings()))
except ModelAccessError as error:
    sys.exit(str(error))
"""


class Hub(BaseHTTPRequestHandler):
    """Models are named after what happens when they are asked for."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def _answer(self) -> None:
        for name, (status, code) in REFUSALS.items():
            if f"owner/{name}" in self.path:
                self._send(status, b"", {"X-Error-Code": code})
                return
        if self.headers.get("Authorization") != "Bearer hf_secret":
            self._send(401, b"", {"X-Error-Code": "GatedRepo"})
        elif "/resolve/" in self.path:
            self._send(200, b"{}", {"ETag": '"1"', "X-Repo-Commit": COMMIT})
        elif "/tree/" in self.path:
            entries = [{"type": "file", "path": name, "size": 2, "oid": "1"} for name in FILES]
            self._send(200, json.dumps(entries).encode(), {})
        else:
            siblings = [{"rfilename": name} for name in FILES]
            self._send(200, json.dumps({"id": "owner/open", "sha": COMMIT, "siblings": siblings}).encode(), {})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {
            **headers,
            "Content-Length": str(len(body)),
            "Content-Type": "application/json",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(name: str, home: Path, endpoint: str) -> subprocess.CompletedProcess[str]:
    environment = child_environment(
        HF_ENDPOINT=endpoint, HF_HOME=str(home), HF_TOKEN="hf_secret", HF_HUB_DISABLE_XET="1", HF_HUB_OFFLINE=""
    )
    command = [sys.executable, "-c", FETCH, f"owner/{name}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_says_what_to_visit_and_what_to_set(name: str, tmp_path: Path, endpoint: str) -> None:
    refused = fetch(name, tmp_path, endpoint)
    assert refused.returncode == 1, refused.stdout + refused.stderr
    message = refused.stderr.splitlines()[-1]
    assert f"https://huggingface.co/owner/{name}" in message
    assert "HF_TOKEN" in message
    assert "hf_secret" not in message


def test_a_hub_out_of_reach_says_so(tmp_path: Path) -> None:
    refused = fetch("open", tmp_path, "http://127.0.0.1:9")
    assert refused.returncode == 1
    assert "cannot be reached" in refused.stderr.splitlines()[-1]


def test_only_one_copy_of_the_weights_is_fetched(tmp_path: Path, endpoint: str) -> None:
    fetched = fetch("open", tmp_path, endpoint)
    assert fetched.returncode == 0, fetched.stderr
    names = {path.name for path in Path(fetched.stdout.strip()).iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.model.v3"}
