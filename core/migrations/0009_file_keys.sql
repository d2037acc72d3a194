-- Which file a caller's Idempotency-Key stands for; rows older than a day mean nothing and are pruned.
CREATE TABLE file_key (
    scope       text NOT NULL,                          -- the API key's id, '' where there is none
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    file_id     uuid NOT NULL REFERENCES file (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
CREATE INDEX file_key_file ON file_key (file_id);
CREATE INDEX file_key_age ON file_key (created_at);
