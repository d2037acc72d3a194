"""API keys, on Postgres: who may ask, and how much. A secret is shown once; its SHA-256 is what is kept.

A token reads `mk_<id>_<secret>`: the id finds the row, the secret (256 random bits) proves it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import asdict, dataclass
from datetime import datetime

from core.database import Database, Row
from core.errors import InvalidRequest, Unauthorized

PREFIX = "mk_"
CACHED_S = 2.0
"""How long a process may go on using a key that was revoked meanwhile."""

_TOKEN = re.compile(r"mk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_NOBODY = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`amount` in each `period_s` seconds; so many may also come at once."""

    amount: int
    period_s: int

    @property
    def per_s(self) -> float:
        return self.amount / self.period_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one key may ask for; None is no limit of its own. `daily_tokens` are by day of UTC."""

    requests: Rate | None = None
    tokens: Rate | None = None
    max_queued: int | None = None
    daily_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    id: str
    name: str
    limits: Limits
    created_at: datetime
    revoked_at: datetime | None = None
    tokens_today: int = 0
    batch_tokens_today: int = 0
    is_operator: bool = False
    """It may change what everybody is answered with: promote versions and roll back."""


class KeyStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, limits: Limits, *, is_operator: bool = False) -> tuple[ApiKey, str]:
        """A new key and its token, which nothing can show again. Raises InvalidRequest."""
        if not _NAME.fullmatch(name):
            raise InvalidRequest(
                "a key's name has 1 to 64 letters, digits or . _ @ -, a letter or digit first: choose another",
                param="name",
            )
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        parameters = {"id": key_id, "name": name, "digest": _digest(secret), "is_operator": is_operator}
        rows = self._database.fetch(_CREATE, {**parameters, **_columns(limits)})
        if not rows:
            raise InvalidRequest(f"there is a key named {name}: choose another name, or revoke it", param="name")
        return _key(rows[0]), f"{PREFIX}{key_id}_{secret}"

    def all(self) -> list[ApiKey]:
        """Newest first, revoked ones too, with what they used today."""
        return [_key(row) for row in self._database.fetch(_ALL)]

    def revoke(self, name_or_id: str) -> ApiKey:
        """Raises InvalidRequest where no key in force is called so."""
        rows = self._database.fetch(_REVOKE, {"name": name_or_id})
        if not rows:
            raise InvalidRequest(f"no key in force is called {name_or_id}: `mathcode keys list`", param="name")
        return _key(rows[0])

    def exists(self) -> bool:
        """Whether any key is in force."""
        return bool(self._database.fetch("SELECT 1 FROM api_key WHERE revoked_at IS NULL LIMIT 1"))

    def find(self, key_id: str) -> tuple[ApiKey, bytes] | None:
        """The key in force with this id, and its digest."""
        rows = self._database.fetch(_FIND, {"id": key_id})
        return (_key(rows[0]), bytes(rows[0]["digest"])) if rows else None


class KeyRing:
    """Keys in force, each remembered for CACHED_S seconds. Thread-safe; as large as there are keys."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._known: dict[str, tuple[float, ApiKey, bytes]] = {}

    def authenticate(self, token: str) -> ApiKey:
        """The key that `token` proves. Raises Unauthorized, the same for every reason, or DatabaseUnavailable."""
        match = _TOKEN.fullmatch(token)
        found = self._look_up(match[1]) if match else None
        expected = found[1] if found else _NOBODY
        is_proven = hmac.compare_digest(_digest(match[2] if match else "x"), expected)
        if found is None or not is_proven:
            raise Unauthorized("this API key is not valid: send one that `mathcode keys create` printed")
        return found[0]

    def get(self, key_id: str) -> ApiKey | None:
        """The key in force with this id. Raises DatabaseUnavailable."""
        found = self._look_up(key_id)
        return found[0] if found else None

    def _look_up(self, key_id: str) -> tuple[ApiKey, bytes] | None:
        remembered = self._known.get(key_id)
        if remembered and time.monotonic() < remembered[0]:
            return remembered[1:]
        found = self._store.find(key_id)
        if found is None:
            self._known.pop(key_id, None)
            return None
        self._known[key_id] = (time.monotonic() + CACHED_S, *found)
        return found


def parse_rate(text: str, *, per: str = "min") -> Rate:
    """`60/min`, `2/s`, `1000/h`, or a bare number per `per`. Raises InvalidRequest."""
    match = re.fullmatch(r"([0-9]{1,9})(?:/(s|min|h))?", text.strip())
    if not match or int(match[1]) == 0:
        raise InvalidRequest(f"{text!r} is no rate: write 60/min, 2/s or 1000/h", param="rate")
    return Rate(amount=int(match[1]), period_s={"s": 1, "min": 60, "h": 3600}[match[2] or per])


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _columns(limits: Limits) -> dict[str, int | None]:
    columns: dict[str, int | None] = {"max_queued": limits.max_queued, "daily_tokens": limits.daily_tokens}
    for name, rate in (("request", limits.requests), ("token", limits.tokens)):
        for part, value in (asdict(rate) if rate else {"amount": None, "period_s": None}).items():
            columns[f"{name}_{part}"] = value
    return columns


def _key(row: Row) -> ApiKey:
    limits = Limits(
        requests=_rate(row, "request"),
        tokens=_rate(row, "token"),
        max_queued=row["max_queued"],
        daily_tokens=row["daily_tokens"],
    )
    return ApiKey(
        id=row["id"],
        name=row["name"],
        limits=limits,
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
        tokens_today=int(row.get("tokens_today", 0)),
        batch_tokens_today=int(row.get("batch_tokens_today", 0)),
        is_operator=row["is_operator"],
    )


def _rate(row: Row, name: str) -> Rate | None:
    amount = row[f"{name}_amount"]
    return Rate(amount=amount, period_s=row[f"{name}_period_s"]) if amount else None


_CREATE = """
INSERT INTO api_key (id, name, digest, request_amount, request_period_s, token_amount, token_period_s, max_queued,
                     daily_tokens, is_operator)
VALUES (%(id)s, %(name)s, %(digest)s, %(request_amount)s, %(request_period_s)s, %(token_amount)s,
        %(token_period_s)s, %(max_queued)s, %(daily_tokens)s, %(is_operator)s)
ON CONFLICT (name) WHERE revoked_at IS NULL DO UPDATE SET id = api_key.id
    WHERE api_key.id = excluded.id  -- the same statement sent again after a lost connection
RETURNING *
"""

_ALL = """
SELECT api_key.*, coalesce(sum(tokens), 0) AS tokens_today, coalesce(sum(batch_tokens), 0) AS batch_tokens_today
FROM api_key LEFT JOIN key_usage ON key_id = id AND day = (now() AT TIME ZONE 'UTC')::date
GROUP BY id ORDER BY created_at DESC, id
"""

_REVOKE = """
UPDATE api_key SET revoked_at = now() WHERE (name = %(name)s OR id = %(name)s) AND revoked_at IS NULL RETURNING *
"""

_FIND = "SELECT * FROM api_key WHERE id = %(id)s AND revoked_at IS NULL"
