"""What the oracle knows apart from the rows themselves: every change of state, written down by the database.

A row can say only how it stands. That it came there once and not twice, and how often a completion was begun, is
told by triggers that belong to the test and not to the product.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import psycopg2
from psycopg2.extras import RealDictCursor

_TRIGGERS = """
CREATE TABLE IF NOT EXISTS audit (
    number  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind    text NOT NULL,
    subject text NOT NULL,
    part    text NOT NULL,
    old     text,
    new     text NOT NULL,
    worker  text,
    at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE OR REPLACE FUNCTION audit_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit (kind, subject, part, old, new) VALUES ('job', NEW.id, '', OLD.state, NEW.state);
    RETURN NULL; END $$;
CREATE OR REPLACE FUNCTION audit_completion() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit (kind, subject, part, old, new, worker)
    VALUES ('completion', NEW.job_id, NEW.model, OLD.state, NEW.state, coalesce(NEW.worker, OLD.worker));
    RETURN NULL; END $$;
CREATE OR REPLACE FUNCTION audit_delivery() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit (kind, subject, part, old, new)
    VALUES ('delivery', NEW.subject, NEW.id, OLD.state, NEW.state);
    RETURN NULL; END $$;
CREATE OR REPLACE FUNCTION audit_version() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit (kind, subject, part, old, new) VALUES ('version', NEW.number, '', OLD.state, NEW.state);
    RETURN NULL; END $$;
CREATE TRIGGER audit_job AFTER UPDATE ON job FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.finished_at IS DISTINCT FROM NEW.finished_at)
    EXECUTE FUNCTION audit_job();
CREATE TRIGGER audit_completion AFTER UPDATE ON completion FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.attempt IS DISTINCT FROM NEW.attempt
          OR OLD.outcome IS DISTINCT FROM NEW.outcome)
    EXECUTE FUNCTION audit_completion();
CREATE TRIGGER audit_delivery AFTER UPDATE ON webhook_delivery FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION audit_delivery();
CREATE TRIGGER audit_version AFTER UPDATE ON model_version FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION audit_version();
"""


class Records:
    """Reads the ledger without the product, and without what stands between them."""

    def __init__(self, url: str) -> None:
        self._url = url

    def prepare(self) -> None:
        """Begin to write down every change of state; the ledger is migrated."""
        self.rows(_TRIGGERS)

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> Sequence[dict[str, Any]]:
        with closing(psycopg2.connect(self._url, connect_timeout=5)) as connection:
            connection.autocommit = True
            with connection.cursor(cursor_factory=RealDictCursor) as cursor:
                cursor.execute(sql, parameters)
                return [dict(row) for row in cursor.fetchall()] if cursor.description else []

    def count(self, sql: str, parameters: dict[str, Any] | None = None) -> int:
        (row,) = self.rows(sql, parameters)
        return int(next(iter(row.values())))
