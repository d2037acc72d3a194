"""Laws about the documents: generated ones are current, and what they point at exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.settings import variables
from core.settings_reference import render

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if path.is_file()
)


def text_of(document: Path) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def test_the_configuration_page_is_what_the_settings_say() -> None:
    assert text_of(Path("docs/configuration.md")) == render(), "run `make docs`"


@pytest.mark.parametrize("name", list(variables()))
def test_every_setting_has_a_description(name: str) -> None:
    assert variables()[name].description
    assert f"| `{name}` |" in render()


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_variable_named_in_a_document_is_a_setting(document: Path) -> None:
    named = set(re.findall(r"\bMATHCODE_[A-Z0-9_]+\b", text_of(document)))
    assert named <= set(variables())


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_local_link_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", text_of(document))
    assert [target for target in targets if not (ROOT / document.parent / target).exists()] == []


def test_the_readme_names_every_folder_of_sources() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    readme = text_of(Path("README.md"))
    assert [folder for folder in sorted(folders) if f"`{folder}/" not in readme] == []


def test_every_make_target_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of(Path("Makefile")), flags=re.MULTILINE))
    named = {name for document in DOCUMENTS for name in re.findall(r"`make ([a-z]+)", text_of(document))}
    assert named <= targets


@pytest.mark.parametrize("document", [Path("docs/promises.md"), Path("docs/security.md")], ids=str)
def test_every_test_a_document_names_exists(document: Path) -> None:
    """A promise whose test was renamed or removed is nobody's promise any more."""
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text_of(document))
    assert len(named) > 10
    missing = [f"{path}::{name}" for path, name in named if not _has_test(ROOT / path, name)]
    assert missing == []


def _has_test(path: Path, name: str) -> bool:
    return path.is_file() and (not name or f"\ndef {name}(" in path.read_text(encoding="utf-8"))
