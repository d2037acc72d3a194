"""Laws of long operations: at once, one at a time, and never the end of an engine."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest

from core.errors import ConfigurationError
from core.messages import ModelName
from tasks.ports import Engine
from tests.harness import eventually
from worker import control
from worker.operations import Operations


@dataclass
class Recorder:
    """The part of an engine that is operated from outside: each call waits until it may end."""

    model: ModelName = ModelName.MATHSTRAL
    calls: list[Any] = field(default_factory=list)
    may_end: Event = field(default_factory=Event)
    error: Exception | None = None

    def _called(self, *call: Any) -> None:
        self.calls.append(call)
        assert self.may_end.wait(10)
        if self.error is not None:
            raise self.error

    def sleep(self) -> None:
        self._called("sleep")

    def wake(self) -> None:
        self._called("wake")

    def swap_adapter(self, version: str | None, directory: Path | None) -> None:
        self._called(version, directory)


@pytest.fixture
def engine() -> Recorder:
    return Recorder()


@pytest.fixture
def operations(engine: Recorder) -> Operations:
    operations = Operations(cast(Engine, engine))
    control.bind_operations(operations)
    return operations


def _end(engine: Recorder, operations: Operations) -> None:
    engine.may_end.set()
    operations.close()
    engine.may_end.clear()


def test_a_command_answers_while_its_operation_runs(engine: Recorder, operations: Operations) -> None:
    assert control.sleep_engine(None) == {"ok": {"model": "mathstral", "begun": "sleep_engine"}}
    eventually(lambda: engine.calls == [("sleep",)])
    _end(engine, operations)


def test_a_second_operation_is_refused_by_the_name_of_the_first(engine: Recorder, operations: Operations) -> None:
    control.swap_adapter(None, "mathstral", "v2", "/adapters/v2")
    for refusal in (control.wake_engine(None), control.swap_adapter(None, "mathstral")):
        assert "mathstral: swap_adapter is still running" in str(refusal["error"])
    _end(engine, operations)
    assert "ok" in control.swap_adapter(None, "mathstral")
    _end(engine, operations)
    assert engine.calls == [("v2", Path("/adapters/v2")), (None, None)]


def test_a_process_that_is_not_meant_begins_nothing(engine: Recorder, operations: Operations) -> None:
    assert control.wake_engine(None, "codestral") == {"ok": {"model": "mathstral", "begun": None}}
    control.bind_operations(Operations(None))
    assert control.wake_engine(None) == {"ok": {"model": None, "begun": None}}
    assert engine.calls == []


def test_what_makes_no_sense_is_refused(engine: Recorder, operations: Operations) -> None:
    assert "no model 'poetry'" in str(control.sleep_engine(None, "poetry")["error"])
    assert "error" in control.swap_adapter(None, "mathstral", "v2")
    assert engine.calls == []


@pytest.mark.parametrize("error", [ConfigurationError("no such adapter"), ZeroDivisionError("a bug")])
def test_a_failure_is_logged_with_its_duration_and_the_next_operation_begins(
    engine: Recorder, operations: Operations, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    engine.error = error
    control.wake_engine(None)
    _end(engine, operations)
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage().startswith("wake_engine failed after 0.")
    assert str(error) in caplog.text
    engine.error = None
    assert "ok" in control.wake_engine(None)
    _end(engine, operations)


def test_success_is_logged_with_its_duration(
    engine: Recorder, operations: Operations, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    control.sleep_engine(None)
    _end(engine, operations)
    assert [record.getMessage()[:24] for record in caplog.records][-1] == "sleep_engine is done aft"


def test_a_lent_card_is_not_the_operators_to_move_but_versions_are(
    engine: Recorder, operations: Operations
) -> None:
    operations.lend()
    for refusal in (control.sleep_engine(None), control.wake_engine(None)):
        assert "lent to a training" in str(refusal["error"])
    assert "ok" in control.swap_adapter(None, "mathstral")
    _end(engine, operations)
    operations.take_back()
    assert "ok" in control.wake_engine(None)
    _end(engine, operations)
