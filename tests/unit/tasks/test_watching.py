"""When the next training may begin: at once, unless the last ones failed; then ever later, up to a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from core.settings import read_settings
from core.training import TrainingOptions
from core.training_runs import Run, RunState
from tasks.watching import LONGEST_PAUSE, LOOKED_BACK, not_before
from tests.runs import earlier_run

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
INTERVAL = timedelta(minutes=5)
AT_ONCE = datetime.min.replace(tzinfo=UTC)
OTHER_ENDS = [state for state in RunState if state is not RunState.FAILED]


def runs(*states: RunState) -> list[Run]:
    """The newest first, an hour apart."""
    options = TrainingOptions.of(read_settings())
    return [
        earlier_run(
            state,
            options,
            id=len(states) - age,
            created_at=NOW - timedelta(hours=age + 1),
            finished_at=NOW - timedelta(hours=age) if state.is_final else None,
        )
        for age, state in enumerate(states)
    ]


def pause_after(*states: RunState, interval: timedelta = INTERVAL) -> timedelta:
    return not_before(runs(*states), interval=interval) - NOW


def test_the_first_run_may_begin_at_once() -> None:
    assert not_before([], interval=INTERVAL) == AT_ONCE


@pytest.mark.parametrize("state", OTHER_ENDS)
def test_after_what_is_no_failure_the_next_may_begin_at_once(state: RunState) -> None:
    assert not_before(runs(state, RunState.FAILED, RunState.FAILED), interval=INTERVAL) == AT_ONCE


@pytest.mark.parametrize(("failures", "intervals"), [(1, 2), (2, 4), (3, 8), (7, 128)])
def test_each_failure_in_a_row_doubles_the_pause_counted_from_the_latest(failures: int, intervals: int) -> None:
    assert pause_after(*[RunState.FAILED] * failures) == intervals * INTERVAL


@pytest.mark.parametrize("state", OTHER_ENDS)
def test_failures_before_another_end_do_not_count(state: RunState) -> None:
    assert pause_after(RunState.FAILED, state, *[RunState.FAILED] * 8) == 2 * INTERVAL


def test_no_pause_is_longer_than_a_day_however_many_failed_and_whatever_the_interval() -> None:
    assert pause_after(*[RunState.FAILED] * LOOKED_BACK) == LONGEST_PAUSE
    assert pause_after(RunState.FAILED, interval=timedelta(days=400)) == LONGEST_PAUSE
    assert pause_after(*[RunState.FAILED] * 500) == LONGEST_PAUSE
