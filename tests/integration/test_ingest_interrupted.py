"""Laws of ingests that meet or end early: what is stored is whole, and nothing is stored twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from core.database import Database
from tests.corpora import ingest, kept, rows, source_of
from tests.harness import ROOT, eventually
from training.ingest.ingestion import Tally


def test_two_ingests_at_once_keep_each_content_once(database: Database, tmp_path: Path) -> None:
    """Two trees of near copies, by two threads that meet in every batch."""
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        for number in range(40):
            text = source_of(f"thing{number}") + f"\n# of the {side}\n"
            (tmp_path / side / f"{number}.py").write_text(text)
    with ThreadPoolExecutor(2) as pool:
        tallies = list(pool.map(lambda side: ingest(database, tmp_path / side, declared="MIT"), ("left", "right")))
    assert sum(tally.kept for tally in tallies) == 40
    assert sum(tally.rejected["near_duplicate"] for tally in tallies) == 40
    assert kept(database) == sorted(f"{number}.py" for number in range(40))


def test_one_tree_ingested_twice_at_once_is_stored_once(database: Database) -> None:
    def once(_: int) -> Tally:
        with closing(Database(database.url)) as own:
            return ingest(own, Path(sysconfig.get_path("stdlib")) / "email", declared="PSF-2.0")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(once, range(2)))
    found = rows(database)
    assert len(found) == len({(row["path"], row["blob_hash"]) for row in found})
    assert sum(row["rejection"] is None for row in found) > 0.7 * len(found)


def test_an_ingest_that_is_killed_leaves_whole_files_and_goes_on_when_run_again(
    database: Database, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(1500):
        (tree / f"{number}.py").write_text(source_of(f"thing{number}", functions=6))
    environment = {**os.environ, "DATABASE_URL": database.url, "MATHCODE_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "cli.main", "ingest", str(tree), "--licence", "MIT", "--json"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    eventually(lambda: database.fetch("SELECT 1 FROM code_files LIMIT 1"))
    process.send_signal(signal.SIGKILL)
    with process:
        pass
    before = rows(database)
    assert 0 < len(before) < 1500
    bands = "SELECT count(*) AS n FROM code_file_band"
    assert database.fetch(bands)[0]["n"] == 32 * sum(row["rejection"] is None for row in before)
    again = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["unchanged"] == len(before)
    assert len(rows(database)) == 1500
