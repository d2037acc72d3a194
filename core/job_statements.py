"""The statements that accept a job; the rest of the ledger's are beside who uses them."""

from __future__ import annotations

from core.idempotency import CLAIM

# `accepted` may be sent twice, after a lost connection.
_ACCEPTED = """
accepted AS (
    INSERT INTO job (id, request, task_type, strategy, route, key_id, batch_id, batch_line, webhook_url,
                     lane, deadline_at, is_held)
    SELECT %(id)s::uuid, %(request)s, %(task_type)s, %(strategy)s, %(route)s, %(key_id)s, %(batch_id)s,
           %(batch_line)s, %(webhook_url)s, %(lane)s, now() + make_interval(secs => %(deadline_s)s),
           EXISTS (SELECT 1 FROM job WHERE lane = %(lane)s AND state = 'queued' AND is_held)
           OR (SELECT count(*) FROM (SELECT 1 FROM job WHERE lane = %(lane)s AND state IN ('queued', 'running')
                                     AND NOT is_held LIMIT %(window)s) AS open) >= %(window)s
    FROM {source}
    ON CONFLICT (id) DO UPDATE SET id = excluded.id
    RETURNING id, created_at, deadline_at, is_held
), branches AS (
    INSERT INTO completion (job_id, model, state, priority)
    SELECT accepted.id, branch.model,
           CASE WHEN accepted.is_held AND branch.state = 'queued' THEN 'held' ELSE branch.state END, %(priority)s
    FROM accepted, unnest(%(models)s::text[], %(states)s::text[]) AS branch (model, state)
    ON CONFLICT DO NOTHING
)
SELECT id::text, created_at, deadline_at, is_held FROM accepted
"""

INSERT = "WITH" + _ACCEPTED.format(source="(SELECT) AS always")

INSERT_ONCE = f"WITH {CLAIM}," + _ACCEPTED.format(source="claimed WHERE TRUE")
