"""Whether the whole stack serves: asked of the API, as a user would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
from pydantic import SecretStr

from core.settings import Settings
from stack.processes import QUEUES

TIMEOUT_S = 1.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  read, not bound


def api_url(settings: Settings) -> str:
    """Where this machine reaches the API."""
    host = _ANYWHERE.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def flower_url(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.flower_port}"


def bearer(api_key: SecretStr | None) -> dict[str, str]:
    """The headers that show a key, or none."""
    return {"Authorization": f"Bearer {api_key.get_secret_value()}"} if api_key else {}


def ask_status(url: str, *, api_key: SecretStr | None = None) -> Mapping[str, Any] | None:
    """The API's own account of itself, None while it gives none; in short if it wants a key and gets none."""
    try:
        response = requests.get(f"{url}/v1/status", headers=bearer(api_key), timeout=TIMEOUT_S)
        return response.json() if response.ok else None
    except (requests.RequestException, ValueError):
        return None


def ask_health(url: str) -> list[str] | None:
    """The parts that the API says are not well, None where it does not answer."""
    try:
        body = requests.get(f"{url}/health", timeout=TIMEOUT_S).json()
        return [str(part) for part in body.get("unhealthy", ())]
    except (requests.RequestException, ValueError, AttributeError):
        return None


def missing_parts(status: Mapping[str, Any] | None) -> set[str]:
    """The names of the processes that do not serve yet, and of servers that do not answer."""
    if status is None:
        return {"api"}
    workers = status.get("workers", {})
    absent = {f"worker-{queue}" for queue in QUEUES if not workers.get(queue)}
    return absent | {name for name in ("database", "broker") if status.get(name) != "ok"}
