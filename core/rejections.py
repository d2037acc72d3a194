"""Why a file of code is not for training: the names, and the check of a row that anybody wrote. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

MOST_BYTES = 512 * 1024
MOST_PATH = 4096
MOST_REPOSITORY = 1024


class Rejection(StrEnum):
    """Stored in `code_files.rejection`; `docs/corpus.md` says when each applies."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    BINARY = "binary"
    NOT_UTF8 = "not_utf8"
    UNREADABLE = "unreadable"
    NOT_CODE = "not_code"
    VENDORED = "vendored"
    GENERATED = "generated"
    MINIFIED = "minified"
    UNPARSABLE = "unparsable"
    SECRET = "secret"  # noqa: S105 -- the name of a reason
    LICENCE_UNKNOWN = "licence_unknown"
    LICENCE_FORBIDDEN = "licence_forbidden"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    SUPERSEDED = "superseded"  # a later content of the same file was kept before this one was trained on

    # Only rows that others wrote come to these.
    NO_REPOSITORY = "no_repository"
    NO_PATH = "no_path"
    ABSURD_PATH = "absurd_path"
    NO_CONTENT = "no_content"
    NO_SCORE = "no_score"
    ABSURD_SCORE = "absurd_score"


RECONSIDERED = (
    Rejection.LICENCE_UNKNOWN,
    Rejection.LICENCE_FORBIDDEN,
    Rejection.SUPERSEDED,
    Rejection.UNREADABLE,
)
"""Depend on more than the content: the next ingest that meets such a file looks at it again."""


def refusal(row: Mapping[str, Any]) -> str | None:
    """Why a row of `code_files` cannot be trained on, or None; a score that is too low is no refusal."""
    if row.get("rejection") is not None:
        return str(row["rejection"])
    for check in (_wrong_repository, _wrong_path, _wrong_content, _wrong_score):
        if (reason := check(row)) is not None:
            return reason.value
    return None


def _wrong_repository(row: Mapping[str, Any]) -> Rejection | None:
    repo = row.get("repo")
    is_name = isinstance(repo, str) and bool(repo.strip()) and len(repo) <= MOST_REPOSITORY
    return None if is_name else Rejection.NO_REPOSITORY


def _wrong_path(row: Mapping[str, Any]) -> Rejection | None:
    """Paths name files in a repository: relative, without a way out of it."""
    path = row.get("path")
    if not isinstance(path, str) or not path.strip():
        return Rejection.NO_PATH
    is_absurd = len(path) > MOST_PATH or path.startswith(("/", "\\")) or ".." in path.replace("\\", "/").split("/")
    return Rejection.ABSURD_PATH if is_absurd or not path.replace("\n", "").isprintable() else None


def _wrong_content(row: Mapping[str, Any]) -> Rejection | None:
    content = row.get("content")
    if not isinstance(content, str):
        return Rejection.NO_CONTENT
    if not content.strip():
        return Rejection.EMPTY
    if len(content) > MOST_BYTES or len(content.encode(errors="replace")) > MOST_BYTES:
        return Rejection.TOO_LARGE
    return _wrong_characters(content)


def _wrong_characters(content: str) -> Rejection | None:
    """What no text editor writes: NUL, other control characters in number, halves of surrogate pairs."""
    if "\0" in content:
        return Rejection.BINARY
    if not content.isascii() and any("\ud800" <= character <= "\udfff" for character in content):
        return Rejection.NOT_UTF8
    controls = sum(content.count(chr(code)) for code in range(1, 32) if chr(code) not in "\t\n\f\r\x1b")
    return Rejection.BINARY if controls * 100 > len(content) else None


def _wrong_score(row: Mapping[str, Any]) -> Rejection | None:
    score = row.get("quality_score")
    if score is None:
        return Rejection.NO_SCORE
    is_number = isinstance(score, int | float) and not isinstance(score, bool) and math.isfinite(score)
    return None if is_number and 0 <= score <= 100 else Rejection.ABSURD_SCORE
