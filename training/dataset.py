"""Turns a run's files into packed rows on disk, once; every attempt of the run reads the same. Knows no torch.

dataset/dataset.json       DatasetSummary, with the size and SHA-256 of every file beside it
        <set>.tokens.npy   (rows, row_tokens) uint16; the sets are trained, heldout, frozen, anchor
        <set>.segments.npy (rows, row_tokens) uint16: which of a row's files a token is of, from 1; 0 is padding
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import NothingToTrain
from core.training import Purpose, TrainingOptions
from ensemble.engine.tokenizer import Tokenizer
from training.folder import RunFolder
from training.packing import cuts, pack
from training.storage import whole_directory

Tokens = NDArray[np.uint16]
SUMMARY_FILE = "dataset.json"
TRAINED_ON = (Purpose.TRAIN, Purpose.REPLAY, Purpose.ANCHOR)
MEASURED = (Purpose.HELDOUT, Purpose.FROZEN, Purpose.ANCHOR)


class RowSet(StrEnum):
    """What is packed together."""

    TRAINED = "trained"
    HELDOUT = "heldout"
    FROZEN = "frozen"
    ANCHOR = "anchor"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileCount(_Record):
    """Of one purpose; files without text count as files, with no tokens."""

    files: int
    tokens: int


class RowCount(_Record):
    """Of one set; `tokens` without padding, and those of them that are predicted."""

    rows: int
    tokens: int
    predicted: int


class Kept(_Record):
    """One file on disk."""

    size: int
    sha256: str


class DatasetSummary(_Record):
    """What a dataset holds; `options` are those it was made with."""

    options: TrainingOptions
    purposes: Mapping[Purpose, FileCount]
    sets: Mapping[RowSet, RowCount]
    files: Mapping[str, Kept]

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return -(-self.sets[RowSet.TRAINED].rows * self.options.epochs // self.options.batch_rows)


def prepare(
    folder: RunFolder,
    sources: Mapping[Purpose, Iterable[str]],
    *,
    tokenizer: Tokenizer,
    options: TrainingOptions,
) -> DatasetSummary:
    """Pack the texts of `sources` into `folder`; a whole dataset that is there is kept, whatever `sources` say.

    The same texts in the same order with the same options give the same bytes.

    Raises:
        NothingToTrain: no trained file has a token to predict.
        DiskFull: there is no dataset then.
    """
    if (kept := read_summary(folder)) is not None and kept.options == options:
        return kept
    sources = {**sources, Purpose.ANCHOR: list(sources.get(Purpose.ANCHOR, ()))}  # it is read twice
    files = {purpose: list(_tokenised(purpose, texts, tokenizer, options)) for purpose, texts in sources.items()}
    counts = {
        purpose: FileCount(files=len(each), tokens=sum(len(file) for file in each))
        for purpose, each in files.items()
    }
    sets = {RowSet(purpose): files.get(purpose, []) for purpose in MEASURED}
    sets[RowSet.TRAINED] = [file for purpose in TRAINED_ON for file in files.get(purpose, ())]
    plain = options.model_copy(update={"fim_rate": 0.0})  # what is measured is never rearranged
    sets[RowSet.ANCHOR] = list(_tokenised(Purpose.ANCHOR, sources[Purpose.ANCHOR], tokenizer, plain))
    if not any(len(file) > 1 for file in sets[RowSet.TRAINED]):
        raise NothingToTrain("the files of this run hold nothing to train on: ingest more of them")
    return _store(folder, sets, counts, options)


def read_summary(folder: RunFolder) -> DatasetSummary | None:
    """What the dataset in `folder` holds; None where it is missing or torn."""
    try:
        text = (folder.dataset / SUMMARY_FILE).read_text(encoding="utf-8")
        summary = DatasetSummary.model_validate_json(text)
        is_whole = all(_kept(folder.dataset / name) == kept for name, kept in summary.files.items())
    except (OSError, ValidationError):
        return None
    return summary if is_whole else None


def read_rows(folder: RunFolder, rows: RowSet) -> tuple[Tokens, Tokens]:
    """Tokens and segments of a set, (rows, row_tokens) each, read from disk as they are touched."""
    tokens, segments = (
        np.load(folder.dataset / f"{rows}.{kind}.npy", mmap_mode="r") for kind in ("tokens", "segments")
    )
    return tokens, segments


def _tokenised(
    purpose: Purpose, texts: Iterable[str], tokenizer: Tokenizer, options: TrainingOptions
) -> Iterator[Tokens]:
    """Each text as a file of its own: `<s>`, its tokens, `</s>`; nothing of an empty one."""
    begin, end = tokenizer.control("<s>"), tokenizer.control("</s>")
    rate = options.fim_rate if purpose in TRAINED_ON else 0.0
    for number, text in enumerate(texts):
        chance = random.Random(f"{options.seed}/{purpose}/{number}")  # noqa: S311 - reproducible by intent
        if not text:
            yield np.empty(0, np.uint16)
        elif chance.random() < rate:
            yield np.array([begin, *_rearranged(text, tokenizer, chance), end], np.uint16)
        else:
            yield np.array([begin, *tokenizer.encode_text(text), end], np.uint16)


def _rearranged(text: str, tokenizer: Tokenizer, chance: random.Random) -> list[int]:
    """What follows, then what goes before and, after it, what is missing: Mistral's order for filling in."""
    first, second = sorted(chance.randrange(len(text) + 1) for _ in range(2))
    suffix, prefix = tokenizer.encode_text(text[second:]), tokenizer.encode_text(text[:first])
    middle = tokenizer.encode_text(text[first:second])
    return [tokenizer.control("[SUFFIX]"), *suffix, tokenizer.control("[PREFIX]"), *prefix, *middle]


def _store(
    folder: RunFolder,
    sets: Mapping[RowSet, Sequence[Tokens]],
    counts: Mapping[Purpose, FileCount],
    options: TrainingOptions,
) -> DatasetSummary:
    with whole_directory(folder.dataset) as draft:
        rows = {name: _store_set(draft, name, files, options) for name, files in sets.items()}
        kept = {file.name: _kept(file) for file in sorted(draft.iterdir())}
        summary = DatasetSummary(options=options, purposes=counts, sets=rows, files=kept)
        (draft / SUMMARY_FILE).write_text(summary.model_dump_json(indent=1), encoding="utf-8")
    return summary


def _store_set(draft: Path, name: RowSet, files: Sequence[Tokens], options: TrainingOptions) -> RowCount:
    pieces = [file[begin:end] for file in files for begin, end in cuts(len(file), options.row_tokens)]
    rows = pack([len(piece) for piece in pieces], options.row_tokens)
    random.Random(f"{options.seed}/{name}").shuffle(rows)  # noqa: S311 - reproducible by intent
    tokens = np.zeros((len(rows), options.row_tokens), np.uint16)
    segments = np.zeros_like(tokens)
    for row, indices in enumerate(rows):
        begin = 0
        for segment, index in enumerate(indices, start=1):
            end = begin + len(pieces[index])
            tokens[row, begin:end], segments[row, begin:end] = pieces[index], segment
            begin = end
    np.save(draft / f"{name}.tokens.npy", tokens)
    np.save(draft / f"{name}.segments.npy", segments)
    filled = sum(len(piece) for piece in pieces)
    return RowCount(rows=len(rows), tokens=filled, predicted=filled - len(pieces))


def _kept(file: Path) -> Kept:
    with file.open("rb") as stream:
        return Kept(size=file.stat().st_size, sha256=hashlib.file_digest(stream, "sha256").hexdigest())
