-- How urgent a completion is: its job's wish, beside the state that the reconciler counts by it.
ALTER TABLE completion ADD COLUMN priority text NOT NULL DEFAULT 'normal'
    CHECK (priority IN ('high', 'normal', 'low'));
DROP INDEX completion_queued;
CREATE INDEX completion_queued ON completion (model, priority, queued_at) WHERE state = 'queued';

-- What the worker's engine shows of itself (core/metrics.py); NULL for the light worker.
ALTER TABLE worker ADD COLUMN metrics jsonb;
