"""Laws of following several jobs at once."""

from __future__ import annotations

from threading import Event as Flag

import pytest

from api.following import Event, Followed, follow_all
from core.errors import JobNotFound
from core.events import Done, Piece
from core.messages import JobState, ModelName

DONE = Done(status=JobState.SUCCEEDED)


def piece(text: str) -> Piece:
    return Piece(model=ModelName.MATHSTRAL, attempt=1, text=text)


def test_each_job_keeps_its_order_and_ends_once() -> None:
    def follow(job_id: str) -> Followed:
        yield from ((None, piece(f"{job_id}{number}")) for number in range(20))
        yield None
        yield None, DONE

    events: list[list[Event]] = [[], [], []]
    for item in follow_all(["a", "b", "c"], follow):
        if item:
            events[item[0]].append(item[1])
    assert events == [[*(piece(f"{job}{number}") for number in range(20)), DONE] for job in "abc"]


def test_one_that_is_silent_does_not_hold_up_another() -> None:
    release = Flag()

    def follow(job_id: str) -> Followed:
        if job_id == "slow":
            assert release.wait(10)
        yield None, DONE

    followed = follow_all(["slow", "fast"], follow)
    assert next(followed) == (1, DONE)
    release.set()
    assert list(followed) == [(0, DONE)]


@pytest.mark.parametrize("ids", [["a"], ["a", "b"]])
def test_what_a_follower_raises_is_raised(ids: list[str]) -> None:
    def follow(job_id: str) -> Followed:
        yield None, piece("x")
        raise JobNotFound(job_id)

    with pytest.raises(JobNotFound):
        list(follow_all(ids, follow))
