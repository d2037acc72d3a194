"""Laws of packing: every token once, files apart, the same bytes from the same files, whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import NothingToTrain
from core.training import Purpose
from ensemble.engine.tokenizer import Tokenizer
from training.dataset import RowSet, prepare, read_rows, read_summary
from training.folder import RunFolder
from training.packing import cuts, pack
from training.rows import IGNORED, Rows, collate

from .conftest import options


@given(length=st.integers(0, 500), row_tokens=st.integers(2, 64))
def test_every_token_but_the_first_is_predicted_once(length: int, row_tokens: int) -> None:
    pieces = list(cuts(length, row_tokens))
    assert all(2 <= end - begin <= row_tokens for begin, end in pieces)
    predicted = [place for begin, end in pieces for place in range(begin + 1, end)]
    assert predicted == list(range(1, length))


@given(lengths=st.lists(st.integers(2, 32), max_size=60))
def test_every_piece_is_in_one_row_and_no_row_is_too_long(lengths: list[int]) -> None:
    rows = pack(lengths, 32)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in row) <= 32 for row in rows)
    assert sum(sum(lengths[index] for index in row) <= 16 for row in rows) <= 1


def stored(folder: RunFolder) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.dataset.iterdir()}


def test_the_same_files_give_the_same_bytes_and_another_seed_another_order(
    tmp_path: Path, tokenizer: Tokenizer, functions: list[str]
) -> None:
    first, second, third = (RunFolder(tmp_path / name) for name in "abc")
    for folder, seed in ((first, 1), (second, 1), (third, 2)):
        sources = {Purpose.TRAIN: functions[:20]}
        prepare(folder, sources, tokenizer=tokenizer, options=options(seed=seed, fim_rate=0.5))
    assert stored(first) == stored(second)
    assert stored(first) != stored(third)


def test_a_whole_dataset_is_kept_and_a_torn_one_made_again(
    tmp_path: Path, tokenizer: Tokenizer, functions: list[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    made = prepare(folder, {Purpose.TRAIN: functions[:9]}, tokenizer=tokenizer, options=options())
    before = stored(folder)
    kept = prepare(folder, {Purpose.TRAIN: []}, tokenizer=tokenizer, options=options())
    assert kept == made
    torn = folder.dataset / "trained.tokens.npy"
    torn.write_bytes(torn.read_bytes()[:-1])
    assert read_summary(folder) is None
    prepare(folder, {Purpose.TRAIN: functions[:9]}, tokenizer=tokenizer, options=options())
    assert stored(folder) == before


def test_purposes_go_where_they_belong(tmp_path: Path, tokenizer: Tokenizer, functions: list[str]) -> None:
    folder = RunFolder(tmp_path / "run")
    sources = {purpose: [functions[number]] for number, purpose in enumerate(Purpose)}
    summary = prepare(folder, sources, tokenizer=tokenizer, options=options(row_tokens=1024))
    tokens = {purpose: count.tokens for purpose, count in summary.purposes.items()}
    sets = {name: count.tokens for name, count in summary.sets.items()}
    assert sets == {
        RowSet.TRAINED: tokens[Purpose.TRAIN] + tokens[Purpose.REPLAY] + tokens[Purpose.ANCHOR],
        RowSet.HELDOUT: tokens[Purpose.HELDOUT],
        RowSet.FROZEN: tokens[Purpose.FROZEN],
        RowSet.ANCHOR: tokens[Purpose.ANCHOR],
    }
    assert tokens[Purpose.TRAIN] == len(tokenizer.encode_text(functions[0])) + 2


@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_nothing_to_train_on_is_said(tmp_path: Path, tokenizer: Tokenizer, texts: list[str]) -> None:
    folder = RunFolder(tmp_path / "run")
    sources = {Purpose.TRAIN: texts, Purpose.HELDOUT: ["x = 1"]}
    with pytest.raises(NothingToTrain):
        prepare(folder, sources, tokenizer=tokenizer, options=options())
    assert not folder.dataset.exists()


def test_empty_sets_have_no_rows(tmp_path: Path, tokenizer: Tokenizer) -> None:
    folder = RunFolder(tmp_path / "run")
    prepare(folder, {Purpose.TRAIN: ["x = 1"]}, tokenizer=tokenizer, options=options())
    assert read_rows(folder, RowSet.FROZEN)[0].shape == (0, options().row_tokens)
    assert list(Rows.read(folder, RowSet.FROZEN).batches(2)) == []


def test_a_file_for_filling_in_holds_the_same_text_behind_its_suffix(
    tmp_path: Path, tokenizer: Tokenizer, functions: list[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    sources = {Purpose.TRAIN: functions[:1], Purpose.HELDOUT: functions[:1], Purpose.ANCHOR: functions[:1]}
    prepare(folder, sources, tokenizer=tokenizer, options=options(fim_rate=1.0, row_tokens=2048))
    suffix, prefix = tokenizer.control("[SUFFIX]"), tokenizer.control("[PREFIX]")
    tokens, segments = read_rows(folder, RowSet.TRAINED)
    file = tokens[0][segments[0] == 1].tolist()
    assert file[:2] == [tokenizer.control("<s>"), suffix]
    middle = file.index(prefix)
    rearranged = tokenizer.decode(file[middle + 1 : -1]) + tokenizer.decode(file[2:middle])
    assert "".join(rearranged.split()) == "".join(functions[0].split())
    for measured in (RowSet.HELDOUT, RowSet.ANCHOR):
        assert suffix not in read_rows(folder, measured)[0]


def test_targets_are_the_next_tokens_of_the_same_file() -> None:
    tokens = np.array([5, 6, 7, 8, 9, 0, 0], np.uint16)
    segments = np.array([1, 1, 1, 2, 2, 0, 0], np.uint16)
    batch = collate([(tokens, segments)])
    assert batch["targets"].tolist() == [[6, 7, IGNORED, 9, IGNORED, IGNORED, IGNORED]]


def test_each_epoch_has_every_row_once_in_an_order_of_its_own(
    tmp_path: Path, tokenizer: Tokenizer, functions: list[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    prepare(folder, {Purpose.TRAIN: functions[:30]}, tokenizer=tokenizer, options=options())
    rows = Rows.read(folder, RowSet.TRAINED, epochs=2, seed=5)
    count = len(rows.tokens)
    first, second = rows.order[:count], rows.order[count:]
    assert sorted(first) == sorted(second) == list(range(count))
    assert first != second
    assert rows.tokens_before(2 * count) == 2 * np.count_nonzero(rows.segments)
