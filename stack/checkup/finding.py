"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it serves, but not as it could
    FAILED = "failed"  # it does not serve


@dataclass(frozen=True, slots=True)
class Finding:
    """`remedy` says what to do, and is empty where all is well."""

    subject: str
    mark: Mark
    words: str
    remedy: str = ""


def ok(subject: str, words: str) -> Finding:
    return Finding(subject, Mark.OK, words)


def warning(subject: str, words: str, remedy: str) -> Finding:
    return Finding(subject, Mark.WARNING, words, remedy)


def failed(subject: str, words: str, remedy: str) -> Finding:
    return Finding(subject, Mark.FAILED, words, remedy)
