"""From bytes to a row: what a file is, whether it may be kept, and its score. Knows no database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.code_files import CodeFile
from core.rejections import MOST_BYTES, Rejection
from training.ingest.byte_classes import ByteClasses
from training.ingest.git import blob_hash
from training.ingest.languages import language
from training.ingest.licence_expressions import is_permitted
from training.ingest.licences import Licences
from training.ingest.lint import Lint, lint
from training.ingest.origins import foreign
from training.ingest.quality import Subject, score
from training.ingest.redaction import redact
from training.ingest.secret_scan import SecretScanner
from training.ingest.tree import printable, read_regular

HEAD = 4000  # characters that say where a file comes from


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """A file as it was found. `data` is None where it could not be read, and cut where it is too large."""

    path: str
    data: bytes | None
    size_bytes: int

    @property
    def blob_hash(self) -> str:
        """The name git gives the content; of a file that was not read whole, what is known of it instead."""
        if self.data is None:
            return "unread"
        return f"size:{self.size_bytes}" if self.size_bytes > MOST_BYTES else blob_hash(self.data)


def read(root: Path, path: str) -> RawFile:
    """Read at most MOST_BYTES and one more; whatever happens to the file meanwhile."""
    data = read_regular(root / path, most_bytes=MOST_BYTES + 1)
    size = len(data) if data is not None else 0
    if size > MOST_BYTES:
        size = max(size, _size(root / path))
    return RawFile(path=printable(path), data=data, size_bytes=size)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the files of one repository have in common."""

    repo: str
    commit: str | None
    licences: Licences
    has_tests: bool


class Assessor:
    """Judges files; `allowed` are the SPDX identifiers that may be trained on."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(allowed)
        self._secrets = SecretScanner()

    def assess(self, files: Sequence[RawFile], context: Context) -> list[CodeFile]:
        """One row per file, in order; kept ones have content and score, and no bands yet."""
        rows: list[CodeFile] = []
        subjects: dict[int, Subject] = {}
        for position, file in enumerate(files):
            row, subject = self._look(file, context)
            rows.append(row)
            if subject is not None:
                subjects[position] = subject
        verdicts = lint({at: it.classes.data for at, it in subjects.items() if it.language == "python"})
        for position, subject in subjects.items():
            rows[position] = self._judge(rows[position], subject, verdicts.get(position))
        return rows

    def _look(self, file: RawFile, context: Context) -> tuple[CodeFile, Subject | None]:
        """The row as far as it is known before anything is parsed; no subject where that is all."""
        row = CodeFile(
            repo=context.repo,
            path=file.path,
            commit=context.commit,
            blob_hash=file.blob_hash,
            language=None,
            licence=None,
            size_bytes=file.size_bytes,
        )
        if (reason := _unusable(file)) is not None:
            return _rejected(row, reason), None
        data = file.data or b""
        if (spoken := language(file.path, data)) is None:
            return _rejected(row, Rejection.NOT_CODE), None
        row = replace(row, language=spoken)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            return _rejected(row, Rejection.NOT_UTF8, because=f"byte {error.start} is no UTF-8"), None
        return self._admit(row, text, context, data)

    def _admit(self, row: CodeFile, text: str, context: Context, data: bytes) -> tuple[CodeFile, Subject | None]:
        classes = ByteClasses(data)
        if (reason := foreign(row.path, text[:HEAD], classes)) is not None:
            return _rejected(row, reason), None
        row = replace(row, licence=context.licences.of(row.path, text))
        if row.licence is None:
            return _rejected(row, Rejection.LICENCE_UNKNOWN), None
        if not is_permitted(row.licence, self._allowed):
            return _rejected(row, Rejection.LICENCE_FORBIDDEN, because=f"{row.licence} is not allowed"), None
        return row, Subject(
            path=row.path,
            language=row.language or "",
            text=text,
            classes=classes,
            repository_has_tests=context.has_tests,
        )

    def _judge(self, row: CodeFile, subject: Subject, verdict: Lint | None) -> CodeFile:
        if verdict is not None and verdict.error is not None:
            return _rejected(row, Rejection.UNPARSABLE, because=verdict.error)
        if (kind := self._secrets.find(subject.text, subject.classes)) is not None:
            return _rejected(row, Rejection.SECRET, because=kind)
        quality = score(replace(subject, lint=verdict))
        content, redactions = redact(subject.text)
        reasons: dict[str, Any] = quality.reasons
        if redactions:
            reasons["redacted"] = {"points": 0, "because": f"{redactions} addresses"}
        return replace(row, content=content, quality_score=quality.value, reasons=reasons)


def _unusable(file: RawFile) -> Rejection | None:
    if file.data is None:
        return Rejection.UNREADABLE
    if not file.data.strip():
        return Rejection.EMPTY
    if file.size_bytes > MOST_BYTES:
        return Rejection.TOO_LARGE
    return Rejection.BINARY if b"\0" in file.data else None


def _rejected(row: CodeFile, reason: Rejection, *, because: str | None = None) -> CodeFile:
    return replace(row, rejection=reason.value, reasons={"because": because} if because else {})
