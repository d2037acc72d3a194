"""Laws of what is sent: the same bytes each time, a signature for each secret, ever longer pauses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from random import Random

from core.webhook_events import FIRST_PAUSE_S, LONGEST_PAUSE_S, event_body, event_id, pause_s, signed_headers
from core.webhook_secrets import new_secret
from core.webhooks import Delivery, DeliveryState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DELIVERY = Delivery(
    id="01890000-0000-7000-8000-000000000000",
    event="job.succeeded",
    subject="s",
    url="https://example.org/",
    state=DeliveryState.PENDING,
    tries=1,
    created_at=NOW,
    next_try_at=NOW,
    error=None,
)


def test_the_event_says_what_happened_to_whom() -> None:
    assert json.loads(event_body(DELIVERY)) == {
        "id": event_id(DELIVERY),
        "object": "event",
        "created_at": 1_767_225_600,
        "type": "job.succeeded",
        "data": {"id": "s"},
    }


def test_each_secret_signs_id_time_and_body() -> None:
    secrets = [new_secret(), new_secret()]
    headers = signed_headers("evt_1", b"{}", timestamp=7, secrets=secrets)
    expected = [
        base64.b64encode(hmac.new(base64.b64decode(each[6:]), b"evt_1.7.{}", hashlib.sha256).digest()).decode()
        for each in secrets
    ]
    assert headers["webhook-signature"] == " ".join(f"v1,{signature}" for signature in expected)
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("evt_1", "7")


def test_pauses_double_up_to_a_bound_and_never_fall_together() -> None:
    dice = Random(1)  # noqa: S311 -- repeatable
    for tries in range(1, 60):
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (tries - 1))
        pauses = {pause_s(tries, dice) for _ in range(20)}
        assert all(longest / 2 <= pause <= longest for pause in pauses)
        assert len(pauses) == 20
