"""From rows that anybody may have written to the manifest of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from core.manifests import CHUNK_FILES, FileRef, ManifestStore, NewFile
from core.rejections import Rejection, refusal
from core.training import Purpose, TrainingOptions
from training.ingest.git import blob_hash
from training.manifest import History, Manifest, compose


@dataclass(frozen=True, slots=True)
class Selection:
    """`rejected` counts rows by the reason that keeps them out from now on."""

    manifest: Manifest
    rejected: dict[str, int]


def select(
    store: ManifestStore, options: TrainingOptions, *, run_id: int, keeps_reasons: bool = True
) -> Selection:
    """Look at every new row, keep why one is unusable (unless only asked what would be), and choose."""
    rejected: dict[str, int] = {}
    usable: list[FileRef] = []
    seen: set[str] = set()
    for chunk in _chunks(store.new_files(min_quality_score=options.min_quality_score)):
        reasons = dict(_look(store, chunk, usable, seen))
        for reason in reasons.values():
            rejected[reason] = rejected.get(reason, 0) + 1
        if reasons and keeps_reasons:
            store.reject(reasons)
    history = History(
        trained=store.of_promoted(Purpose.TRAIN),
        heldout=store.of_promoted(Purpose.HELDOUT),
        frozen=store.of_promoted(Purpose.FROZEN),
        anchor=store.of_promoted(Purpose.ANCHOR),
    )
    manifest = compose(
        usable, history, most_files=options.max_files, replay_rate=options.replay_rate, run_id=run_id
    )
    return Selection(manifest, rejected)


def _look(
    store: ManifestStore, chunk: list[NewFile], usable: list[FileRef], seen: set[str]
) -> Iterator[tuple[int, str]]:
    """Add what is usable; yield the others with their reasons."""
    hashes = {file.id: blob_hash(file.content.encode(errors="surrogatepass")) for file in chunk}
    seen |= store.known(list(hashes.values()))
    for file in chunk:
        problem = refusal(asdict(file))
        if problem is None and hashes[file.id] in seen:
            problem = Rejection.DUPLICATE.value
        if problem is not None:
            yield file.id, problem
            continue
        seen.add(hashes[file.id])
        usable.append(FileRef(file.id, file.repo or "", file.path or "", hashes[file.id]))


def _chunks(files: Iterator[NewFile]) -> Iterator[list[NewFile]]:
    chunk: list[NewFile] = []
    for file in files:
        chunk.append(file)
        if len(chunk) == CHUNK_FILES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
