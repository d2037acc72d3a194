"""Rows that anybody wrote become a manifest: what is unusable is counted and kept out, never an error."""

from __future__ import annotations

from typing import Any

import pytest

from core.database import Database
from core.manifests import CHUNK_FILES, ManifestStore
from core.rejections import MOST_BYTES
from core.run_leases import RunLease
from core.settings import read_settings
from core.training import Purpose, TrainingOptions
from core.training_runs import RunState, RunStore, Trigger
from tests.files_of_code import insert_files
from training.manifest import is_held_out
from training.selection import Selection, select

HELD_OUT = next(f"repo-{n}" for n in range(1000) if is_held_out(f"repo-{n}"))
TRAINED = next(f"repo-{n}" for n in range(1000) if not is_held_out(f"repo-{n}"))
GOOD: dict[str, Any] = {"repo": TRAINED, "path": "a.py", "content": "x = 1\n", "score": 90.0}


@pytest.fixture
def store(database: Database) -> ManifestStore:
    return ManifestStore(database)


def insert(database: Database, **change: Any) -> None:
    database.execute(
        "INSERT INTO code_files (repo, path, content, quality_score)"
        " VALUES (%(repo)s, %(path)s, %(content)s, %(score)s)",
        {**GOOD, **change},
    )


def chosen(store: ManifestStore, *, keeps_reasons: bool = True) -> Selection:
    return select(store, TrainingOptions.of(read_settings()), run_id=1, keeps_reasons=keeps_reasons)


def counts(selection: Selection) -> dict[Purpose, int]:
    return {purpose: len(files) for purpose, files in selection.manifest.files.items() if files}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"repo": None}, "no_repository"),
        ({"repo": " \t"}, "no_repository"),
        ({"repo": "r" * 1025}, "no_repository"),
        ({"path": None}, "no_path"),
        ({"path": ""}, "no_path"),
        ({"path": "/etc/passwd"}, "absurd_path"),
        ({"path": "../../../../root/.ssh/id_rsa"}, "absurd_path"),
        ({"path": "a\\..\\..\\b.py"}, "absurd_path"),
        ({"path": "\\\\host\\share"}, "absurd_path"),
        ({"path": "a\x1b[2J.py"}, "absurd_path"),
        ({"path": "a\u202egnp.py"}, "absurd_path"),
        ({"content": ""}, "empty"),
        ({"content": " \n\t "}, "empty"),
        ({"content": "\x7fELF\x01\x02\x03\x04" * 99}, "binary"),
        ({"content": "x" * (MOST_BYTES + 1)}, "too_large"),
        ({"content": "x = 1\n" * MOST_BYTES}, "too_large"),
        ({"content": "数" * (MOST_BYTES // 2)}, "too_large"),
    ],
)
def test_an_unusable_row_is_kept_out_by_name_and_looked_at_once(
    database: Database, store: ManifestStore, change: dict[str, Any], reason: str
) -> None:
    insert(database, **change)
    insert_files(database, 4)
    selection = chosen(store)
    assert selection.rejected == {reason: 1}
    assert sum(counts(selection)[purpose] for purpose in (Purpose.TRAIN, Purpose.HELDOUT)) == 4
    assert [row["rejection"] for row in database.fetch("SELECT rejection FROM code_files WHERE id = 1")] == [
        reason
    ]
    assert chosen(store).rejected == {}


@pytest.mark.parametrize(
    "score", ["NULL", "'NaN'", "'Infinity'", "'-Infinity'", "-1", "100.001", "1e308", "69.999"]
)
def test_a_row_whose_score_is_none_or_too_low_is_no_new_file_at_all(
    database: Database, store: ManifestStore, score: str
) -> None:
    insert(database, score=None)
    database.execute(f"UPDATE code_files SET quality_score = {score}")
    insert_files(database, 2)
    selection = chosen(store)
    assert selection.rejected == {}
    assert sorted(selection.manifest.taken) == [2, 3]


def test_a_score_at_the_very_bounds_is_one(database: Database, store: ManifestStore) -> None:
    for number, score in enumerate((70.0, 100.0)):
        insert(database, score=score, content=f"x = {number}\n", path=f"{number}.py")
    assert sorted(chosen(store).manifest.taken) == [1, 2]


def test_odd_but_harmless_rows_are_trained_on(database: Database, store: ManifestStore) -> None:
    odd = ("数学/формула.py", "a b/c'd\".py", "100%.py", "%s{}.py", "...", "a/..b.py", "-rf")
    for number, path in enumerate(odd):
        insert(database, path=path, content=f"# {number} \u2028 🧮 \x0c %s\n")
    selection = chosen(store)
    assert selection.rejected == {}
    assert len(selection.manifest.taken) == len(odd)


def test_of_rows_with_the_same_content_one_is_used_across_chunks_and_repositories(
    database: Database, store: ManifestStore
) -> None:
    insert(database)
    insert_files(database, CHUNK_FILES + 10)
    for number in range(3):
        insert(database, repo=HELD_OUT, path=f"copy_{number}.py")
    selection = chosen(store)
    assert selection.rejected == {"duplicate": 3}
    assert sorted(selection.manifest.taken) == list(range(1, CHUNK_FILES + 12))
    assert not any(file.repo == HELD_OUT for files in selection.manifest.files.values() for file in files)


def test_what_an_earlier_run_was_over_is_a_duplicate_unless_that_run_failed(
    database: Database, store: ManifestStore
) -> None:
    runs, lease = RunStore(database), RunLease(database, worker="training@a:1", lease_s=60)
    for state, rejected in ((RunState.FAILED, {}), (RunState.REJECTED, {"duplicate": 1})):
        database.execute("TRUNCATE code_files RESTART IDENTITY CASCADE")
        insert(database)
        run_id = runs.claim(Trigger.OPERATOR, TrainingOptions.of(read_settings()))
        assert run_id is not None
        claim = lease.begin(run_id)
        assert claim is not None
        manifest = chosen(store).manifest
        store.write(claim, manifest.files, taken=manifest.taken, manifest_hash=manifest.hash, parent=None)
        lease.finish(claim, state, reasons=[])
        insert(database, repo="another", path="copy.py")
        assert chosen(store, keeps_reasons=False).rejected == rejected


def test_where_no_row_is_usable_there_is_nothing_to_train_and_every_reason_is_counted(
    database: Database, store: ManifestStore
) -> None:
    for number in range(5):
        insert(database, path=f"/{number}.py")
    insert(database, content="")
    selection = chosen(store)
    assert selection.rejected == {"absurd_path": 5, "empty": 1}
    assert counts(selection) == {}
    assert selection.manifest.taken == []
    assert store.corpus(min_quality_score=70).new_files == 0


def test_where_few_of_many_rows_are_usable_those_are_trained_on(database: Database, store: ManifestStore) -> None:
    for number in range(40):
        insert(database, path=f"/{number}.py", content=f"x = {number}\n")
    insert_files(database, 2)
    selection = chosen(store)
    assert selection.rejected == {"absurd_path": 40}
    assert (counts(selection)[Purpose.TRAIN], counts(selection)[Purpose.HELDOUT]) == (1, 1)


@pytest.mark.parametrize(
    ("repositories", "trained_of", "note"),
    [
        ([TRAINED], {TRAINED}, "no repository is held out"),
        ([HELD_OUT], {HELD_OUT}, "every repository is held out"),
        ([TRAINED, HELD_OUT], {TRAINED}, None),
    ],
)
def test_something_is_trained_and_something_held_out_whatever_repositories_there_are(
    database: Database, store: ManifestStore, repositories: list[str], trained_of: set[str], note: str | None
) -> None:
    for repo in repositories:
        for number in range(60):
            insert(database, repo=repo, path=f"{number}.py", content=f"{repo} = {number}\n")
    manifest = chosen(store).manifest
    assert {file.repo for file in manifest.files[Purpose.TRAIN]} == trained_of
    assert manifest.files[Purpose.HELDOUT]
    train, heldout = ({file.id for file in manifest.files[p]} for p in (Purpose.TRAIN, Purpose.HELDOUT))
    assert not train & heldout
    assert [note in each for each in manifest.notes if note] == ([True] if note else [])
    assert len(manifest.notes) == (1 if note else 0)


def test_a_row_that_vanishes_while_it_is_looked_at_disturbs_nothing(
    database: Database, store: ManifestStore
) -> None:
    insert_files(database, CHUNK_FILES + 5)
    files = store.new_files(min_quality_score=70)
    next(files)
    database.execute("DELETE FROM code_files WHERE id > 3")
    assert len(list(files)) == CHUNK_FILES - 1
    store.reject({999: "binary"})
    assert database.fetch("SELECT count(*) AS n FROM code_files WHERE rejection IS NOT NULL")[0]["n"] == 0


def test_of_a_content_no_more_is_read_than_shows_that_it_is_too_large(
    database: Database, store: ManifestStore
) -> None:
    insert(database, content="x" * (8 * MOST_BYTES))
    (file,) = store.new_files(min_quality_score=70)
    assert len(file.content) == MOST_BYTES + 1
