-- Webhooks: whom to tell that a job or batch ended, and the outbox from which the light worker tells them.

ALTER TABLE job ADD COLUMN webhook_url text;            -- NULL: nobody is told
ALTER TABLE batch ADD COLUMN webhook_url text;

CREATE TABLE webhook_delivery (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),  -- the event's id, the same at each try
    event        text NOT NULL,                         -- 'job.succeeded', 'batch.completed', ...
    subject      text NOT NULL,                         -- the id of the job or batch
    url          text NOT NULL,
    host         text GENERATED ALWAYS AS (lower(substring(url FROM '^[a-zA-Z]+://([^/?#]*)'))) STORED,
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    tries        integer NOT NULL DEFAULT 0,            -- also the fence: only the last try's end counts
    next_try_at  timestamptz NOT NULL DEFAULT now(),    -- while it is tried: when others may take it over
    leased_until timestamptz,
    give_up_at   timestamptz NOT NULL DEFAULT now() + interval '1 day',
    error        text,                                  -- why the last try failed
    created_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    CHECK ((state = 'pending') = (ended_at IS NULL))
);
CREATE INDEX webhook_delivery_pending ON webhook_delivery (host, next_try_at) WHERE state = 'pending';
CREATE INDEX webhook_delivery_leased ON webhook_delivery (host, leased_until)
    WHERE state = 'pending' AND leased_until IS NOT NULL;
CREATE INDEX webhook_delivery_ended ON webhook_delivery (state, ended_at) WHERE state <> 'pending';

-- For any statement that ends something: SELECT webhook_enqueue('batch.completed', id::text, url) FROM ended.
CREATE FUNCTION webhook_enqueue(event text, subject text, url text) RETURNS void LANGUAGE sql AS
    'INSERT INTO webhook_delivery (event, subject, url) SELECT event, subject, url WHERE url IS NOT NULL';

-- A job's end and its delivery are one transaction, whichever statement ends it.
CREATE FUNCTION webhook_job_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM webhook_enqueue('job.' || NEW.state, NEW.id::text, NEW.webhook_url);
    RETURN NULL;
END $$;
CREATE TRIGGER webhook_job_ended AFTER UPDATE OF state ON job FOR EACH ROW
    WHEN (NEW.webhook_url IS NOT NULL AND OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL)
    EXECUTE FUNCTION webhook_job_ended();

-- The same of batches, whose states are also the names of OpenAI's events.
CREATE FUNCTION webhook_batch_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM webhook_enqueue('batch.' || NEW.state, 'batch_' || replace(NEW.id::text, '-', ''), NEW.webhook_url);
    RETURN NULL;
END $$;
CREATE TRIGGER webhook_batch_ended AFTER UPDATE OF state ON batch FOR EACH ROW
    WHEN (NEW.webhook_url IS NOT NULL AND NEW.state IS DISTINCT FROM OLD.state
          AND NEW.state IN ('completed', 'failed', 'expired', 'cancelled'))
    EXECUTE FUNCTION webhook_batch_ended();

-- The newest signs; the one before it signs too, for a day after it was replaced.
CREATE TABLE webhook_secret (
    number     integer PRIMARY KEY,
    secret     text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
