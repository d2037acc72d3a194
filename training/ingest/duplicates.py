"""Copies and near copies: a batch compared with itself and with everything that is kept already."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from core.code_files import Candidate, CodeFile, CodeFileStore
from core.errors import DatabaseUnavailable
from core.rejections import Rejection
from training.ingest.byte_classes import ByteClasses
from training.ingest.minhash import (
    LEAST_GRAMS,
    THRESHOLD,
    Hashes,
    Powers,
    bands,
    shingles,
    signature,
    similarity,
)

REMEMBERED = 20_000  # signatures of stored files, 1 KiB each
MOST_COMPARED = 50  # of the files that share a band with one, those that share most
ROUNDS = 10


@dataclass(frozen=True, slots=True)
class _Fingerprint:
    least: Hashes
    bands: Sequence[int]


class Duplicates:
    """Stores batches without copies. Not for several threads at once; several processes may each have one."""

    def __init__(self, store: CodeFileStore) -> None:
        self._store = store
        self._powers = Powers()
        self._remembered: OrderedDict[int, Hashes] = OrderedDict()

    def store(self, files: Sequence[CodeFile]) -> list[CodeFile]:
        """Store every file, as kept or as a duplicate; what became of each, unless another ingest stored it."""
        fingerprints = {id_of(file): self._fingerprint(file) for file in files if file.is_kept}
        pending, decided = list(files), []
        for _ in range(ROUNDS):
            judged = self._compare(pending, fingerprints)
            blocked = set(self._store.store(judged))
            decided += [file for position, file in enumerate(judged) if position not in blocked]
            names = {id_of(file) for position, file in enumerate(judged) if position in blocked}
            pending = [file for file in pending if id_of(file) in names]
            if not pending:
                return decided
        raise DatabaseUnavailable("too many ingests run at once: try again later")

    def _fingerprint(self, file: CodeFile) -> _Fingerprint | None:
        grams = shingles(ByteClasses((file.content or "").encode()), self._powers)
        if len(grams) < LEAST_GRAMS:
            return None
        least = signature(grams)
        return _Fingerprint(least, bands(least))

    def _compare(
        self, files: Sequence[CodeFile], fingerprints: dict[tuple[str, str, str], _Fingerprint | None]
    ) -> list[CodeFile]:
        kept = [file for file in files if file.is_kept]
        judged = self._without_near(self._without_copies(kept), fingerprints)
        return [file for file in files if not file.is_kept] + judged

    def _without_copies(self, files: Sequence[CodeFile]) -> list[CodeFile]:
        """Those stored already under the same name are left out, copies under another are rejected."""
        stored = self._store.holders({file.blob_hash for file in files if file.blob_hash})
        first: dict[str, tuple[str, str]] = {}
        judged = []
        for file in files:
            name, content = (file.repo, file.path), file.blob_hash or ""
            if stored.get(content) == name:
                continue
            holder = stored.get(content) or first.setdefault(content, name)
            judged.append(file if holder == name else _duplicate(file, Rejection.DUPLICATE, *holder))
        return judged

    def _without_near(
        self, files: Sequence[CodeFile], fingerprints: dict[tuple[str, str, str], _Fingerprint | None]
    ) -> list[CodeFile]:
        prints = [fingerprints[id_of(file)] if file.is_kept else None for file in files]
        candidates = self._candidates(prints)
        in_batch: dict[int, list[int]] = defaultdict(list)
        judged = []
        for position, (file, found) in enumerate(zip(files, prints, strict=True)):
            if found is None:
                judged.append(file)
                continue
            twin = self._twin(file, found, candidates[position]) or _twin_in_batch(
                file, found, [(files[at], prints[at]) for at in _sharing(found, in_batch)]
            )
            judged.append(twin or _compared(file, found, candidates[position]))
            if twin is None:
                for key in found.bands:
                    in_batch[key].append(position)
        return judged

    def _candidates(self, prints: Sequence[_Fingerprint | None]) -> dict[int, list[Candidate]]:
        """By position; signatures of all of them are remembered on return."""
        found: dict[int, list[Candidate]] = defaultdict(list)
        for candidate in self._store.candidates([each.bands if each else () for each in prints]):
            found[candidate.position].append(candidate)
        self._remember({candidate.id for group in found.values() for candidate in group[:MOST_COMPARED]})
        return found

    def _twin(self, file: CodeFile, found: _Fingerprint, candidates: Sequence[Candidate]) -> CodeFile | None:
        """The file, rejected, if something kept is nearly the same; an earlier content of it does not count."""
        for candidate in candidates[:MOST_COMPARED]:
            least = self._remembered.get(candidate.id)
            if least is None or (candidate.repo, candidate.path) == (file.repo, file.path):
                continue
            if (alike := similarity(found.least, least)) >= THRESHOLD:
                return _duplicate(file, Rejection.NEAR_DUPLICATE, candidate.repo, candidate.path, alike=alike)
        return None

    def _remember(self, ids: set[int]) -> None:
        for number, content in self._store.contents(ids - self._remembered.keys()).items():
            self._remembered[number] = signature(shingles(ByteClasses(content.encode()), self._powers))
        for number in ids & self._remembered.keys():
            self._remembered.move_to_end(number)
        while len(self._remembered) > max(REMEMBERED, len(ids)):
            self._remembered.popitem(last=False)


def id_of(file: CodeFile) -> tuple[str, str, str]:
    """What makes a file the same one: as the unique index has it."""
    return file.repo, file.path, file.blob_hash or ""


def _sharing(found: _Fingerprint, in_batch: dict[int, list[int]]) -> list[int]:
    return sorted({position for key in found.bands for position in in_batch.get(key, ())})


def _twin_in_batch(
    file: CodeFile, found: _Fingerprint, others: Iterable[tuple[CodeFile, _Fingerprint | None]]
) -> CodeFile | None:
    for other, theirs in others:
        if theirs is not None and (alike := similarity(found.least, theirs.least)) >= THRESHOLD:
            return _duplicate(file, Rejection.NEAR_DUPLICATE, other.repo, other.path, alike=alike)
    return None


def _compared(file: CodeFile, found: _Fingerprint, candidates: Iterable[Candidate]) -> CodeFile:
    return replace(file, bands=found.bands, compared=frozenset(candidate.id for candidate in candidates))


def _duplicate(file: CodeFile, reason: Rejection, repo: str, path: str, *, alike: float | None = None) -> CodeFile:
    likeness = "the same content as" if alike is None else f"{alike:.0%} like"
    return replace(
        file,
        content=None,
        quality_score=None,
        rejection=reason.value,
        reasons={"because": f"{likeness} {path} of {repo}"},
    )
