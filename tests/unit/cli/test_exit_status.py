"""Laws of how commands end."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from core.settings import load_settings
from tests.harness import free_port


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MATHCODE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MATHCODE_PORT", str(free_port()))
    load_settings.cache_clear()


def run(*words: str) -> Result:
    result = CliRunner().invoke(main, words)
    load_settings.cache_clear()
    return result


def test_asking_a_stack_that_does_not_run_can_be_tried_again_later() -> None:
    result = run("ask", "1 + 1")
    assert result.exit_code == 75
    assert result.stderr.startswith("mathcode: no API answers at http://127.0.0.1:")
    assert result.stderr.count("\n") == 1


def test_bad_settings_are_one_line_and_78(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATHCODE_SLOTS", "many")
    result = run("status")
    assert result.exit_code == 78
    assert "MATHCODE_SLOTS" in result.stderr
    assert result.stderr.count("\n") == 1


def test_status_of_nothing_says_so_and_fails() -> None:
    assert run("status").exit_code == 1
    assert run("status", "--json").stdout == '{"running": false}\n'


def test_stopping_nothing_is_no_error() -> None:
    assert run("down").exit_code == 0
    assert run("down", "--json").stdout == '{"stopped": false, "pid": null}\n'


def test_looking_creates_no_data_directory(tmp_path: Path) -> None:
    run("status")
    run("down")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", ["up", "down", "status", "ask", "route", "demo", "engine", "ingest", "corpus"])
def test_every_command_explains_itself_and_speaks_json(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout
