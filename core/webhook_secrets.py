"""The secrets that sign webhooks: one per installation, replaced without a gap."""

from __future__ import annotations

import base64
import secrets

from core.database import Database

SECRET_BYTES = 32
PREFIX = "whsec_"


class SecretStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def signing(self) -> list[str]:
        """The secrets that sign now, newest first; the first one is made where there is none.

        A replaced one goes on signing for a day, so that receivers have time to learn the new one.
        """
        rows = self._database.fetch(_SIGNING)
        if not rows:
            self._database.execute(_FIRST, {"secret": new_secret()})
            rows = self._database.fetch(_SIGNING)
        return [row["secret"] for row in rows]

    def rotate(self) -> str:
        """Replace the secret; the new one."""
        self.signing()
        secret = new_secret()
        self._database.execute(_NEXT, {"secret": secret})
        return self.signing()[0]


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


_SIGNING = """
SELECT secret FROM (
    SELECT number, secret, lead(created_at) OVER (ORDER BY number) AS replaced_at FROM webhook_secret) AS known
WHERE replaced_at IS NULL OR replaced_at > now() - interval '1 day'
ORDER BY number DESC
"""

_FIRST = "INSERT INTO webhook_secret (number, secret) VALUES (1, %(secret)s) ON CONFLICT DO NOTHING"

_NEXT = """
INSERT INTO webhook_secret (number, secret) SELECT max(number) + 1, %(secret)s FROM webhook_secret
ON CONFLICT DO NOTHING
"""
