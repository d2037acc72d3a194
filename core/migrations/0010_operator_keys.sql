-- Keys that may also change what everybody is answered with: promote versions and roll back.
ALTER TABLE api_key ADD COLUMN is_operator boolean NOT NULL DEFAULT FALSE;
