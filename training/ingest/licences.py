"""The licence of every file: what it says itself, the nearest licence file above it, or its package."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath
from typing import Any

from training.ingest.licence_expressions import spdx
from training.ingest.licence_texts import LONGEST_TEXT, licence_in_header, licence_of
from training.ingest.tree import read_regular

_FILES = re.compile(r"(un)?licen[cs]e([.-].*)?|copying([.-].*)?", re.IGNORECASE)
_CLASSIFIER = "License :: "


class Licences:
    """Answers for one repository at `root`; looks each directory up once.

    `declared` is what the operator says of all of it; `packaged` what the metadata of installed packages says, by
    top-level name, and under the empty name of whatever else there is.
    """

    def __init__(
        self, root: Path, *, declared: str | None = None, packaged: Mapping[str, str] | None = None
    ) -> None:
        self._root = root
        self._declared = declared
        self._packaged = packaged or {}
        self._by_directory: dict[PurePosixPath, str | None] = {}

    def of(self, path: str, text: str) -> str | None:
        """The SPDX expression for the file at `path`, or None where nobody says."""
        if self._declared is not None:
            return self._declared
        place = PurePosixPath(path)
        return licence_in_header(text) or self._of_directory(place.parent) or self._of_package(place)

    def _of_package(self, place: PurePosixPath) -> str | None:
        return self._packaged.get(place.parts[0]) or self._packaged.get("")

    def _of_directory(self, directory: PurePosixPath) -> str | None:
        if directory not in self._by_directory:
            found = licence_here(self._root / directory)
            if found is None and directory != PurePosixPath():
                found = self._of_directory(directory.parent)
            self._by_directory[directory] = found
        return self._by_directory[directory]


def packaged_licences(site: Path) -> dict[str, str]:
    """What the packages installed in a directory say, by the top-level names they put there."""
    found: dict[str, str] = {}
    for package in distributions(path=[str(site)]):
        licence = _stated(package)
        if licence is not None:
            found |= dict.fromkeys(_top_level(package), licence)
    return found


def _top_level(package: Distribution) -> Iterable[str]:
    try:
        return {file.parts[0] for file in package.files or () if file.parts[0] not in {"..", "/"}}
    except (OSError, ValueError):  # a record that cannot be read names nothing
        return ()


def _stated(package: Distribution) -> str | None:
    """The first field that names a licence; of several classifiers, a file needs all, for nothing says which."""
    fields = package.metadata
    for name in ("License-Expression", "License"):
        stated = fields[name] if name in fields else ""  # noqa: SIM401 -- its type has no `get`
        if (found := spdx(str(stated).strip()) or licence_of(str(stated))) is not None:
            return found
    classifiers = [
        str(value) for value in fields.get_all("Classifier") or () if str(value).startswith(_CLASSIFIER)
    ]
    names = [spdx(value.rpartition(" :: ")[2]) for value in classifiers]
    return " AND ".join(sorted({name for name in names if name})) if names and all(names) else None


def licence_here(directory: Path) -> str | None:
    """By the licence files of a directory; several that are known all apply. Else by its package file."""
    try:
        names = sorted(entry.name for entry in directory.iterdir() if _FILES.fullmatch(entry.name))
    except OSError:
        return None
    texts = (read_regular(directory / name, most_bytes=LONGEST_TEXT) for name in names)
    found = {licence_of(text.decode("utf-8", "replace")) for text in texts if text}
    if found:
        return " AND ".join(sorted(name for name in found if name)) if None not in found else None
    return _in_package_file(directory)


def _in_package_file(directory: Path) -> str | None:
    data = read_regular(directory / "pyproject.toml", most_bytes=LONGEST_TEXT)
    if data is None:
        return None
    try:
        project: Any = tomllib.loads(data.decode("utf-8", "replace")).get("project", {})
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    stated = project.get("license") if isinstance(project, dict) else None
    return spdx(stated) if isinstance(stated, str) else None
