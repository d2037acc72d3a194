-- What is not done is asked for by job when work ends, is overdue or unmerged; it is a sliver of all completions.
CREATE INDEX completion_open ON completion (job_id) WHERE state <> 'done';
DROP INDEX completion_waiting;
