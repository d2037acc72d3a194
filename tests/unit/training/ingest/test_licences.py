"""Laws of licences: who says, in which order, and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.training_settings import PERMISSIVE
from training.ingest.licence_expressions import is_permitted, spdx
from training.ingest.licence_texts import licence_of
from training.ingest.licences import Licences, packaged_licences

MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy ... shall be included in all"
GPL = "GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mit", "MIT"),
        ("Apache License 2.0", "Apache-2.0"),
        ("BSD License", "BSD-3-Clause"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("whatever you like", None),
        ("M" * 10_000, None),
    ],
)
def test_names_that_people_write_become_identifiers(text: str, name: str | None) -> None:
    assert spdx(text) == name


@pytest.mark.parametrize(
    ("expression", "permitted"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("MIT AND (GPL-3.0-only OR Apache-2.0)", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("", False),
        ("(MIT", False),
        ("(" * 5000 + "MIT" + ")" * 5000, False),
    ],
)
def test_or_needs_one_side_and_and_both(expression: str, permitted: bool) -> None:
    assert is_permitted(expression, PERMISSIVE) == permitted


def test_the_file_itself_has_the_last_word_then_the_nearest_directory(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text(MIT)
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "COPYING").write_text(GPL)
    licences = Licences(tmp_path)
    assert licences.of("a.py", "") == "MIT"
    assert licences.of("part/deep/a.py", "") == "GPL-3.0-only"
    assert licences.of("part/a.py", "# SPDX-License-Identifier: ISC\n") == "ISC"


def test_the_operator_has_the_very_last_word(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text(GPL)
    assert Licences(tmp_path, declared="MIT").of("a.py", "") == "MIT"


def test_nobody_saying_anything_is_unknown_and_so_is_a_text_nobody_knows(tmp_path: Path) -> None:
    assert Licences(tmp_path).of("a.py", "") is None
    (tmp_path / "LICENSE").write_text("All of this is mine.")
    assert Licences(tmp_path).of("a.py", "") is None


def test_several_licence_files_all_apply(tmp_path: Path) -> None:
    (tmp_path / "LICENSE.mit").write_text(MIT)
    (tmp_path / "LICENSE.gpl").write_text(GPL)
    assert Licences(tmp_path).of("a.py", "") == "GPL-3.0-only AND MIT"


def test_a_restriction_ahead_of_a_known_text_makes_it_unknown() -> None:
    assert licence_of(f'"Commons Clause" License Condition v1.0\n{MIT}') is None


def test_a_licence_behind_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(MIT)
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "LICENSE").symlink_to(tmp_path / "elsewhere")
    assert Licences(tmp_path / "repo").of("a.py", "") is None


def test_installed_packages_are_known_by_their_metadata(tmp_path: Path) -> None:
    metadata = tmp_path / "thing-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\nClassifier: License :: OSI Approved :: MIT License\n"
    )
    (metadata / "RECORD").write_text("thing/__init__.py,,\nloose.py,,\n../../bin/thing,,\n")
    assert packaged_licences(tmp_path) == {"thing": "MIT", "loose.py": "MIT"}
    assert Licences(tmp_path, packaged={"thing": "MIT"}).of("thing/a.py", "") == "MIT"
