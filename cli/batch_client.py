"""Files and batches over HTTP."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import requests
from pydantic import BaseModel, ConfigDict

from cli.client import ApiClient
from core.errors import Unavailable

PIECE_BYTES = 1_048_576
UPLOAD_TIMEOUT_S = 600.0
KEPT_S = 30 * 24 * 3600
"""So long the server keeps what a run has sent and got."""


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class CountsView(_View):
    total: int = 0
    completed: int = 0
    failed: int = 0


class LineErrorView(_View):
    code: str
    message: str
    line: int | None = None


class LineErrorsView(_View):
    data: tuple[LineErrorView, ...] = ()


class BatchView(_View):
    """A batch as `GET /v1/batches/{id}` shows it."""

    id: str
    status: str
    created_at: int = 0
    request_counts: CountsView = CountsView()
    errors: LineErrorsView | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    metadata: Mapping[str, str] | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in ("completed", "failed", "expired", "cancelled")

    @property
    def figures(self) -> str:
        counts = self.request_counts
        return f"{counts.completed} of {counts.total} answered, {counts.failed} failed"


class BatchClient(ApiClient):
    """Raises InvalidRequest for what the API refuses and Unavailable for what does not answer."""

    def upload(self, path: Path) -> str:
        """Send a file, never held whole; its id."""
        boundary = secrets.token_hex(16)
        with path.open("rb") as content:
            response = self._call(
                "POST",
                "/v1/files",
                data=_multipart(content, boundary),
                headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
                timeout=UPLOAD_TIMEOUT_S,
            )
        return str(response.json()["id"])

    def create(self, file_id: str, *, endpoint: str, window: str, metadata: Mapping[str, str]) -> BatchView:
        body = {
            "input_file_id": file_id,
            "endpoint": endpoint,
            "completion_window": window,
            "metadata": dict(metadata),
            "output_expires_after": {"anchor": "created_at", "seconds": KEPT_S},
        }
        return BatchView.model_validate(self._call("POST", "/v1/batches", json=body).json())

    def batch(self, batch_id: str) -> BatchView:
        return BatchView.model_validate(self._call("GET", f"/v1/batches/{batch_id}").json())

    def cancel_batch(self, batch_id: str) -> BatchView:
        return BatchView.model_validate(self._call("POST", f"/v1/batches/{batch_id}/cancel").json())

    def batches(self) -> Iterator[BatchView]:
        """All of them, newest first."""
        query: dict[str, Any] = {"limit": 100}
        while True:
            page = self._call("GET", "/v1/batches", params=query).json()
            yield from (BatchView.model_validate(batch) for batch in page["data"])
            if not page["has_more"]:
                return
            query["after"] = page["last_id"]

    def lines(self, file_id: str) -> Iterator[bytes]:
        """The lines of a file, as they arrive."""
        with self._call("GET", f"/v1/files/{file_id}/content", stream=True) as response:
            try:
                yield from response.iter_lines(PIECE_BYTES)
            except requests.RequestException as error:
                raise Unavailable(f"the download of {file_id} broke off: run the command again") from error


def _multipart(content: BinaryIO, boundary: str) -> Iterator[bytes]:
    """A form with the fields `purpose`, `expires_after` and `file`, piece by piece."""
    fields = {
        "purpose": "batch",
        "expires_after[anchor]": "created_at",
        "expires_after[seconds]": str(KEPT_S),
    }
    for name, value in fields.items():
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    head = 'Content-Disposition: form-data; name="file"; filename="requests.jsonl"'
    yield f"--{boundary}\r\n{head}\r\nContent-Type: application/octet-stream\r\n\r\n".encode()
    while piece := content.read(PIECE_BYTES):
        yield piece
    yield f"\r\n--{boundary}--\r\n".encode()
