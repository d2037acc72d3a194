"""Which files a run trains on and is measured by."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from core.manifests import FileRef
from core.training import Purpose
from training.manifest import FEWEST_HELD_OUT, History, Manifest, compose, is_held_out

HELD_OUT_REPO = next(f"repo-{n}" for n in range(1000) if is_held_out(f"repo-{n}"))
TRAINED_REPO = next(f"repo-{n}" for n in range(1000) if not is_held_out(f"repo-{n}"))


def files(count: int, *, repo: str = TRAINED_REPO, start: int = 1) -> list[FileRef]:
    return [FileRef(n, repo, f"src/file_{n}.py", f"hash-{n}") for n in range(start, start + count)]


def manifest_of(
    new: list[FileRef], history: History | None = None, *, most: int = 1000, replay: float = 0.25, run_id: int = 1
) -> Manifest:
    return compose(new, history or History(), most_files=most, replay_rate=replay, run_id=run_id)


def history_of(*manifests: Manifest) -> History:
    newest_first = list(reversed(manifests))

    def gather(purpose: Purpose) -> list[FileRef]:
        return [file for manifest in newest_first for file in manifest.files[purpose]]

    return History(
        trained=gather(Purpose.TRAIN),
        heldout=gather(Purpose.HELDOUT),
        frozen=gather(Purpose.FROZEN),
        anchor=gather(Purpose.ANCHOR),
    )


def test_a_repository_is_held_out_whole_and_in_every_cycle() -> None:
    first = manifest_of(files(40) + files(10, repo=HELD_OUT_REPO, start=100))
    second = manifest_of(
        files(40, start=200) + files(10, repo=HELD_OUT_REPO, start=300), history_of(first), run_id=2
    )
    for manifest in (first, second):
        assert {file.repo for file in manifest.files[Purpose.TRAIN]} == {TRAINED_REPO}
        assert {file.repo for file in manifest.files[Purpose.HELDOUT]} == {HELD_OUT_REPO}
        assert not manifest.notes


def test_about_one_repository_in_twenty_is_held_out() -> None:
    share = sum(is_held_out(f"https://example.org/{n}") for n in range(10_000)) / 10_000
    assert 0.04 < share < 0.06


def test_without_a_held_out_repository_files_are_held_out_and_the_split_says_so() -> None:
    manifest = manifest_of(files(200))
    assert 1 <= len(manifest.files[Purpose.HELDOUT]) <= 30
    assert "no repository is held out" in manifest.notes[0]


def test_a_single_repository_that_would_be_held_out_whole_is_split_by_file() -> None:
    manifest = manifest_of(files(200, repo=HELD_OUT_REPO))
    assert len(manifest.files[Purpose.TRAIN]) > 100
    assert "every repository is held out" in manifest.notes[0]


def test_two_files_are_enough_to_train_one_and_hold_out_the_other() -> None:
    manifest = manifest_of(files(2))
    assert len(manifest.files[Purpose.TRAIN]) == len(manifest.files[Purpose.HELDOUT]) == 1


def test_nothing_new_gives_nothing_to_train() -> None:
    assert not manifest_of([]).files[Purpose.TRAIN]


def test_frozen_and_anchor_sets_stay_as_the_first_cycle_had_them() -> None:
    first = manifest_of(files(100) + files(30, repo=HELD_OUT_REPO, start=500))
    second = manifest_of(files(100, start=200), history_of(first), run_id=2)
    third = manifest_of(files(100, start=800), history_of(first, second), run_id=3)
    for purpose in (Purpose.FROZEN, Purpose.ANCHOR):
        assert first.files[purpose]
        assert list(third.files[purpose]) == list(second.files[purpose]) == list(first.files[purpose])


def test_held_out_files_of_earlier_cycles_fill_up_a_small_set() -> None:
    first = manifest_of(files(50) + files(60, repo=HELD_OUT_REPO, start=500))
    second = manifest_of(files(50, start=100), history_of(first), run_id=2)
    assert len(second.files[Purpose.HELDOUT]) >= FEWEST_HELD_OUT


def test_earlier_files_are_replayed_at_the_asked_rate() -> None:
    first = manifest_of(files(300) + files(5, repo=HELD_OUT_REPO, start=900), replay=0.25)
    second = manifest_of(files(90, start=400), history_of(first), replay=0.25, run_id=2)
    replayed = second.files[Purpose.REPLAY]
    assert len(replayed) == 30
    assert set(replayed) <= set(first.files[Purpose.TRAIN])


def test_what_does_not_fit_waits_for_the_next_cycle() -> None:
    new = files(50) + files(5, repo=HELD_OUT_REPO, start=900)
    manifest = manifest_of(new, most=20, replay=0.0)
    assert [file.id for file in manifest.files[Purpose.TRAIN]] == list(range(1, 21))
    assert set(manifest.taken) == {*range(1, 21), *range(900, 905)}
    assert "30 new files wait" in manifest.notes[0]


REPOS = st.sampled_from([HELD_OUT_REPO, TRAINED_REPO, "repo-x", "repo-y"])


@given(st.lists(st.lists(REPOS, max_size=12), min_size=1, max_size=4), st.integers(1, 20))
def test_no_file_is_trained_twice_or_skipped_and_none_held_out_is_trained(
    cycles: list[list[str]], most: int
) -> None:
    waiting: list[FileRef] = []
    manifests: list[Manifest] = []
    number = 0
    for run_id, repos in enumerate(cycles, start=1):
        for repo in repos:
            number += 1
            waiting.append(FileRef(number, repo, f"f{number}.py", f"h{number}"))
        manifest = manifest_of(waiting, history_of(*manifests), most=most, replay=0.0, run_id=run_id)
        manifests.append(manifest)
        waiting = [file for file in waiting if file.id not in set(manifest.taken)]
    trained = Counter(file.id for manifest in manifests for file in manifest.files[Purpose.TRAIN])
    heldout = {file.id for m in manifests for p in (Purpose.HELDOUT, Purpose.FROZEN) for file in m.files[p]}
    taken = [identifier for manifest in manifests for identifier in manifest.taken]
    assert set(trained.values()) <= {1}
    assert not heldout & set(trained)
    assert len(taken) == len(set(taken)) == number - len(waiting)


def test_the_hash_names_the_files_and_their_order() -> None:
    assert manifest_of(files(30)).hash == manifest_of(files(30)).hash
    assert manifest_of(files(30)).hash != manifest_of(files(30)[::-1]).hash
