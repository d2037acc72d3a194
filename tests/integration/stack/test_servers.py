"""Laws of the embedded servers: private, durable, back after every kind of death."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from core.errors import ConfigurationError
from stack.servers import EmbeddedServers, scratch_data_dir
from tests.harness import eventually

RUN_UNTIL_KILLED = """
import sys
from pathlib import Path
from stack.servers import EmbeddedServers
with EmbeddedServers(Path(sys.argv[1])) as servers:
    print(servers.urls.database_url, servers.urls.redis_url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with scratch_data_dir() as path:
        yield path


@pytest.fixture
def started(data_dir: Path) -> Iterator[EmbeddedServers]:
    with EmbeddedServers(data_dir) as servers:
        yield servers


@pytest.fixture(scope="module")
def shared_dir() -> Iterator[Path]:
    with scratch_data_dir() as path:
        yield path


@pytest.fixture(scope="module")
def shared(shared_dir: Path) -> Iterator[EmbeddedServers]:
    """For tests that only look."""
    with EmbeddedServers(shared_dir) as servers:
        yield servers


def query(url: str, sql: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def write(servers: EmbeddedServers) -> None:
    query(servers.urls.database_url, "CREATE TABLE kept (x int); INSERT INTO kept VALUES (42)")
    with closing(Redis.from_url(servers.urls.redis_url)) as redis:
        redis.set("kept", "42")


def read(servers: EmbeddedServers) -> tuple[object, object]:
    with closing(Redis.from_url(servers.urls.redis_url)) as redis:
        return query(servers.urls.database_url, "SELECT x FROM kept")[0][0], redis.get("kept")


def processes_under(directory: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if works_under(process, directory)]


def works_under(process: psutil.Process, directory: Path) -> bool:
    try:
        return directory.resolve() in Path(process.cwd()).parents
    except psutil.Error:
        return False


def test_killed_servers_come_back_on_their_urls_with_their_data(started: EmbeddedServers) -> None:
    write(started)
    urls = started.urls
    started.postgres.kill()
    started.redis.kill()
    started.start()
    assert started.urls == urls
    assert read(started) == (42, b"42")


def test_stopped_servers_leave_no_process_and_keep_their_data(data_dir: Path) -> None:
    with EmbeddedServers(data_dir) as servers:
        write(servers)
    assert processes_under(data_dir) == []
    with EmbeddedServers(data_dir) as servers:
        assert read(servers) == (42, b"42")


def test_servers_of_a_killed_program_end_and_the_next_one_finds_their_data(data_dir: Path) -> None:
    command = [sys.executable, "-c", RUN_UNTIL_KILLED, str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        database_url, redis_url = program.stdout.readline().split()
        query(database_url, "CREATE TABLE kept (x int); INSERT INTO kept VALUES (42)")
        with closing(Redis.from_url(redis_url)) as redis:
            redis.set("kept", "42")
        program.kill()
    if sys.platform == "linux":
        eventually(lambda: not processes_under(data_dir))
    with EmbeddedServers(data_dir) as servers:
        assert read(servers) == (42, b"42")


def test_servers_that_outlived_their_program_are_replaced(data_dir: Path, started: EmbeddedServers) -> None:
    """As after a kill on a system that cannot tie children to their parent."""
    write(started)
    with EmbeddedServers(data_dir) as successor:
        assert read(successor) == (42, b"42")
        assert started.postgres.poll() is not None
        assert started.redis.poll() is not None


def test_a_number_reused_by_a_stranger_does_not_stop_postgres(data_dir: Path, started: EmbeddedServers) -> None:
    write(started)
    started.postgres.kill()
    pid_file = data_dir / "postgres" / "data" / "postmaster.pid"
    eventually(lambda: not processes_under(data_dir / "postgres"))
    pid_file.write_text(pid_file.read_text().replace(pid_file.read_text().split()[0], str(started.redis.pid), 1))
    started.postgres.start()
    assert read(started) == (42, b"42")


def test_an_append_only_file_cut_short_loses_only_its_end(data_dir: Path, started: EmbeddedServers) -> None:
    with closing(Redis.from_url(started.urls.redis_url)) as redis:
        for number in range(100):
            redis.set(f"key-{number}", number)
    started.redis.kill()
    log = next((data_dir / "redis").glob("appendonlydir/*.incr.aof"))
    os.truncate(log, log.stat().st_size - 5)
    started.redis.start()
    with closing(Redis.from_url(started.urls.redis_url)) as redis:
        assert redis.dbsize() == 99


def test_settings_are_durable(shared: EmbeddedServers) -> None:
    assert query(shared.urls.database_url, "SHOW fsync") == [("on",)]
    assert query(shared.urls.database_url, "SHOW synchronous_commit") == [("on",)]
    with closing(Redis.from_url(shared.urls.redis_url, decode_responses=True)) as redis:
        assert redis.config_get("appendonly", "appendfsync", "maxmemory-policy") == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }


def test_nobody_enters_without_the_password(shared: EmbeddedServers) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(shared.urls.database_url, password="guess")
    port = shared.urls.redis_url.rpartition(":")[2]
    with closing(Redis.from_url(f"redis://127.0.0.1:{port}")) as redis, pytest.raises(AuthenticationError):
        redis.ping()


def test_postgres_listens_on_no_network(shared: EmbeddedServers) -> None:
    assert shared.postgres.pid is not None
    connections = psutil.Process(shared.postgres.pid).net_connections(kind="inet")
    assert [connection for connection in connections if connection.status == psutil.CONN_LISTEN] == []


def test_redis_listens_on_loopback_only(shared: EmbeddedServers) -> None:
    assert shared.redis.pid is not None
    connections = psutil.Process(shared.redis.pid).net_connections(kind="inet")
    listening = {connection.laddr[0] for connection in connections if connection.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_secrets_are_their_owners_only_and_on_no_command_line(shared_dir: Path, shared: EmbeddedServers) -> None:
    secrets = list((shared_dir / "secrets").iterdir())
    assert len(secrets) == 3
    assert {stat.S_IMODE(secret.stat().st_mode) for secret in secrets} == {0o600}
    words = " ".join(" ".join(process.cmdline()) for process in processes_under(shared_dir))
    assert "postgres" in words
    assert not any(secret.read_text() in words for secret in secrets)


def test_the_application_is_no_superuser(shared: EmbeddedServers) -> None:
    assert query(shared.urls.database_url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [
        (False,)
    ]


def test_a_path_too_long_for_a_socket_is_no_obstacle(data_dir: Path) -> None:
    deep = data_dir / ("long-" * 20) / "data"
    with EmbeddedServers(deep) as servers:
        write(servers)
        assert read(servers) == (42, b"42")
        assert str(deep) not in servers.urls.database_url


@pytest.mark.parametrize("name", ['it\'s a "data" dir, really', "100% +ö"])
def test_a_path_with_odd_characters_is_no_obstacle(data_dir: Path, name: str) -> None:
    with EmbeddedServers(data_dir / name) as servers:
        write(servers)
        assert read(servers) == (42, b"42")


def test_a_lost_password_is_said(data_dir: Path) -> None:
    with EmbeddedServers(data_dir):
        pass
    (data_dir / "secrets" / "postgres-admin-password").unlink()
    with pytest.raises(ConfigurationError, match="password"), EmbeddedServers(data_dir):
        pass
    assert processes_under(data_dir) == []


def test_a_damaged_cluster_is_one_sentence_that_names_the_log(data_dir: Path) -> None:
    with EmbeddedServers(data_dir):
        pass
    (data_dir / "postgres" / "data" / "global" / "pg_control").unlink()
    with (
        pytest.raises(ConfigurationError, match=r"postgres does not start: .*postgres\.log"),
        EmbeddedServers(data_dir),
    ):
        pass


def test_an_interrupted_set_up_is_begun_anew(data_dir: Path) -> None:
    with EmbeddedServers(data_dir) as servers:
        servers.stop()
        data = data_dir / "postgres" / "data"
        (data / "PG_VERSION").unlink()
        data.rename(data.with_name("data.partial"))
    with EmbeddedServers(data_dir) as servers:
        write(servers)


def test_frozen_servers_are_stopped_within_bounds(data_dir: Path) -> None:
    with EmbeddedServers(data_dir) as servers:
        servers.redis.signal(signal.SIGSTOP)
        servers.redis.hasten()
        assert servers.redis.wait(5.0) == -signal.SIGKILL
