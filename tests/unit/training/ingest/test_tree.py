"""Laws of walking: regular files of the tree and nothing else, whatever lies in it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from core.errors import SourceUnusable
from training.ingest import git
from training.ingest.assessment import read
from training.ingest.languages import language
from training.ingest.sources import open_source
from training.ingest.tree import printable, read_regular, walk


def test_links_pipes_sockets_and_what_tools_leave_are_passed_over(tmp_path: Path) -> None:
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    outside.mkdir()
    (outside / "secret.py").write_text("x = 1\n")
    for directory in ("a", ".git", "__pycache__"):
        (tree / directory).mkdir(parents=True)
        (tree / directory / "b.py").write_text("x = 1\n")
    (tree / "loop").symlink_to(tree)
    (tree / "out").symlink_to(outside)
    (tree / "out.py").symlink_to(outside / "secret.py")
    os.mkfifo(tree / "pipe.py")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tree / "socket.py"))
        assert list(walk(tree)) == ["a/b.py"]


def test_what_became_something_else_since_it_was_listed_is_unreadable(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "link.py").symlink_to("/etc/hostname")
    (tmp_path / "directory.py").mkdir()
    for name in ("pipe.py", "link.py", "directory.py", "vanished.py", "nul\0.py"):
        assert read_regular(tmp_path / name, most_bytes=10) is None
    assert read(tmp_path, "vanished.py").blob_hash == "unread"


def test_names_that_are_no_text_can_be_stored(tmp_path: Path) -> None:
    for name in (b"new\nline.py", b"latin\xfc.py", b"tab\t.py"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"x = 1\n")
    names = [printable(path) for path in walk(tmp_path)]
    assert sorted(names) == ["latin\\xfc.py", "new\nline.py", "tab\t.py"]
    assert all(read(tmp_path, path).size_bytes == 6 for path in walk(tmp_path))


def test_a_deep_tree_ends(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*(["d"] * 200))
    deep.mkdir(parents=True)
    (deep / "a.py").write_text("x = 1\n")
    assert list(walk(tmp_path)) == []


def test_the_hash_is_the_one_git_gives() -> None:
    assert git.blob_hash(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.py", b"", "python"),
        ("a.rs", b"", "rust"),
        ("a.tsx", b"", "typescript"),
        ("run", b"#!/usr/bin/env python3.11\n", "python"),
        ("run", b"#!/usr/bin/env -S bash -e\n", "shell"),
        ("run", b"#!\xff\xfe\n", None),
        ("a.json", b"#!/bin/sh\n", None),
        ("run", b"hello", None),
    ],
)
def test_languages_by_name_and_by_first_line(name: str, data: bytes, expected: str | None) -> None:
    assert language(name, data) == expected


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://user:token@git.example/owner/name.git", "git.example/owner/name"),
        ("ssh://git@git.example:22/owner/name", "git.example/owner/name"),
        ("git@git.example:owner/name.git", "git.example/owner/name"),
        ("file:///srv/name.git", "/srv/name"),
    ],
)
def test_a_repository_has_one_name_without_passwords(url: str, name: str) -> None:
    assert git.name_of_url(url) == name


@pytest.mark.parametrize(
    "source", ["git://a.example/b", "http://a.example/b", "ext::sh -c id", "ftp://a/b", "/no/such/directory"]
)
def test_sources_that_cannot_be_used_are_refused_in_a_sentence(source: str) -> None:
    with pytest.raises(SourceUnusable):
        list(open_source(source))


def test_a_url_is_never_an_option_of_git(tmp_path: Path) -> None:
    with pytest.raises(SourceUnusable, match="dash"):
        git.clone("--upload-pack=touch x", tmp_path / "into")


def test_a_clone_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(SourceUnusable, match="within"):
        port = silent.getsockname()[1]
        git.clone(f"https://127.0.0.1:{port}/a/b", tmp_path / "into", timeout_s=0.5)
