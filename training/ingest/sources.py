"""From what the operator names to repositories: a root, a name, and the paths of its files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from core.errors import SourceUnusable
from training.ingest import git
from training.ingest.licences import licence_here, packaged_licences
from training.ingest.tree import LEFT_BY_TOOLS, is_repository, repositories, walk

_METADATA = (".dist-info", ".egg-info", ".data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """Files that belong together. `packaged` are licences by top-level name: see `Licences`."""

    root: Path
    name: str
    commit: str | None
    paths: tuple[str, ...]
    packaged: Mapping[str, str] = field(default_factory=dict)


def open_source(source: str, *, by_directory: bool = False) -> Iterator[Repository]:
    """The repositories of a path or URL; a clone lies on disk until the next is asked for.

    Raises SourceUnusable.
    """
    if git.is_url(source):
        yield from _cloned(source)
        return
    place = Path(source).absolute()
    if not place.exists():
        raise SourceUnusable(source, "there is no such file or directory")
    place = place.resolve()
    if not place.is_dir():
        yield _of_file(place)
    elif by_directory:
        yield from _by_directory(place)
    else:
        yield from _of_directory(place)


def _cloned(url: str) -> Iterator[Repository]:
    with TemporaryDirectory(prefix="mathcode-clone-", ignore_cleanup_errors=True) as directory:
        root = Path(directory) / "repository"
        git.clone(url, root)
        paths = git.tracked(root)
        yield Repository(
            root=root,
            name=git.name_of_url(url),
            commit=git.head(root),
            paths=tuple(walk(root) if paths is None else paths),
        )


def _of_file(place: Path) -> Repository:
    root = git.root_of(place.parent)
    if root is None:
        return _plain(place.parent, paths=(place.name,))
    return Repository(
        root=root,
        name=git.name_of(root),
        commit=git.head(root),
        paths=(str(place.relative_to(root)),),
    )


def _of_directory(place: Path) -> Iterator[Repository]:
    """The repository it belongs to, unless that ignores it; or each repository below it, and what is in none."""
    root = git.root_of(place)
    if root is not None and (versioned := _versioned(root, below=place)).paths:
        yield versioned
        return
    yield _plain(place, paths=tuple(walk(place, stops=True)))
    for root in repositories(place):
        yield _versioned(root, below=root)


def _versioned(root: Path, *, below: Path) -> Repository:
    """Files under version control; all, where git does not say which these are."""
    paths = git.tracked(root)
    if paths is None:
        paths = list(walk(root, stops=True))
    inside = str(below.relative_to(root))
    chosen = [path for path in paths if inside in (".", path) or path.startswith(inside + os.sep)]
    return Repository(root=root, name=git.name_of(root), commit=git.head(root), paths=tuple(chosen))


def _by_directory(place: Path) -> Iterator[Repository]:
    packaged, above = packaged_licences(place), licence_here(place)
    loose = []
    for entry in sorted(os.scandir(place), key=lambda entry: entry.name):
        if entry.is_file(follow_symlinks=False):
            loose.append(entry.name)
        elif entry.is_dir(follow_symlinks=False) and not _is_left_out(entry.name):
            licence = packaged.get(entry.name) or above
            yield _below(Path(entry.path), packaged={"": licence} if licence else {})
    if loose:
        yield Repository(root=place, name=str(place), commit=None, paths=tuple(loose), packaged=packaged)


def _is_left_out(name: str) -> bool:
    return name in LEFT_BY_TOOLS or name.endswith(_METADATA)


def _below(root: Path, *, packaged: Mapping[str, str]) -> Repository:
    if is_repository(root):
        return _versioned(root, below=root)
    return Repository(root=root, name=str(root), commit=None, paths=tuple(walk(root)), packaged=packaged)


def _plain(root: Path, *, paths: tuple[str, ...]) -> Repository:
    return Repository(root=root, name=str(root), commit=None, paths=paths, packaged=packaged_licences(root))
