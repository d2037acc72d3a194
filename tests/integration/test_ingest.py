"""Laws of the corpus: real trees on a real PostgreSQL."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from core.database import Database
from core.rejections import refusal
from core.settings import load_settings
from stack.servers import ServerUrls
from tests.corpora import ingest, kept, rows, source_of

GIT = shutil.which("git") or "git"
PACKAGES = ("json", "email", "logging", "unittest")
MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy ... shall be included"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slice of the standard library."""
    tree = tmp_path_factory.mktemp("library")
    for package in PACKAGES:
        shutil.copytree(Path(sysconfig.get_path("stdlib")) / package, tree / package)
    return tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    directory = tmp_path / "tree"
    directory.mkdir()
    (directory / "LICENSE").write_text(MIT)
    (directory / "a.py").write_text(source_of("apple"))
    return directory


@pytest.fixture
def run(urls: ServerUrls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Result]]:
    """The command line on a ledger of its own."""
    monkeypatch.setenv("DATABASE_URL", urls.database_url)
    monkeypatch.setenv("MATHCODE_DATA_DIR", str(tmp_path / "data"))
    load_settings.cache_clear()
    yield lambda *words: CliRunner().invoke(main, words)
    load_settings.cache_clear()


def make_repository(directory: Path) -> None:
    for words in (
        ("init", "-q"),
        ("add", "."),
        ("-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "first"),
    ):
        subprocess.run([GIT, *words], cwd=directory, check=True)


def test_a_library_is_kept_for_the_greatest_part_and_every_rest_has_its_reason(
    database: Database, library: Path
) -> None:
    tally = ingest(database, library, declared="PSF-2.0", by_directory=True)
    found = rows(database)
    assert tally.kept > 0.7 * len(found)
    assert {row["repo"] for row in found} == {str(library / package) for package in PACKAGES}
    for row in found:
        assert (row["content"] is None) == (row["rejection"] is not None)
        assert refusal(row) == row["rejection"]
        assert row["rejection"] or (0 <= row["quality_score"] <= 100 and row["reasons"])
    banded = database.fetch("SELECT file_id FROM code_file_band GROUP BY file_id HAVING count(*) = 32")
    assert {row["file_id"] for row in banded} <= {row["id"] for row in found if not row["rejection"]}
    assert len(banded) > 0.9 * tally.kept


def test_a_second_ingest_changes_nothing(database: Database, library: Path) -> None:
    first = ingest(database, library, declared="PSF-2.0")
    before = rows(database)
    second = ingest(database, library, declared="PSF-2.0")
    assert (second.kept, sum(second.rejected.values())) == (0, 0)
    assert second.unchanged == first.kept + sum(first.rejected.values())
    assert rows(database) == before


def test_a_repository_is_cloned_without_what_it_could_make_git_do(database: Database, tree: Path) -> None:
    (tree / "untracked.py").write_text(source_of("other"))
    (tree / ".gitignore").write_text("untracked.py\n")
    make_repository(tree)
    commit = subprocess.run([GIT, "rev-parse", "HEAD"], cwd=tree, check=True, capture_output=True, text=True)
    ingest(database, f"file://{tree}")
    [row] = rows(database, "rejection IS NULL")
    assert (row["repo"], row["path"], row["licence"]) == (str(tree), "a.py", "MIT")
    assert row["commit"] == commit.stdout.strip()
    named = subprocess.run([GIT, "rev-parse", "HEAD:a.py"], cwd=tree, check=True, capture_output=True, text=True)
    assert row["blob_hash"] == named.stdout.strip()


def test_repositories_below_a_directory_are_apart_and_only_tracked_files_count(
    database: Database, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        directory = tmp_path / "src" / name
        directory.mkdir(parents=True)
        (directory / "LICENSE").write_text(MIT)
        (directory / f"{name}.py").write_text(source_of(name))
        make_repository(directory)
        (directory / "later.py").write_text(source_of("later"))
    ingest(database, tmp_path / "src")
    assert {(row["repo"], row["path"]) for row in rows(database, "rejection IS NULL")} == {
        (str(tmp_path / "src" / name), f"{name}.py") for name in ("one", "two")
    }


def test_a_directory_that_its_repository_ignores_is_one_of_its_own(database: Database, tree: Path) -> None:
    make_repository(tree)
    (tree / "lib").mkdir()
    (tree / "lib" / "b.py").write_text(source_of("berry"))
    ingest(database, tree / "lib", declared="MIT")
    assert [(row["repo"], row["path"]) for row in rows(database)] == [(str(tree / "lib"), "b.py")]


def test_a_clone_that_fails_is_one_sentence(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("ingest", f"file://{tmp_path}/nothing")
    assert result.exit_code == 2
    assert "cannot be cloned" in result.stderr


def test_copies_and_near_copies_are_found_in_a_batch_across_repositories_and_across_runs(
    database: Database, tree: Path, tmp_path: Path
) -> None:
    text = source_of("apple")
    (tree / "b.py").write_text(text)
    (tree / "c.py").write_text(text.replace("apple_offset(7)", "apple_offset(8)"))
    ingest(database, tree)
    fork = tmp_path / "fork"
    fork.mkdir()
    (fork / "d.py").write_text(text)
    (fork / "e.py").write_text(text.replace("number 3.", "number three.").replace("    return", "  \n    return"))
    (fork / "f.py").write_text(source_of("pear"))
    ingest(database, fork, declared="MIT")
    reasons = {row["path"]: row["rejection"] for row in rows(database, "language = 'python'")}
    assert reasons == {
        "a.py": None,
        "b.py": "duplicate",
        "c.py": "near_duplicate",
        "d.py": "duplicate",
        "e.py": "near_duplicate",
        "f.py": None,
    }
    [near] = rows(database, "path = 'e.py'")
    assert f"a.py of {tree}" in near["reasons"]["because"]


def test_a_new_content_takes_the_place_of_one_that_was_not_trained_on(database: Database, tree: Path) -> None:
    ingest(database, tree)
    (tree / "a.py").write_text(source_of("apple") + "\n# a later thought\n")
    ingest(database, tree)
    old, new = rows(database, "path = 'a.py'")
    assert (old["rejection"], old["content"]) == ("superseded", None)
    assert new["content"].endswith("thought\n")
    assert {row["file_id"] for row in database.fetch("SELECT file_id FROM code_file_band")} == {new["id"]}
    (tree / "a.py").write_text(source_of("apple"))
    ingest(database, tree)
    assert [row["rejection"] for row in rows(database, "path = 'a.py'")] == [None, "superseded"]


def test_what_was_trained_on_stays_beside_its_successor(database: Database, tree: Path) -> None:
    ingest(database, tree)
    database.execute(
        "WITH run AS (INSERT INTO training_run (trigger, options) VALUES ('operator', '{}') RETURNING id)"
        " UPDATE code_files SET run_id = run.id FROM run WHERE path = 'a.py'"
    )
    (tree / "a.py").write_text(source_of("apple") + "\n# a later thought\n")
    ingest(database, tree)
    assert [row["rejection"] for row in rows(database, "path = 'a.py'")] == [None, None]


def test_a_licence_said_later_admits_what_was_rejected_for_want_of_it(database: Database, tree: Path) -> None:
    (tree / "LICENSE").unlink()
    assert ingest(database, tree).rejected["licence_unknown"] == 1
    assert ingest(database, tree, declared="GPL-3.0-only").rejected["licence_forbidden"] == 1
    assert ingest(database, tree, declared="MIT").kept == 1
    assert len(rows(database, "path = 'a.py'")) == 1


def test_hostile_names_and_files_do_no_harm(database: Database, tree: Path) -> None:
    for number, name in enumerate((b"new\nline.py", b"latin\xfc.py", b"-rf.py", b"'; DROP TABLE x; --.py")):
        (tree / os.fsdecode(name)).write_text(source_of(f"name{number}"))
    (tree / "loop").symlink_to(tree)
    (tree / "hosts.py").symlink_to("/etc/hosts")
    (tree / "binary.py").write_bytes(bytes(range(256)) * 10)
    with (tree / "huge.py").open("wb") as huge:
        huge.truncate(1 << 40)
    os.mkfifo(tree / "pipe.py")
    tally = ingest(database, tree)
    assert tally.kept == 5
    assert (tally.rejected["binary"], tally.rejected["too_large"]) == (1, 1)
    [row] = rows(database, "path = 'huge.py'")
    assert row["size_bytes"] == 1 << 40
    assert "latin\\xfc.py" in kept(database)


def test_rows_of_strangers_disturb_nobody(database: Database, tree: Path, run: Callable[..., Result]) -> None:
    database.execute(
        "INSERT INTO code_files (repo, path, blob_hash, content, quality_score, reasons) VALUES"
        " (NULL, NULL, NULL, NULL, NULL, NULL), ('r', NULL, 'x', 'text', 'NaN', '3'),"
        " (%(tree)s, 'a.py', NULL, '', -5, '[1]'), ('r', '../../x', NULL, repeat('y', 1000000), 1e9,"
        """ '{"a": {"points": [1]}, "b": null}')""",
        {"tree": str(tree)},
    )
    assert ingest(database, tree).kept == 1
    for words in (("corpus",), ("corpus", "--json"), ("corpus", "--why", "x"), ("corpus", "--file", "2")):
        assert run(*words).exit_code == 0


def test_the_command_line_tells_what_was_kept_what_not_and_why(run: Callable[..., Result], tree: Path) -> None:
    (tree / "broken.py").write_text("def f(:\n" * 10)
    shown = run("ingest", str(tree))
    assert shown.exit_code == 0, shown.output
    assert "rejected: unparsable" in shown.stdout
    summary = json.loads(run("corpus", "--json").stdout)
    assert summary["reasons"] == {"kept": 1, "not_code": 1, "unparsable": 1}
    assert summary["languages"] == {"python": 1}
    assert summary["repositories"] == {str(tree): 1}
    assert sum(summary["scores"].values()) == 1
    assert "documentation" in run("corpus", "--why", "a.py").stdout
    assert "rejected: unparsable" in run("corpus", "--why", "broken.py").stdout
    assert run("corpus", "--why", "nowhere.py").exit_code == 2
    assert run("ingest", str(tree), "--licence", "mine, all mine").exit_code == 2
