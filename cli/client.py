"""The API over HTTP, as any other program would use it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import requests
from pydantic import SecretStr, ValidationError

from cli.server_sent_events import parse_events
from cli.views import ErrorView, JobView, StreamEvent
from core.errors import InvalidRequest, Unavailable
from stack.readiness import bearer

TIMEOUT_S = 30.0
PATIENCE_S = 30.0  # how long a job that we already have is waited for while the API does not answer
RETRY_S = 0.5
FIRST_POLL_S = 0.05
SLOWEST_POLL_S = 1.0


class ApiClient:
    """Raises InvalidRequest for what the API refuses and Unavailable for what does not answer.

    `api_key` is sent with every request.
    """

    def __init__(self, base_url: str, *, api_key: SecretStr | None = None) -> None:
        self._base_url = base_url
        self._session = requests.Session()
        self._session.trust_env = False  # credentials of ~/.netrc would take the place of the key
        self._session.headers.update(bearer(api_key))

    def submit(self, body: Mapping[str, Any]) -> JobView:
        # Not `json=`: what this program cannot put into JSON (NaN) is for the API to refuse.
        headers = {"Content-Type": "application/json"}
        return JobView.model_validate(
            self._call("POST", "/v1/jobs", data=json.dumps(body), headers=headers).json()
        )

    def job(self, job_id: str) -> JobView:
        return JobView.model_validate(self._call("GET", f"/v1/jobs/{job_id}").json())

    def cancel(self, job_id: str) -> None:
        self._call("POST", f"/v1/jobs/{job_id}/cancel")

    def wait(self, job_id: str) -> JobView:
        """Poll until the job is final, ever more slowly."""
        pause, patience = FIRST_POLL_S, _Patience()
        while True:
            try:
                job = self.job(job_id)
            except Unavailable as error:
                patience.spend(error)
                continue
            if job.status.is_final:
                return job
            patience = _Patience()
            time.sleep(pause)
            pause = min(SLOWEST_POLL_S, pause * 1.5)

    def follow(self, job_id: str) -> Iterator[StreamEvent]:
        """The job's events up to and with `done`; a broken connection is taken up where it broke."""
        after, patience = "", _Patience()
        while True:
            try:
                for event in self._stream(job_id, after):
                    yield event
                    after, patience = event.id or after, _Patience()
                    if event.event == "done":
                        return
                patience.spend(Unavailable(f"{self._base_url} ended the stream of job {job_id} early"))
            except Unavailable as error:
                patience.spend(error)

    def _stream(self, job_id: str, after: str) -> Iterator[StreamEvent]:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        with self._call("GET", f"/v1/jobs/{job_id}/events", headers=headers, stream=True) as response:
            try:
                yield from parse_events(response.iter_content(chunk_size=None))
            except requests.RequestException as error:
                raise Unavailable(f"{self._base_url} broke the stream of job {job_id}: {error}") from error

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            response = self._session.request(
                method, f"{self._base_url}{path}", **{"timeout": TIMEOUT_S, **options}
            )
        except requests.RequestException as error:
            raise Unavailable(f"no API answers at {self._base_url}: start it with `mathcode up`") from error
        if response.ok:
            return response
        raise _refusal(response)


class _Patience:
    """Bounds how long a failing API is tried again."""

    def __init__(self) -> None:
        self._deadline = time.monotonic() + PATIENCE_S

    def spend(self, error: Unavailable) -> None:
        """Pause, or raise `error` when patience is at an end."""
        if time.monotonic() > self._deadline:
            raise error
        time.sleep(RETRY_S)


def _refusal(response: requests.Response) -> InvalidRequest | Unavailable:
    try:
        error = ErrorView.model_validate(response.json()["error"])
    except (ValueError, KeyError, TypeError, ValidationError):
        error = ErrorView(code="error", message=f"{response.url} answered {response.status_code}")
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        reason = error.message.partition(":")[0]
        return InvalidRequest(f"{reason}: set MATHCODE_API_KEY to one that `mathcode keys create` printed")
    if response.status_code >= 500 or response.status_code == 429:
        return Unavailable(error.message)
    return InvalidRequest(error.message, param=error.param, code=error.code)
