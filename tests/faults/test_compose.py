"""docker-compose.yml without a GPU, run as local processes: every service becomes healthy and serves.

Not run here: the containers themselves, their images, PostgreSQL's image, the NVIDIA runtime.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from core.database import Database
from core.keys import KeyStore, Limits
from stack.layout import Layout
from stack.servers import ServerUrls
from stack.servers.binaries import find_redis
from tests.composed import SECRETS, SERVERS, Composed, read_compose
from tests.harness import eventually, free_port

FILES = ("docker-compose.yml", "docker-compose.cpu.yml")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server with the configuration that the compose file gives to Redis; its port."""
    directory, port = tmp_path_factory.mktemp("redis"), free_port()
    configuration = read_compose(*FILES)["configs"]["redis"]["content"].replace("dir /data", f"dir {directory}")
    (directory / "mathcode.conf").write_text(f"{configuration}\nport {port}\nbind 127.0.0.1\n", encoding="utf-8")
    with subprocess.Popen(
        [str(find_redis(Layout(directory), None)), str(directory / "mathcode.conf")], stdout=subprocess.DEVNULL
    ) as process:
        with closing(Redis(port=port, password=SECRETS["REDIS_PASSWORD"])) as redis:
            eventually(lambda: answers(redis))
            assert redis.config_get("appendonly") == {"appendonly": "yes"}
        yield port
        process.terminate()


def answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisConnectionError:
        return False


@pytest.fixture(scope="module")
def composed(
    new_urls: Callable[[], ServerUrls], broker: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Composed]:
    directory, ledger = tmp_path_factory.mktemp("composed"), new_urls().database_url
    ports = {port: free_port() for port in ("8000", "5555", "8092")}
    password = SECRETS["POSTGRES_PASSWORD"]
    replacements = {
        f"postgresql://mathcode:{password}@postgres:5432/mathcode": ledger,
        "@redis:6379": f"@127.0.0.1:{broker}",
        "/tmp/beat-schedule": str(directory / "beat-schedule"),  # noqa: S108  the container's
        "/data": str(directory),
        **{there: str(here) for there, here in ports.items()},
    }
    services = {k: v for k, v in read_compose(*FILES)["services"].items() if k not in SERVERS}
    made = Composed(services, directory, replacements, ports)
    try:
        for name in services:
            made.start(name)
        yield made
    finally:
        made.stop()


def test_every_service_becomes_healthy_by_its_own_check(composed: Composed) -> None:
    for name in composed.services:
        eventually(lambda name=name: composed.trouble(name) is None, within_s=120, every_s=0.5)  # type: ignore[misc]


def test_the_composed_installation_answers_who_has_a_key(composed: Composed) -> None:
    url = f"http://127.0.0.1:{composed.ports['8000']}"
    body = {"prompt": "Solve x = 1 and implement it", "force_task_type": "hybrid", "max_tokens": 4}
    assert requests.post(f"{url}/v1/jobs", json=body, timeout=10).status_code == 401
    with closing(Database(composed.environment("api")["DATABASE_URL"])) as database:
        _, token = KeyStore(database).create("alice", Limits())
    headers = {"Authorization": f"Bearer {token}"}
    job = requests.post(f"{url}/v1/jobs", json=body, headers=headers, timeout=10).json()

    def ended() -> str | None:
        seen = requests.get(f"{url}/v1/jobs/{job['id']}", headers=headers, timeout=10).json()
        return str(seen["status"]) if seen["status"] not in {"queued", "running"} else None

    assert eventually(ended, within_s=60) == "succeeded"
    assert requests.get(f"{url}/health", timeout=10).json()["status"] == "healthy"


def test_the_trainer_answers_as_the_seed_shows(composed: Composed) -> None:
    """Published on loopback alone, so `curl http://localhost:8092/metrics` needs no key."""
    url = f"http://127.0.0.1:{composed.ports['8092']}"
    assert requests.get(f"{url}/health", timeout=10).json() == {"status": "healthy", "model": "mamba-codestral"}
    assert requests.get(f"{url}/metrics", timeout=10).json()["model"] == "Mamba-Codestral-7B-v0.1"


def test_flower_shows_nothing_without_its_password(composed: Composed) -> None:
    url = f"http://127.0.0.1:{composed.ports['5555']}"
    assert requests.get(f"{url}/workers", timeout=10).status_code == 401
    assert requests.get(f"{url}/workers", auth=("mathcode", "flowerpassword7"), timeout=10).status_code == 200


def test_a_health_check_fails_when_its_service_is_away(composed: Composed, tmp_path: Path) -> None:
    """A port without a listener, a file that nobody writes."""
    others = {"127.0.0.1:8000": f"127.0.0.1:{free_port()}", "/tmp/beat-schedule": str(tmp_path / "no")}  # noqa: S108
    replacements = {**others, **composed.replacements, **others}
    elsewhere = Composed(composed.services, composed.directory, replacements, composed.ports)
    elsewhere.processes = composed.processes
    assert elsewhere.trouble("api")
    assert "is not there" in str(elsewhere.trouble("beat"))


def test_every_service_stops_in_the_time_it_is_given(composed: Composed) -> None:
    statuses = composed.stop()
    composed.processes.clear()
    assert {name: status for name, status in statuses.items() if status not in {0, -15}} == {}
