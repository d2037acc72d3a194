-- The ledger: what was accepted, who works on it, how it ended.

CREATE TABLE job (
    id                  uuid PRIMARY KEY,               -- UUIDv7: ids sort by time of creation
    state               text NOT NULL DEFAULT 'queued'
                        CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'dead', 'cancelled', 'expired')),
    request             jsonb NOT NULL,
    task_type           text NOT NULL CHECK (task_type IN ('math', 'code', 'hybrid')),
    strategy            text NOT NULL CHECK (strategy IN ('parallel', 'sequential')),
    route               jsonb NOT NULL,
    answer              jsonb,
    error               jsonb,
    created_at          timestamptz NOT NULL DEFAULT now(),
    started_at          timestamptz,
    finished_at         timestamptz,
    deadline_at         timestamptz NOT NULL,
    cancel_requested_at timestamptz,
    CHECK ((state IN ('queued', 'running')) = (finished_at IS NULL))
);
CREATE INDEX job_by_state ON job (state, id);
CREATE INDEX job_open_deadline ON job (deadline_at) WHERE state IN ('queued', 'running');
CREATE INDEX job_open_cancelled ON job (id)
    WHERE state IN ('queued', 'running') AND cancel_requested_at IS NOT NULL;

-- One row per model that has to answer; `attempt` is the fence, `lost` counts vanished workers.
CREATE TABLE completion (
    job_id      uuid NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    model       text NOT NULL CHECK (model IN ('mathstral', 'codestral')),
    state       text NOT NULL DEFAULT 'queued' CHECK (state IN ('waiting', 'queued', 'running', 'done')),
    attempt     integer NOT NULL DEFAULT 0,
    lost        integer NOT NULL DEFAULT 0,
    worker      text,
    lease_until timestamptz,
    outcome     jsonb,
    queued_at   timestamptz NOT NULL DEFAULT now(),
    started_at  timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (job_id, model),
    CHECK ((state = 'running') = (lease_until IS NOT NULL)),
    CHECK ((state = 'done') = (outcome IS NOT NULL))
);
CREATE INDEX completion_queued ON completion (model, queued_at) WHERE state = 'queued';
CREATE INDEX completion_waiting ON completion (job_id) WHERE state = 'waiting';
CREATE INDEX completion_lease ON completion (lease_until) WHERE state = 'running';

-- Who serves: refreshed with every heartbeat, so a silent process is visible.
CREATE TABLE worker (
    name       text PRIMARY KEY,
    queue      text NOT NULL,
    version    text,                                    -- the weights in service; NULL for the light worker
    slots      integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now()
);
