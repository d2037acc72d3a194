-- Keys: who may ask, and how much. Of a key's secret only the SHA-256 is kept (it has 256 random bits of its own).
CREATE TABLE api_key (
    id               text PRIMARY KEY,
    name             text NOT NULL,
    digest           bytea NOT NULL,
    request_amount   integer,                           -- so many requests per request_period_s seconds
    request_period_s integer,
    token_amount     integer,
    token_period_s   integer,
    max_queued       integer,
    daily_tokens     bigint,
    created_at       timestamptz NOT NULL DEFAULT now(),
    revoked_at       timestamptz,
    CHECK ((request_amount IS NULL) = (request_period_s IS NULL)),
    CHECK ((token_amount IS NULL) = (token_period_s IS NULL))
);
CREATE UNIQUE INDEX api_key_name ON api_key (name) WHERE revoked_at IS NULL;

-- What a key may still ask for now; it refills as time passes (core/limits.py).
CREATE TABLE key_bucket (
    key_id      text PRIMARY KEY,
    requests    double precision NOT NULL,
    tokens      double precision NOT NULL,
    refilled_at timestamptz NOT NULL
);

-- What a key used, by day of UTC; in several rows, so that answers that end together do not wait for each other.
CREATE TABLE key_usage (
    key_id       text NOT NULL,
    day          date NOT NULL,
    shard        integer NOT NULL,
    tokens       bigint NOT NULL DEFAULT 0,
    batch_tokens bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (key_id, day, shard)
);
CREATE INDEX key_usage_day ON key_usage (day);

-- Text that was cut short by a cancellation or a deadline has no count of its own: four bytes are taken for a token.
CREATE FUNCTION count_usage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    owner record;
    used  bigint := coalesce((NEW.outcome ->> 'prompt_tokens')::bigint, 0)
                  + coalesce((NEW.outcome ->> 'completion_tokens')::bigint,
                             ceil(octet_length(NEW.outcome ->> 'text') / 4.0)::bigint, 0);
BEGIN
    SELECT key_id, batch_id INTO owner FROM job WHERE id = NEW.job_id;
    IF owner.key_id IS NOT NULL AND used > 0 THEN
        INSERT INTO key_usage AS usage (key_id, day, shard, tokens, batch_tokens)
        VALUES (owner.key_id, (now() AT TIME ZONE 'UTC')::date, mod(pg_backend_pid(), 16),
                CASE WHEN owner.batch_id IS NULL THEN used ELSE 0 END,
                CASE WHEN owner.batch_id IS NULL THEN 0 ELSE used END)
        ON CONFLICT (key_id, day, shard) DO UPDATE
        SET tokens = usage.tokens + excluded.tokens, batch_tokens = usage.batch_tokens + excluded.batch_tokens;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER completion_usage AFTER UPDATE OF state ON completion
    FOR EACH ROW WHEN (OLD.state = 'running' AND NEW.state = 'done' AND NEW.outcome ? 'text')
    EXECUTE FUNCTION count_usage();

-- Which job a caller's Idempotency-Key stands for; rows older than a day mean nothing and are pruned.
CREATE TABLE idempotency (
    scope       text NOT NULL,                          -- the API key's id, '' where there is none
    key         text NOT NULL,
    part        integer NOT NULL,                       -- a request of several choices is several jobs
    fingerprint bytea NOT NULL,
    job_id      uuid NOT NULL REFERENCES job (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key, part)
);
CREATE INDEX idempotency_job ON idempotency (job_id);
CREATE INDEX idempotency_age ON idempotency (created_at);

-- Queue depths, and how fast jobs end.
CREATE INDEX job_queued ON job (key_id) WHERE state = 'queued' AND batch_id IS NULL;
CREATE INDEX IF NOT EXISTS job_finished ON job (finished_at) WHERE finished_at IS NOT NULL;
