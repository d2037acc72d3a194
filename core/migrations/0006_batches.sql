-- Files and batches. A file lies in pieces, so that no process ever holds it; a batch's lines become jobs.

CREATE TABLE file (
    id          uuid PRIMARY KEY,                       -- UUIDv7: ids sort by time of creation
    key_id      text,                                   -- whose file it is; NULL where no keys are asked for
    purpose     text NOT NULL CHECK (purpose IN ('batch', 'batch_output')),
    filename    text NOT NULL,
    size_bytes  bigint,                                 -- NULL while it is being written
    uses        integer NOT NULL DEFAULT 0 CHECK (uses >= 0),  -- open batches that read it
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz
);
CREATE INDEX file_by_key ON file (key_id, id);
CREATE INDEX file_expiring ON file (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX file_unfinished ON file (created_at) WHERE size_bytes IS NULL;

CREATE TABLE file_piece (
    file_id  uuid NOT NULL REFERENCES file (id) ON DELETE CASCADE,
    position integer NOT NULL,
    content  bytea NOT NULL,
    PRIMARY KEY (file_id, position)
);
ALTER TABLE file_piece ALTER COLUMN content SET STORAGE EXTERNAL;  -- any part of it is read without the rest

-- `worker` names the claim under which a light worker advances the batch, `line` and `position` are how far it came.
CREATE TABLE batch (
    id                uuid PRIMARY KEY,
    key_id            text,
    endpoint          text NOT NULL,
    input_file_id     uuid NOT NULL,
    completion_window text NOT NULL,
    metadata          jsonb,
    output_kept_s     integer,                          -- NULL: its output is kept until it is deleted
    state             text NOT NULL DEFAULT 'validating' CHECK (state IN ('validating', 'failed', 'in_progress',
                          'finalizing', 'completed', 'expired', 'cancelling', 'cancelled')),
    outcome           text NOT NULL DEFAULT 'completed' CHECK (outcome IN ('completed', 'expired', 'cancelled')),
    errors            jsonb,
    total             integer NOT NULL DEFAULT 0,
    completed         integer NOT NULL DEFAULT 0,
    failed            integer NOT NULL DEFAULT 0,
    line              integer NOT NULL DEFAULT 0,       -- the last line that became jobs
    position          bigint NOT NULL DEFAULT 0,        -- the byte at which the next line begins
    is_enqueued       boolean NOT NULL DEFAULT FALSE,
    output_file_id    uuid,
    error_file_id     uuid,
    worker            text,
    lease_until       timestamptz,
    created_at        timestamptz NOT NULL DEFAULT now(),
    expires_at        timestamptz NOT NULL,
    in_progress_at    timestamptz,
    finalizing_at     timestamptz,
    completed_at      timestamptz,
    failed_at         timestamptz,
    expired_at        timestamptz,
    cancelling_at     timestamptz,
    cancelled_at      timestamptz
);
CREATE INDEX batch_open ON batch (id) WHERE state IN ('validating', 'in_progress', 'finalizing', 'cancelling');
CREATE INDEX batch_by_key ON batch (key_id, id);

-- A line may ask for several choices, each a job; the index also answers how far a batch is.
ALTER TABLE job ADD COLUMN batch_choice integer;
DROP INDEX job_by_batch;
CREATE UNIQUE INDEX job_by_batch ON job (batch_id, batch_line, batch_choice) INCLUDE (state)
    WHERE batch_id IS NOT NULL;
