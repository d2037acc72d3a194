-- What callers said of jobs, and the labels that routing may learn from. Both are gone when the job is.
CREATE TABLE job_feedback (
    job_id     uuid PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
    rating     text CHECK (rating IN ('up', 'down')),
    label      text CHECK (label IN ('math', 'code', 'hybrid', 'other')),  -- what the prompt was, by the caller
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (rating IS NOT NULL OR label IS NOT NULL)
);

-- In order of trust: what was said; a type forced after the router chose another for the same words; one forced at
-- once; the router's own choice where the answer pleased. Lines of batches are left out: they would drown the rest.
CREATE VIEW route_label AS
WITH asked AS (
    SELECT job.id, job.key_id, job.task_type, job.route, feedback.rating, feedback.label AS said,
           job.request ->> 'prompt' AS prompt, job.request ->> 'force_task_type' AS forced
    FROM job LEFT JOIN job_feedback AS feedback ON feedback.job_id = job.id
    WHERE job.batch_id IS NULL AND coalesce(job.request ->> 'form', 'chat') = 'chat'
      AND (feedback.job_id IS NOT NULL OR job.request ->> 'force_task_type' IS NOT NULL)
), refused AS (
    SELECT asked.id FROM asked WHERE forced IS NOT NULL AND EXISTS (
        SELECT FROM job AS earlier
        WHERE earlier.request ->> 'prompt' = asked.prompt AND earlier.id < asked.id
          AND earlier.key_id IS NOT DISTINCT FROM asked.key_id
          AND earlier.request ->> 'force_task_type' IS NULL AND earlier.task_type <> asked.forced)
)
SELECT asked.id AS job_id, asked.prompt,
       coalesce(said, forced, route ->> 'label', task_type) AS label,
       CASE WHEN said IS NOT NULL THEN 1 WHEN refused.id IS NOT NULL THEN 2 WHEN forced IS NOT NULL THEN 3 ELSE 4
       END AS rank
FROM asked LEFT JOIN refused ON refused.id = asked.id
WHERE said IS NOT NULL OR forced IS NOT NULL OR rating = 'up';
