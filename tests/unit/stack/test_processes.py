"""Laws of the table of processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.settings import Settings
from stack.child import Command
from stack.layout import Layout
from stack.processes import QUEUES, app_commands
from stack.readiness import api_url, missing_parts
from stack.services import flower_password

PASSWORD = "a password nobody may read"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(MATHCODE_DATA_DIR=tmp_path, MATHCODE_FLOWER_PORT=5999)


@pytest.fixture
def commands(settings: Settings) -> dict[str, Command]:
    environment = {"DATABASE_URL": f"postgresql://mathcode:{PASSWORD}@/x"}
    stages = app_commands(settings, Layout(settings.data_dir), environment=environment, flower_password=PASSWORD)
    return {command.name: command for stage in stages for command in stage}


def test_no_secret_stands_on_a_command_line(commands: dict[str, Command]) -> None:
    assert all(PASSWORD not in word for command in commands.values() for word in command.argv)


def test_every_queue_has_a_worker_of_its_own(commands: dict[str, Command]) -> None:
    workers = [command.argv for name, command in commands.items() if name.startswith("worker-")]
    assert sorted(argv[argv.index("-Q") + 1] for argv in workers) == sorted(QUEUES)


def test_flower_shows_nothing_without_a_password_and_changes_nothing(commands: dict[str, Command]) -> None:
    environment = commands["flower"].environment
    assert environment["FLOWER_ADDRESS"] == "127.0.0.1"
    assert environment["FLOWER_PORT"] == "5999"
    assert environment["FLOWER_BASIC_AUTH"] == f"mathcode:{PASSWORD}"
    assert environment["FLOWER_READ_ONLY"] == "true"


def test_only_flower_gets_flowers_options(commands: dict[str, Command]) -> None:
    others = [command for name, command in commands.items() if name != "flower"]
    assert not any(name.startswith("FLOWER_") for command in others for name in command.environment)


def test_workers_may_drain_before_they_are_killed(commands: dict[str, Command], settings: Settings) -> None:
    assert commands["worker-light"].stop_steps[0][1] > settings.drain_s


def test_the_working_directory_holds_nothing_python_could_import(commands: dict[str, Command]) -> None:
    assert {command.cwd.name for command in commands.values()} == {"run"}


def test_a_flower_password_that_flower_would_split_is_refused(tmp_path: Path) -> None:
    settings = Settings(MATHCODE_DATA_DIR=tmp_path, MATHCODE_FLOWER_PASSWORD="one,two")
    with pytest.raises(ConfigurationError, match="MATHCODE_FLOWER_PASSWORD"):
        flower_password(settings, Layout(tmp_path))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("box.local", "http://box.local:8000"),
    ],
)
def test_the_api_is_asked_where_it_can_be_reached(host: str, url: str) -> None:
    assert api_url(Settings(MATHCODE_HOST=host, MATHCODE_PORT=8000)) == url


def test_a_stack_is_ready_when_every_queue_and_server_answers() -> None:
    status = {"database": "ok", "broker": "ok", "workers": dict.fromkeys(QUEUES, 1)}
    assert missing_parts(status) == set()
    assert missing_parts({**status, "broker": "broker_unavailable"}) == {"broker"}
    assert missing_parts({**status, "workers": {"light": 1, "codestral": 1, "training": 1}}) == {
        "worker-mathstral"
    }
    assert missing_parts(None) == {"api"}
