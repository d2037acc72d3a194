"""A caller of an installation's API with a key of its own."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import requests
from openai import OpenAI

from core.database import Database
from core.keys import KeyStore, Limits
from tests.harness import FINAL, Installation, eventually

NO_LIMITS = Limits()


@dataclass(frozen=True)
class Keyed:
    installation: Installation
    key_id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def post(self, path: str, body: Any = None, **headers: str) -> requests.Response:
        return self.installation.post(path, body, headers={**self.headers, **headers})

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.installation.get(path, headers=self.headers, **options)

    def upload(self, content: bytes, **headers: str) -> requests.Response:
        form: dict[str, Any] = {"files": {"file": ("in.jsonl", content)}, "data": {"purpose": "batch"}}
        headers = {**self.headers, **headers}
        return requests.post(f"{self.installation.url}/v1/files", headers=headers, timeout=30, **form)

    def ask(self, prompt: str = "Prove it", **fields: Any) -> requests.Response:
        return self.post("/v1/jobs", {"prompt": prompt, "force_task_type": "math", "max_tokens": 1, **fields})

    def submit(self, prompt: str = "Prove it", **fields: Any) -> str:
        response = self.ask(prompt, **fields)
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        response = self.get(f"/v1/jobs/{job_id}")
        assert response.status_code == 200, response.text
        view: dict[str, Any] = response.json()
        return view

    def finished(self, job_id: str, *, within_s: float = 30) -> dict[str, Any]:
        return eventually(lambda: self._if_final(job_id), within_s=within_s)

    def _if_final(self, job_id: str) -> dict[str, Any] | None:
        job = self.job(job_id)
        return job if job["status"] in FINAL else None


def new_caller(installation: Installation, name: str, limits: Limits = NO_LIMITS) -> Keyed:
    with closing(Database(installation.database_url)) as database:
        key, token = KeyStore(database).create(name, limits)
    return Keyed(installation, key.id, token)


def client_of(caller: Keyed, **options: Any) -> OpenAI:
    """OpenAI's, with the caller's key; it does not try again by itself."""
    url = f"{caller.installation.url}/v1"
    return OpenAI(base_url=url, api_key=caller.token, **{"max_retries": 0, **options})


def chat_line(number: int, *, max_tokens: int = 2) -> str:
    """A line of a batch of chats."""
    messages = [{"role": "user", "content": "Prove it"}]
    body = {"model": "mathstral", "messages": messages, "max_tokens": max_tokens}
    return json.dumps({"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": body})
