"""Beat after the clock of its host went back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery, current_app

from tasks.beat import SteadyScheduler

EVERY_S = 60.0


class Noting(SteadyScheduler):
    def __init__(self, *args: object, **kwargs: object) -> None:
        self.sent: list[str] = []
        super().__init__(*args, **kwargs)

    def apply_entry(self, entry: object, producer: object = None) -> None:
        self.sent.append(entry.name)  # type: ignore[attr-defined]

    producer = None


@pytest.fixture
def beat(tmp_path: Path) -> Iterator[Noting]:
    schedule = {"repair": {"task": "repair", "schedule": EVERY_S}}
    before = current_app._get_current_object()
    app = Celery(
        config_source={"beat_schedule": schedule}
    )  # current, since schedules ask the current one for the time
    try:
        with closing(Noting(app, schedule_filename=str(tmp_path / "schedule"))) as made:
            yield made
    finally:
        before.set_current()


def _shift(beat: Noting, by: timedelta) -> None:
    """As if the clock had gone by `-by` since the last sending."""
    for entry in beat.schedule.values():
        entry.last_run_at += by
    beat._heap = None


def test_a_task_is_sent_when_it_is_due(beat: Noting) -> None:
    assert 0 < beat.tick() <= EVERY_S
    _shift(beat, -timedelta(seconds=EVERY_S))
    beat.tick()
    assert beat.sent == ["repair"]


def test_after_the_clock_went_back_nothing_waits_for_the_old_one(beat: Noting) -> None:
    beat.tick()
    _shift(beat, timedelta(hours=1))
    assert 0 < beat.tick() <= EVERY_S
    _shift(beat, -timedelta(seconds=EVERY_S))
    beat.tick()
    assert beat.sent == ["repair"]
