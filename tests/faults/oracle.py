"""The laws that hold after any run: what was accepted has ended, once, rightly, and everybody was told."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.faults.audit import Records
from tests.faults.following import Followed
from tests.faults.load import Book, draw_wish
from tests.faults.world import World

FINAL = ("succeeded", "failed", "dead", "cancelled", "expired")
MOST_LISTED = 10
LOSES_EVENTS = ("Redis", "connections cut")
AFTERWARDS_S = 10.0
"""So long after a fault events may still be dropped."""


@dataclass
class Findings:
    """`broken` names every law that did not hold, with examples; `figures` is the table."""

    figures: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def demand(self, law: str, offenders: Sequence[object]) -> int:
        """How many offend; few of them are named."""
        if offenders:
            some = ", ".join(str(each) for each in offenders[:MOST_LISTED])
            self.broken.append(f"{law}: {len(offenders)}, such as {some}")
        return len(offenders)


class Oracle:
    """`damage` are the intervals of faults that may lose events: (from, until, name), seconds since the epoch."""

    def __init__(self, world: World, book: Book, *, seed: int, damage: Sequence[tuple[float, float, str]]) -> None:
        self._world = world
        self._records: Records = world.records
        self._book = book
        self._seed = seed
        self._damage = damage
        self._findings = Findings()

    def judge(self) -> Findings:
        jobs = {str(row["id"]): row for row in self._records.rows(_JOBS)}
        for broken in (self._book.broken, self._world.broken):
            self._findings.broken += broken
        self._judge_acceptance(jobs)
        self._judge_ends(jobs)
        self._judge_transitions(jobs)
        self._judge_answers(jobs)
        self._judge_streams(jobs)
        self._judge_deliveries(jobs)
        self._judge_batches()
        self._judge_versions()
        self._judge_trainings()
        return self._findings

    def _judge_acceptance(self, jobs: dict[str, Any]) -> None:
        demand = self._findings.demand
        accepted = self._book.accepted
        lost = [job_id for job_id in (*accepted.values(), *self._world.probes) if job_id not in jobs]
        self._findings.figures["lost"] = demand("accepted, and not in the ledger", lost)
        twice = [job_id for job_id, count in Counter(accepted.values()).items() if count > 1]
        demand("one job for two submissions", twice)
        known = set(accepted.values()) | set(self._world.probes)
        extra = [job_id for job_id, row in jobs.items() if job_id not in known and row["batch_id"] is None]
        if len(extra) > self._book.unknown + len(self._world.ended) + PROBES_IN_DOUBT:
            demand(f"more jobs than submissions, of which {self._book.unknown} were in doubt", extra)
        keys = self._records.rows("SELECT key, job_id::text AS id FROM idempotency")
        wrong = [
            row["key"] for row in keys if accepted.get(int(row["key"].rpartition("-")[2]), row["id"]) != row["id"]
        ]
        demand("an Idempotency-Key that stands for another job than was answered", wrong)

    def _judge_ends(self, jobs: dict[str, Any]) -> None:
        demand, figures = self._findings.demand, self._findings.figures
        figures["jobs"] = len(jobs)
        figures["stuck"] = demand("not ended", [i for i, row in jobs.items() if row["state"] not in FINAL])
        cancelled = {
            self._book.accepted[number] for number in self._book.cancelled if number in self._book.accepted
        }
        wrong = [
            f"{job_id} {row['state']} {row['error']}"
            for job_id, row in jobs.items()
            if row["state"] in FINAL
            and row["state"] != "succeeded"
            and not (job_id in cancelled and row["state"] == "cancelled")
        ]
        demand("ended otherwise than by an answer", wrong)
        figures["cancelled"] = sum(row["state"] == "cancelled" for row in jobs.values())

    def _judge_transitions(self, jobs: dict[str, Any]) -> None:
        demand, figures = self._findings.demand, self._findings.figures
        ends = self._records.rows(_ENDS)
        figures["doubled"] = demand(
            "ended more than once", [f"{row['kind']} {row['subject']} {row['part']}" for row in ends]
        )
        figures["run twice"] = self._records.count(_RUN_TWICE)
        figures["most attempts"] = self._records.count("SELECT coalesce(max(attempt), 0) FROM completion")
        open_ = self._records.rows("SELECT job_id::text AS id FROM completion WHERE state <> 'done'")
        demand("a completion that never ended", [row["id"] for row in open_ if row["id"] in jobs])

    def _judge_answers(self, jobs: dict[str, Any]) -> None:
        """The same question has the same answer, whoever was killed meanwhile."""
        texts: dict[str, set[str]] = defaultdict(set)
        degraded = []
        for number, job_id in self._book.accepted.items():
            row = jobs.get(job_id)
            if row is None or row["state"] != "succeeded":
                continue
            answer = row["answer"]
            degraded += [job_id] if answer["degraded"] else []
            versions = sorted(completion["version"] for completion in answer["completions"])
            texts[f"{draw_wish(self._seed, number).same} {versions}"].add(answer["response"])
        self._findings.demand("degraded", degraded)
        self._findings.demand("different answers", [same for same, found in texts.items() if len(found) > 1])

    def _judge_streams(self, jobs: dict[str, Any]) -> None:
        demand, seen = self._findings.demand, self._book.followed
        self._findings.figures["streams"] = len(seen)
        self._findings.figures["streams resumed"] = sum(one.returns for one in seen)
        demand("what a stream broke", [f"{one.job_id}: {law}" for one in seen for law in one.broken])
        ended = [one for one in seen if one.job_id in jobs and jobs[one.job_id]["state"] in FINAL]
        demand("not exactly one end", [one.job_id for one in ended if len(one.done) != 1 and not one.broken])
        wrong = [one.job_id for one in ended if one.done and one.done[-1] != jobs[one.job_id]["state"]]
        demand("a stream that ended as its job did not", wrong)
        wrong = [
            one.job_id
            for one in ended
            if len(one.answers) > 1
            or any(a["response"] != jobs[one.job_id]["answer"]["response"] for a in one.answers)
        ]
        demand("a stream with another answer than the ledger's", wrong)
        whole = [one for one in ended if not self._is_damaged(one) and jobs[one.job_id]["state"] == "succeeded"]
        self._findings.figures["streams compared"] = len(whole)
        demand("a stream whose text is not the answer's", list(self._torn(whole, jobs)))

    def _is_damaged(self, one: Followed) -> bool:
        return any(
            began - 1.0 < one.ended and until + AFTERWARDS_S > one.began
            for began, until, name in self._damage
            if any(word in name for word in LOSES_EVENTS) or "PostgreSQL" in name
        )

    def _torn(self, whole: Sequence[Followed], jobs: dict[str, Any]) -> Iterator[str]:
        for one in whole:
            for completion in jobs[one.job_id]["answer"]["completions"]:
                if one.pieces.get(completion["model"], "") != completion["text"]:
                    yield f"{one.job_id} {completion['model']}"

    def _judge_deliveries(self, jobs: dict[str, Any]) -> None:
        demand = self._findings.demand
        rows = self._records.rows("SELECT id::text AS id, subject, event, state, tries FROM webhook_delivery")
        by_subject = Counter(row["subject"] for row in rows)
        wanted = {
            job_id
            for number, job_id in self._book.accepted.items()
            if draw_wish(self._seed, number).is_told and job_id in jobs
        }
        demand("not told, or told under two ids", [i for i in wanted if by_subject[i] != 1])
        demand("a webhook that was not delivered", [r["subject"] for r in rows if r["state"] != "delivered"])
        wrong = [r["subject"] for r in rows if r["event"] != f"job.{jobs[r['subject']]['state']}"]
        demand("told another end than the ledger's", wrong)
        heard: dict[str, set[str]] = defaultdict(set)
        for headers, body in list(self._world.receiver.received):
            heard[json.loads(body)["data"]["id"]].add(headers["webhook-id"])
        demand("heard under two ids", [subject for subject, ids in heard.items() if len(ids) > 1])
        demand("delivered and never heard", [r["subject"] for r in rows if r["subject"] not in heard])
        self._findings.figures["webhooks"] = len(rows)
        self._findings.figures["webhooks heard twice"] = len(self._world.receiver.received) - len(heard)

    def _judge_batches(self) -> None:
        demand = self._findings.demand
        for batch_id, lines in self._book.batches.items():
            batch = self._get(f"/v1/batches/{batch_id}").json()
            counts = batch["request_counts"]
            if batch["status"] != "completed" or counts["completed"] != lines:
                demand("a batch that is not whole", [f"{batch_id} {batch['status']} {counts}"])
                continue
            content = self._get(f"/v1/files/{batch['output_file_id']}/content").text
            ids = Counter(json.loads(line)["custom_id"] for line in content.splitlines())
            demand("a line of a batch answered twice", [name for name, count in ids.items() if count > 1])
            demand("a batch without some lines", [batch_id] if len(ids) != lines else [])
        self._findings.figures["batches"] = len(self._book.batches)

    def _judge_versions(self) -> None:
        serving = self._records.rows("SELECT number FROM model_version WHERE state = 'serving'")
        self._findings.demand("more than one version in service", serving[1:])
        starts = self._records.rows(_PROMOTED_TWICE)
        self._findings.demand("promoted twice", [row["subject"] for row in starts])
        promoted = [int(row["subject"]) for row in self._records.rows(_PROMOTIONS)]
        if promoted:
            self._findings.demand(
                "another serves than was promoted last",
                serving if [row["number"] for row in serving] != promoted[-1:] else [],
            )
        self._findings.figures["promotions"] = len(promoted)

    def _judge_trainings(self) -> None:
        """Each ended with a judgement, made every step, and took files that no other took."""
        demand, runs = self._findings.demand, self._records.rows(_RUNS)
        judged = [row for row in runs if row["state"] in ("promoted", "rejected")]
        demand("a training without a judgement", [row for row in runs if row not in judged])
        demand("a training without its last step", [r["id"] for r in judged if r["last"] != r["steps"]])
        demand("a file trained on twice", [row["path"] for row in self._records.rows(_TRAINED_TWICE)])
        self._findings.figures["trainings"] = f"{len(runs)}, {sum(row['attempt'] for row in runs)} attempts"

    def _get(self, path: str) -> requests.Response:
        return requests.get(f"{self._world.running.url}{path}", timeout=30)


PROBES_IN_DOUBT = 100
"""A probe whose answer was lost is asked again."""

_JOBS = """
SELECT id::text AS id, state, error, answer, batch_id::text AS batch_id, created_at FROM job
"""

_ENDS = """
SELECT kind, subject, part FROM audit
WHERE (kind = 'job' AND new IN ('succeeded', 'failed', 'dead', 'cancelled', 'expired'))
   OR (kind = 'completion' AND new = 'done') OR (kind = 'delivery' AND new = 'delivered')
GROUP BY kind, subject, part HAVING count(*) > 1
"""

_RUN_TWICE = """
SELECT coalesce(sum(runs - 1), 0) FROM (
    SELECT count(*) AS runs FROM audit WHERE kind = 'completion' AND new = 'running' GROUP BY subject, part
) AS begun
"""

_PROMOTIONS = "SELECT subject FROM audit WHERE kind = 'version' AND new = 'serving' ORDER BY number"

_RUNS = """
SELECT id, state, attempt, reasons, notes, (progress ->> 'steps')::integer AS steps,
    (SELECT max(step) FROM training_step WHERE run_id = training_run.id AND loss IS NOT NULL) AS last
FROM training_run ORDER BY id
"""

_TRAINED_TWICE = """
SELECT min(path) AS path FROM training_file JOIN code_files ON code_files.id = training_file.file_id
WHERE purpose = 'train' GROUP BY file_id HAVING count(*) > 1
"""

_PROMOTED_TWICE = """
SELECT subject FROM audit WHERE kind = 'version' AND new = 'serving' GROUP BY subject HAVING count(*) > 1
"""
