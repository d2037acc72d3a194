"""Laws of the registry of versions, on a real PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.database import Database
from core.errors import VersionNotFound, VersionUnfit
from core.model_versions import NewVersion, VersionState, VersionStore


@pytest.fixture
def versions(database: Database) -> VersionStore:
    return VersionStore(database)


def _new(parent: int | None = None, *, run_id: int | None = None, name: str = "adapter") -> NewVersion:
    return NewVersion(
        directory=Path("/adapters") / name,
        checksum="c0ffee",
        base_hash="ba5e",
        manifest_hash="f11e5",
        parent=parent,
        run_id=run_id,
        scores={"candidate": {"heldout": 1.5}},
    )


def _chain(versions: VersionStore, length: int) -> None:
    """Versions 1 to `length`, each trained from the one before and promoted."""
    for number in range(1, length + 1):
        assert versions.record(_new(number - 1 or None)) == number
        versions.promote(number)


def _states(versions: VersionStore) -> dict[int, str]:
    return {version.number: version.state.value for version in versions.all()}


def test_a_version_reads_back_as_it_was_recorded(versions: VersionStore) -> None:
    number = versions.record(_new(run_id=4))
    version = versions.get(number)
    assert (version.name, version.state, version.run_id) == ("v1", VersionState.CANDIDATE, 4)
    assert (version.directory, version.checksum) == (Path("/adapters/adapter"), "c0ffee")
    assert version.scores == {"candidate": {"heldout": 1.5}}
    assert version.parent is version.alarm is version.promoted_at is None
    assert versions.serving() is None


def test_the_files_of_a_run_are_recorded_once(versions: VersionStore) -> None:
    assert [versions.record(_new(run_id=4)) for _ in range(2)] == [1, 1]
    assert versions.record(_new(run_id=4, name="again")) == 2
    assert versions.record(_new(run_id=5)) == 3


def test_numbers_are_given_once_whoever_asks_at_the_same_time(versions: VersionStore) -> None:
    with ThreadPoolExecutor(6) as pool:
        numbers = list(pool.map(lambda run_id: versions.record(_new(run_id=run_id)), range(12)))
    assert sorted(numbers) == list(range(1, 13))


def test_the_promoted_one_serves_and_the_former_one_retires_whichever_is_newer(versions: VersionStore) -> None:
    _chain(versions, 3)
    assert _states(versions) == {1: "retired", 2: "retired", 3: "serving"}
    for _ in range(2):
        assert versions.promote(1).state is VersionState.SERVING
        assert _states(versions) == {1: "serving", 2: "retired", 3: "retired"}


def test_of_many_promotions_at_once_exactly_one_is_left(versions: VersionStore) -> None:
    _chain(versions, 6)
    with ThreadPoolExecutor(6) as pool:
        for _ in range(10):
            list(pool.map(versions.promote, [5, 3, 1, 6, 2, 4]))
            assert sorted(_states(versions).values()) == ["retired"] * 5 + ["serving"]


def test_promotions_rollbacks_and_breakages_at_once_leave_at_most_one_serving(versions: VersionStore) -> None:
    _chain(versions, 12)
    with ThreadPoolExecutor(6) as pool:
        work = [pool.submit(versions.promote, number) for number in (12, 4, 9)]
        work += [pool.submit(versions.mark_broken, number, "torn") for number in (11, 10, 7)]
        work += [pool.submit(versions.rollback) for _ in range(3)]
        for each in work:
            each.result()
    states = _states(versions)
    assert list(states.values()).count("serving") == 1
    assert [number for number, state in states.items() if state == "broken"] == [11, 10, 7]


def test_what_is_unknown_broken_or_pruned_is_not_promoted_and_the_present_one_stays(
    versions: VersionStore,
) -> None:
    _chain(versions, 3)
    versions.mark_broken(1, "torn file")
    versions.mark_pruned(2)
    with pytest.raises(VersionUnfit, match=r"v1 is broken \(torn file\)"):
        versions.promote(1)
    with pytest.raises(VersionUnfit, match="v2 is pruned"):
        versions.promote(2)
    with pytest.raises(VersionNotFound):
        versions.promote(4)
    assert _states(versions) == {1: "broken", 2: "pruned", 3: "serving"}


def test_a_rollback_goes_to_the_nearest_usable_ancestor_and_at_last_to_the_base(versions: VersionStore) -> None:
    _chain(versions, 4)
    versions.mark_broken(3, "torn")
    served = []
    while (version := versions.rollback()) is not None:
        served.append(version.number)
    assert served == [2, 1]
    assert versions.rollback() is None
    assert _states(versions) == {1: "retired", 2: "retired", 3: "broken", 4: "retired"}


def test_a_rollback_follows_descent_and_not_the_order_of_numbers(versions: VersionStore) -> None:
    _chain(versions, 2)
    versions.record(_new(1))
    versions.promote(3)
    rolled_back = versions.rollback()
    assert rolled_back is not None
    assert rolled_back.number == 1


def test_the_parent_of_a_broken_version_serves_again_and_the_alarm_stands(versions: VersionStore) -> None:
    _chain(versions, 2)
    assert versions.mark_broken(2, "torn file")
    assert not versions.mark_broken(2, "said again")
    assert _states(versions) == {1: "serving", 2: "broken"}
    assert versions.alarms() == ["v2: torn file"]


def test_a_broken_version_that_does_not_serve_changes_nothing_else(versions: VersionStore) -> None:
    _chain(versions, 2)
    assert versions.mark_broken(1, "torn file")
    assert _states(versions) == {1: "broken", 2: "serving"}


def test_an_alarm_ends_when_a_later_version_serves_or_the_version_is_mended(versions: VersionStore) -> None:
    _chain(versions, 2)
    versions.mark_broken(2, "torn file")
    assert versions.mend(2)
    assert not versions.mend(2)
    assert (versions.alarms(), versions.promote(2).alarm) == ([], None)
    versions.mark_broken(2, "torn again")
    versions.record(_new(1))
    assert versions.alarms() == ["v2: torn again"]
    versions.promote(3)
    assert versions.alarms() == []


def test_the_serving_version_its_parent_and_its_refuge_are_never_pruned(versions: VersionStore) -> None:
    _chain(versions, 6)
    versions.record(_new(6))
    assert [version.number for version in versions.prunable(keep=0)] == [1, 2, 3, 4]
    assert [version.number for version in versions.prunable(keep=4)] == [1, 2, 3]
    versions.mark_broken(5, "torn")
    assert [version.number for version in versions.prunable(keep=0)] == [1, 2, 3]
    assert [versions.mark_pruned(number) for number in (1, 1, 6)] == [True, False, False]
    assert [version.number for version in versions.prunable(keep=0)] == [2, 3]


def test_a_candidate_is_prunable_once_a_later_version_serves(versions: VersionStore) -> None:
    _chain(versions, 1)
    refused = versions.record(_new(1))
    assert versions.prunable(keep=0) == []
    versions.promote(versions.record(_new(1)))
    assert [version.number for version in versions.prunable(keep=0)] == [refused]
