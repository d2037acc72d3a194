-- Lanes: of each key's jobs of one kind and priority, only as many are announced as its workers can soon begin; the
-- others are held, so that no caller's flood stands before another's first job. `core/lanes.py` advances them.
ALTER TABLE job
    ADD COLUMN key_id     text,                         -- whose job it is; NULL where no keys are asked for
    ADD COLUMN lane       text NOT NULL DEFAULT '',     -- key/kind/priority
    ADD COLUMN is_held    boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN batch_id   uuid,
    ADD COLUMN batch_line integer;
CREATE INDEX job_lane_open ON job (lane) WHERE state IN ('queued', 'running') AND NOT is_held;
CREATE INDEX job_lane_held ON job (lane, id) WHERE state = 'queued' AND is_held;
CREATE INDEX job_by_key ON job (key_id, id);
CREATE INDEX job_by_batch ON job (batch_id, batch_line) WHERE batch_id IS NOT NULL;

ALTER TABLE completion DROP CONSTRAINT completion_state_check;
ALTER TABLE completion ADD CONSTRAINT completion_state_check
    CHECK (state IN ('held', 'waiting', 'queued', 'running', 'done'));
