"""The SQL of `core.code_files`."""

from __future__ import annotations

HOLDERS = """
SELECT DISTINCT ON (blob_hash) blob_hash, coalesce(repo, '') AS repo, coalesce(path, '') AS path
FROM code_files
WHERE blob_hash = ANY(%(hashes)s) AND rejection IS NULL AND content IS NOT NULL
ORDER BY blob_hash, id
"""

CANDIDATES = """
SELECT asked.position, file.id, coalesce(file.repo, '') AS repo, coalesce(file.path, '') AS path, file.blob_hash
FROM unnest(%(positions)s::integer[], %(keys)s::bigint[]) AS asked (position, key)
JOIN code_file_band AS band ON band.key = asked.key
JOIN code_files AS file ON file.id = band.file_id
WHERE file.rejection IS NULL
GROUP BY asked.position, file.id
ORDER BY asked.position, count(*) DESC, file.id
"""

# Two commands sent as one are one transaction, and the second sees what was stored before it got the lock.
# `blocked` are files that somebody stored something alike in the meantime: nobody has compared the two.
STORE = """
SELECT pg_advisory_xact_lock(%(lock)s);
WITH given AS (
    SELECT (ordinality - 1)::integer AS position, repo, path, "commit", blob_hash, language, licence, size_bytes,
           content, quality_score, reasons, rejection
    FROM unnest(%(repo)s::text[], %(path)s::text[], %(commit)s::text[], %(blob_hash)s::text[],
                %(language)s::text[], %(licence)s::text[], %(size_bytes)s::bigint[], %(content)s::text[],
                %(quality_score)s::double precision[], %(reasons)s::jsonb[], %(rejection)s::text[]) WITH ORDINALITY
         AS given (repo, path, "commit", blob_hash, language, licence, size_bytes, content, quality_score, reasons,
                   rejection)
), banded AS (
    SELECT * FROM unnest(%(band_positions)s::integer[], %(band_keys)s::bigint[]) AS banded (position, key)
), compared AS (
    SELECT * FROM unnest(%(compared_positions)s::integer[], %(compared_ids)s::bigint[]) AS compared (position, id)
), blocked AS (
    SELECT banded.position
    FROM banded JOIN code_file_band AS band USING (key)
    WHERE (banded.position, band.file_id) NOT IN (SELECT position, id FROM compared)
    UNION
    SELECT given.position
    FROM given JOIN code_files AS file USING (blob_hash)
    WHERE given.rejection IS NULL AND file.rejection IS NULL AND file.content IS NOT NULL
), stored AS (
    INSERT INTO code_files AS earlier (repo, path, "commit", blob_hash, language, licence, size_bytes, content,
                                       quality_score, reasons, rejection)
    SELECT repo, path, "commit", blob_hash, language, licence, size_bytes, content,
           quality_score, reasons, rejection
    FROM given WHERE position NOT IN (SELECT position FROM blocked) ORDER BY position
    ON CONFLICT (repo, path, blob_hash) DO UPDATE
    SET "commit" = excluded."commit", language = excluded.language, licence = excluded.licence,
        size_bytes = excluded.size_bytes, content = excluded.content, quality_score = excluded.quality_score,
        reasons = excluded.reasons, rejection = excluded.rejection
    WHERE earlier.rejection = ANY(%(again)s)
    RETURNING id, repo, path, blob_hash, rejection
), bands AS (
    INSERT INTO code_file_band (key, file_id)
    SELECT banded.key, stored.id FROM stored JOIN given USING (repo, path, blob_hash) JOIN banded USING (position)
), superseded AS (
    UPDATE code_files AS old SET rejection = 'superseded', content = NULL
    FROM stored WHERE stored.rejection IS NULL AND old.repo = stored.repo AND old.path = stored.path
      AND old.id <> stored.id AND old.run_id IS NULL AND old.rejection IS NULL
      AND NOT EXISTS (SELECT FROM training_file WHERE training_file.file_id = old.id)
    RETURNING old.id
), unbanded AS (
    DELETE FROM code_file_band WHERE file_id IN (SELECT id FROM superseded)
)
SELECT position FROM blocked
"""

COUNTS = """
SELECT repo, language, rejection, count(*) AS files, coalesce(sum(size_bytes), 0)::bigint AS size_bytes
FROM code_files WHERE %(repo)s::text IS NULL OR repo = %(repo)s
GROUP BY repo, language, rejection ORDER BY files DESC, repo, language, rejection
"""

HISTOGRAM = """
SELECT least(floor(quality_score / 10) * 10, 90)::integer AS step, count(*) AS files
FROM code_files
WHERE rejection IS NULL AND quality_score BETWEEN 0 AND 100 AND (%(repo)s::text IS NULL OR repo = %(repo)s)
GROUP BY step ORDER BY step
"""
