"""Laws of clones that fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import SourceUnusable
from training.ingest.git import clone

UNREACHABLE = """\
Warning: Permanently added 'git.example' to the list of known hosts.
git@git.example: Permission denied (publickey).
fatal: Could not read from remote repository.

Please make sure you have the correct access rights
and the repository exists.
"""


def test_of_what_git_and_ssh_say_the_reason_is_told_and_no_advice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "said").write_text(UNREACHABLE)
    (tmp_path / "git").write_text(f"#!/bin/sh\n/bin/cat {tmp_path}/said >&2\nexit 128\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        SourceUnusable, match=r"cannot be cloned: git@git.example: Permission denied \(publickey\)\.$"
    ):
        clone("git@git.example:a/b.git", tmp_path / "into")
