"""One key's flood delays another's first job by a few jobs at most, whatever is restarted meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from redis import Redis

from core.database import Database
from core.errors import DatabaseUnavailable
from core.lanes import Lane
from core.messages import GenerationRequest, Priority, Route, Sampling, Strategy, TaskType
from ensemble.prompting import models_for
from stack.servers import EmbeddedServers, ServerUrls, scratch_data_dir
from tests.harness import Installation, eventually, installation
from tests.keyed import Keyed, new_caller

FLOOD, SMALL_FLOOD = 10_000, 1000
SLOTS = 2
# What of the flood may end before another's first job does: what runs, what is announced, and as much again for
# what ends between two looks at a busy machine.
A_FEW = 4 * SLOTS + 8
SETTINGS = {"MATHCODE_SLOTS": str(SLOTS), "MATHCODE_SCRIPTED_DELAY_S": "0.02"}


@pytest.fixture(scope="module")
def everyone(
    new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    urls = new_urls()
    with installation(
        database_url=urls.database_url,
        redis_url=urls.redis_url,
        data_dir=tmp_path_factory.mktemp("crowded"),
        settings=dict(SETTINGS),
    ) as made:
        made.start("api", "mathstral", "codestral", "light", "beat")
        yield made


@pytest.fixture
def crowded(everyone: Installation) -> Iterator[Installation]:
    """All processes, and nothing left of the test before."""
    yield everyone
    with closing(Database(everyone.database_url)) as database:
        eventually(lambda: _has_drained(database), every_s=0.2)


def _has_drained(database: Database) -> bool:
    """Take away what is held; the few jobs that are announced end by themselves."""
    with suppress(DatabaseUnavailable):  # a deadlock with those who announce or answer
        database.execute(_TAKE_AWAY)
        return not database.fetch("SELECT 1 FROM job WHERE finished_at IS NULL LIMIT 1")
    return False


_TAKE_AWAY = """
DELETE FROM job WHERE id IN (SELECT id FROM job WHERE state = 'queued' AND is_held FOR UPDATE SKIP LOCKED)
"""


@pytest.fixture
def greedy(crowded: Installation, request: pytest.FixtureRequest) -> Keyed:
    return new_caller(crowded, f"greedy-{abs(hash(request.node.name))}")


@pytest.fixture
def modest(crowded: Installation, request: pytest.FixtureRequest) -> Keyed:
    return new_caller(crowded, f"modest-{abs(hash(request.node.name))}")


def flood(
    caller: Keyed, task_type: TaskType, *, strategy: Strategy = Strategy.PARALLEL, number: int = SMALL_FLOOD
) -> None:
    """Write so many jobs of this key into the ledger, all held, as if they had been submitted."""
    lane = Lane(key_id=caller.key_id, task_type=task_type, priority=Priority.NORMAL)
    request = GenerationRequest(prompt="flood", strategy=strategy, sampling=Sampling(max_tokens=5))
    parameters = {
        "key_id": caller.key_id,
        "lane": str(lane),
        "task_type": task_type,
        "strategy": strategy,
        "request": request.model_dump_json(),
        "route": Route(task_type=task_type, confidence=1.0, reasons=()).model_dump_json(),
        "models": [str(model) for model in models_for(task_type)],
        "is_sequential": strategy is Strategy.SEQUENTIAL,
        "number": number,
    }
    with closing(Database(caller.installation.database_url)) as database:
        database.execute(_FLOOD, parameters)


_FLOOD = """
WITH made AS (
    INSERT INTO job (id, request, task_type, strategy, route, deadline_at, key_id, lane, is_held)
    SELECT gen_random_uuid(), %(request)s, %(task_type)s,
           %(strategy)s, %(route)s, now() + interval '1 day', %(key_id)s, %(lane)s, TRUE
    FROM generate_series(1, %(number)s) AS number
    RETURNING id
)
INSERT INTO completion (job_id, model, state)
SELECT id, model, CASE WHEN %(is_sequential)s AND place > 1 THEN 'waiting' ELSE 'held' END
FROM made, unnest(%(models)s::text[]) WITH ORDINALITY AS branch (model, place)
"""


def ended(caller: Keyed) -> int:
    with closing(Database(caller.installation.database_url)) as database:
        sql = "SELECT count(*) AS ended FROM job WHERE key_id = %(key_id)s AND finished_at IS NOT NULL"
        return int(database.fetch(sql, {"key_id": caller.key_id})[0]["ended"])


def delay_of_the_first(modest: Keyed, greedy: Keyed, **fields: str) -> int:
    """How many jobs of the flood end while another's first one is answered."""
    before = ended(greedy)
    assert modest.finished(modest.submit(max_tokens=5, **fields))["status"] == "succeeded"
    return ended(greedy) - before


def keeps_ending(caller: Keyed, *, more: int = 3) -> None:
    before = ended(caller)
    eventually(lambda: ended(caller) >= before + more)


@pytest.mark.parametrize(
    ("task_type", "strategy"),
    [(TaskType.MATH, "parallel"), (TaskType.HYBRID, "parallel"), (TaskType.HYBRID, "sequential")],
)
def test_ten_thousand_jobs_of_one_key_do_not_stand_before_anothers_first(
    greedy: Keyed, modest: Keyed, task_type: TaskType, strategy: str
) -> None:
    flood(greedy, task_type, strategy=Strategy(strategy), number=FLOOD)
    keeps_ending(greedy)
    for _ in range(2):
        delayed = delay_of_the_first(modest, greedy, force_task_type=task_type, strategy=strategy)
        assert delayed <= A_FEW
    keeps_ending(greedy)


def test_a_flood_that_was_submitted_is_held_too(greedy: Keyed, modest: Keyed) -> None:
    """Through the API, with the window that the living workers set."""
    for _ in range(60):
        greedy.submit(max_tokens=20)
    assert delay_of_the_first(modest, greedy) <= A_FEW


def test_a_hybrid_flood_lets_the_specialists_jobs_through(greedy: Keyed, modest: Keyed) -> None:
    flood(greedy, TaskType.HYBRID)
    keeps_ending(greedy)
    for kind in ("math", "code"):
        assert delay_of_the_first(modest, greedy, force_task_type=kind) <= A_FEW


@pytest.mark.parametrize("task_type", [TaskType.MATH, TaskType.HYBRID])
def test_it_stays_so_when_redis_forgets_and_a_worker_is_killed(
    crowded: Installation, greedy: Keyed, modest: Keyed, task_type: TaskType
) -> None:
    flood(greedy, task_type)
    keeps_ending(greedy)
    with closing(Redis.from_url(crowded.redis_url)) as redis:
        redis.flushdb()
    keeps_ending(greedy)
    assert delay_of_the_first(modest, greedy, force_task_type=task_type) <= A_FEW
    crowded.kill("mathstral")
    crowded.start("mathstral")
    keeps_ending(greedy)
    assert delay_of_the_first(modest, greedy, force_task_type=task_type) <= A_FEW


def test_it_stays_so_when_redis_is_killed(tmp_path: Path) -> None:
    with scratch_data_dir() as directory, EmbeddedServers(directory) as servers:
        urls = servers.urls
        with closing(Database(urls.database_url)) as database:
            database.migrate()
        with installation(
            database_url=urls.database_url, redis_url=urls.redis_url, data_dir=tmp_path, settings=dict(SETTINGS)
        ) as made:
            made.start("api", "mathstral", "light", "beat")
            greedy, modest = new_caller(made, "greedy"), new_caller(made, "modest")
            flood(greedy, TaskType.MATH)
            keeps_ending(greedy)
            servers.redis.stop()
            servers.redis.start()
            keeps_ending(greedy)
            assert delay_of_the_first(modest, greedy, force_task_type="math") <= A_FEW
