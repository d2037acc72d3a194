-- Which batch a caller's Idempotency-Key stands for; rows older than a day mean nothing and are pruned.
CREATE TABLE batch_key (
    scope       text NOT NULL,                          -- the API key's id, '' where there is none
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    batch_id    uuid NOT NULL REFERENCES batch (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
CREATE INDEX batch_key_batch ON batch_key (batch_id);
CREATE INDEX batch_key_age ON batch_key (created_at);
