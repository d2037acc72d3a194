"""Laws of one completion's story that need no ledger."""

from __future__ import annotations

from typing import Any

from core.messages import ModelName
from ensemble.engine.scripted import ScriptedEngine
from tasks.execution import Disposition, Executor
from tasks.running import Running


class Untouchable:
    """A service that nobody may use."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was used")


def test_a_process_whose_engine_is_dead_claims_nothing() -> None:
    engine = ScriptedEngine()
    engine.close()
    nothing: Any = Untouchable()
    executor = Executor(
        engine=engine, leases=nothing, events=nothing, doorbell=nothing, running=Running(), lanes=nothing
    )
    assert executor.execute("a job", ModelName.MATHSTRAL, merge_follows=False) is Disposition.BUSY
