"""Laws of the small private files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dotenv import dotenv_values
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stack.files import keep_secret, make_directory, write_private
from stack.layout import Layout
from stack.services import publish

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="$\x7f"), max_size=40)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_file_is_its_owners_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "secret", "text")
    finally:
        os.umask(before)
    assert mode(tmp_path / "secret") == 0o600


def test_replacing_a_private_file_leaves_no_draft(tmp_path: Path) -> None:
    for text in ("one", "two"):
        write_private(tmp_path / "file", text)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "two"


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    first = keep_secret(tmp_path / "password")
    assert len(first) >= 32
    assert keep_secret(tmp_path / "password") == first


def test_an_empty_secret_is_made_afresh(tmp_path: Path) -> None:
    (tmp_path / "password").touch()
    assert keep_secret(tmp_path / "password")


def test_a_directory_that_exists_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir(mode=0o750)
    make_directory(tmp_path / "kept", mode=0o700)
    assert mode(tmp_path / "kept") == 0o750


def test_a_new_directory_has_exactly_the_mode_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_directory(tmp_path / "new", mode=0o711)
    finally:
        os.umask(before)
    assert mode(tmp_path / "new") == 0o711


@given(value=PRINTABLE)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_published_values_are_read_back_as_they_were(tmp_path: Path, value: str) -> None:
    layout = Layout(tmp_path)
    layout.run.mkdir(exist_ok=True)
    publish(layout, {"NAME": value, "OTHER": "x"})
    assert dotenv_values(layout.services_file) == {"NAME": value, "OTHER": "x"}
    assert mode(layout.services_file) == 0o600
