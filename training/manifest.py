"""Which files of those at hand a run trains on and is measured by (pure).

Repositories are held out whole and for ever, by a hash of their name, so no version was ever trained on what the
next one is judged by. Where that leaves nothing on one side, files are held out by a hash of repository and path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.manifests import FileRef
from core.training import Purpose

HELD_OUT_PERCENT = 5
MOST_MEASURED = 300
"""Files in a measured set: enough for a loss to a few thousandths, few enough for a minute."""
FEWEST_HELD_OUT = 20
"""Below it, held-out files of earlier cycles are measured too."""
MOST_ANCHORED = 100
ANCHORED_PERCENT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The files of promoted runs, the newest run first; all empty in the first cycle."""

    trained: Sequence[FileRef] = ()
    heldout: Sequence[FileRef] = ()
    frozen: Sequence[FileRef] = ()
    anchor: Sequence[FileRef] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`taken` are the new files that count as seen from now on; `notes` say what a reader should know."""

    files: Mapping[Purpose, Sequence[FileRef]]
    taken: Sequence[int]
    notes: Sequence[str]

    @property
    def hash(self) -> str:
        lines = (
            f"{purpose.value} {file.id} {file.blob_hash}\n"
            for purpose in Purpose
            for file in self.files.get(purpose, ())
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def compose(
    new: Sequence[FileRef], history: History, *, most_files: int, replay_rate: float, run_id: int
) -> Manifest:
    """The manifest of run `run_id`. Its trained set is empty where `new` has nothing to train on."""
    train, heldout, notes = _split(new, history)
    room = max(1, int(most_files * (1 - replay_rate)))
    if len(train) > room:
        notes.append(f"{len(train) - room} new files wait for the next cycle: MAX_DATASET_SIZE is {most_files}")
    train = train[:room]
    anchor = list(_first_run_of(history.anchor)) or _anchor_of(train)
    frozen = list(_first_run_of(history.frozen)) or _chosen(heldout, MOST_MEASURED, salt="frozen")
    measured = _chosen(heldout, MOST_MEASURED, salt=f"heldout {run_id}")
    if len(measured) < FEWEST_HELD_OUT:
        measured += _chosen(_without(history.heldout, measured), MOST_MEASURED - len(measured), salt="topped up")
    replayable = _without(history.trained, [*train, *anchor])
    count = round(len(train) * replay_rate / (1 - replay_rate))
    files = {
        Purpose.TRAIN: train,
        Purpose.REPLAY: _chosen(replayable, count, salt=f"replay {run_id}"),
        Purpose.HELDOUT: measured,
        Purpose.FROZEN: frozen,
        Purpose.ANCHOR: anchor,
    }
    return Manifest(files=files, taken=[file.id for file in [*train, *heldout]], notes=notes)


def is_held_out(key: str) -> bool:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()) % 100 < HELD_OUT_PERCENT


def _split(new: Sequence[FileRef], history: History) -> tuple[list[FileRef], list[FileRef], list[str]]:
    """Trained, held out, and what is to be said about it."""
    kept_back = {file.blob_hash for file in (*history.heldout, *history.frozen)}
    files = [file for file in new if file.blob_hash not in kept_back]
    heldout = [file for file in files if is_held_out(file.repo)]
    train = [file for file in files if not is_held_out(file.repo)]
    if (heldout or any(is_held_out(file.repo) for file in history.heldout)) and train:
        return train, heldout, []
    heldout = [file for file in files if is_held_out(_name(file))]
    if not heldout and len(files) > 1:
        heldout = [min(files, key=lambda file: _digest(_name(file)))]
    train = [file for file in files if file not in heldout]
    reason = (
        "every repository is held out"
        if files and all(is_held_out(f.repo) for f in files)
        else ("no repository is held out")
    )
    note = f"{reason} (1 in 20 is, by its name's hash): {len(heldout)} of {len(files)} files are, by their paths'"
    return train, heldout, [note]


def _first_run_of(files: Sequence[FileRef]) -> Sequence[FileRef]:
    """Every cycle has the set of the first one; listed newest run first, so the first copy of each is enough."""
    return list(dict.fromkeys(files))


def _anchor_of(train: Sequence[FileRef]) -> list[FileRef]:
    count = min(MOST_ANCHORED, max(1, len(train) * ANCHORED_PERCENT // 100)) if train else 0
    return _chosen(train, count, salt="anchor")


def _chosen(files: Iterable[FileRef], count: int, *, salt: str) -> list[FileRef]:
    """Up to `count` of `files`, each at most once: those first by a hash, so the same ones for the same salt."""
    return sorted(dict.fromkeys(files), key=lambda file: _digest(f"{salt} {file.id}"))[:count]


def _without(files: Iterable[FileRef], others: Iterable[FileRef]) -> list[FileRef]:
    excluded = {file.blob_hash for file in others}
    return [file for file in files if file.blob_hash not in excluded]


def _name(file: FileRef) -> str:
    return f"{file.repo}/{file.path}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
