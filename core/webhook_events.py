"""What is sent to a webhook: the event as JSON, and the headers that prove whose it is. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from random import Random

from core.webhook_secrets import PREFIX
from core.webhooks import Delivery

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 2 * 3600.0


def event_id(delivery: Delivery) -> str:
    return f"evt_{delivery.id.replace('-', '')}"


def event_body(delivery: Delivery) -> bytes:
    """The same bytes at each try."""
    event = {
        "id": event_id(delivery),
        "object": "event",
        "created_at": int(delivery.created_at.timestamp()),
        "type": delivery.event,
        "data": {"id": delivery.subject},
    }
    return json.dumps(event, separators=(",", ":")).encode()


def signed_headers(event_id: str, body: bytes, *, timestamp: int, secrets: Sequence[str]) -> Mapping[str, str]:
    """Headers in the manner of Standard Webhooks, one signature for each of `secrets`."""
    signatures = [_signature(secret, f"{event_id}.{timestamp}.".encode() + body) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": "mathcode-webhooks",
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def pause_s(tries: int, random: Random) -> float:
    """How long to wait after so many failed tries: doubled with each, and spread over half of it."""
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(tries - 1, 20))
    return longest * random.uniform(0.5, 1.0)


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
