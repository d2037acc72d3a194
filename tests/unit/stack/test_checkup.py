"""Laws of `mathcode doctor`: what is wrong is found on a real machine, and every finding says what to do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from cli.main import main
from core.settings import Settings, load_settings
from stack.checkup.finding import Finding, Mark
from stack.checkup.machine import check_machine
from stack.checkup.models import check_models
from stack.checkup.servers import check_servers
from stack.servers import ServerUrls
from tests.harness import ROOT, free_port


def settings_of(directory: Path, **more: object) -> Settings:
    ports = {f"MATHCODE_{name}PORT": free_port() for name in ("", "FLOWER_", "TRAINER_")}
    return Settings(MATHCODE_DATA_DIR=directory, **{**ports, **more})


def by_subject(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def test_this_machine_is_well(tmp_path: Path) -> None:
    found = list(check_machine(settings_of(tmp_path)))
    assert [finding for finding in found if finding.mark is not Mark.OK] == []
    assert {"python", "packages", "memory", "disk"} <= set(by_subject(found))


def test_a_taken_port_is_named_with_its_variable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = by_subject(list(check_machine(settings_of(tmp_path, MATHCODE_TRAINER_PORT=port))))
    assert found[f"port {port}"].mark is Mark.FAILED
    assert "MATHCODE_TRAINER_PORT" in found[f"port {port}"].remedy


def test_a_directory_that_is_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o400)
    found = by_subject(list(check_machine(settings_of(tmp_path / "file" / "data"))))
    assert found["disk"].mark is Mark.FAILED


def test_servers_that_are_right_pass_and_absent_ones_do_not(urls: ServerUrls, tmp_path: Path) -> None:
    right = settings_of(tmp_path, DATABASE_URL=urls.database_url, REDIS_URL=urls.redis_url)
    assert {finding.subject: finding.mark for finding in check_servers(right)} == {
        "postgresql": Mark.OK,
        "redis": Mark.OK,
    }
    port = free_port()
    away = settings_of(
        tmp_path, DATABASE_URL=f"postgresql://a:b@127.0.0.1:{port}/c", REDIS_URL=f"redis://127.0.0.1:{port}"
    )
    assert {finding.mark for finding in check_servers(away)} == {Mark.FAILED}


def test_a_redis_that_may_lose_queues_is_warned_of(urls: ServerUrls, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, DATABASE_URL=urls.database_url, REDIS_URL=urls.redis_url)
    with Redis.from_url(urls.redis_url) as redis:
        redis.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = [finding for finding in check_servers(settings) if finding.mark is Mark.WARNING]
        finally:
            redis.config_set("maxmemory-policy", "noeviction")
    assert ["noeviction" in finding.remedy for finding in found] == [True]


def test_without_a_checkpoint_the_directory_is_named(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, MATHCODE_CODESTRAL=str(tmp_path / "nothing"))
    found = by_subject(list(check_models(settings)))
    assert found["codestral"].mark is Mark.FAILED
    assert "MATHCODE_CODESTRAL" in found["codestral"].remedy


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Result:
    monkeypatch.setenv("MATHCODE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MATHCODE_PORT", "0")
    load_settings.cache_clear()
    try:
        return CliRunner().invoke(main, ["doctor", "--json"])
    finally:
        load_settings.cache_clear()


def test_bad_settings_are_a_finding_and_not_a_crash(doctor: Result) -> None:
    assert doctor.exit_code == 1
    (finding,) = json.loads(doctor.output)["findings"]
    assert (finding["subject"], finding["mark"]) == ("settings", "failed")
    assert "MATHCODE_PORT" in finding["words"]


def test_every_complaint_has_a_remedy(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, MATHCODE_DEVICE="cuda", MATHCODE_PROFILE="tiny")
    found = [*check_machine(settings), *check_models(settings)]
    assert [finding for finding in found if finding.mark is not Mark.OK and not finding.remedy] == []


def test_a_hub_that_cannot_be_reached_is_a_finding(tmp_path: Path) -> None:
    variables = {
        **os.environ,
        "HF_HOME": str(tmp_path / "cache"),
        "HF_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "MATHCODE_DATA_DIR": str(tmp_path),
        "MATHCODE_PROFILE": "full",
        "MATHCODE_DEVICE": "cpu",
    }
    command = [sys.executable, "-m", "cli.main", "doctor", "--json"]
    asked = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert asked.returncode == 1, asked.stderr
    found = {finding["subject"]: finding for finding in json.loads(asked.stdout)["findings"]}
    for model in ("mathstral", "codestral"):
        assert found[model]["mark"] == "failed"
        assert "cannot be reached" in found[model]["words"]
        assert f"MATHCODE_{model.upper()}" in found[model]["remedy"]
