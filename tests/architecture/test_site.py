"""The documents as a site: built strictly, complete, and from here alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.harness import ROOT

DOCUMENTS = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md"))
ELSEWHERE = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)")


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", config, "--site-dir", site],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` builds it: a dead link, a dead anchor or a document outside `nav` ends it."""
    target = tmp_path_factory.mktemp("site")
    built = build(ROOT / "mkdocs.yml", target)
    assert built.returncode == 0, built.stderr
    return target


def test_every_document_has_a_page_that_the_navigation_names(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    pages = ["index.html" if name == "index.md" else name.removesuffix(".md") + ".html" for name in DOCUMENTS]
    pages = [page.replace("README.html", "index.html") for page in pages]
    assert [page for page in pages if not (site / page).is_file()] == []
    linked = set(re.findall(r'href="?([\w/.-]+\.html)', home)) | {"index.html"}
    assert [page for page in pages if page not in linked] == []


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(DOCUMENTS)  # and the page of what is not found
    texts = [page.read_text(encoding="utf-8") for page in pages]
    assert {found for text in texts for found in ELSEWHERE.findall(text)} == set()
    # Material fetches mermaid from elsewhere as soon as a page has a diagram of it: pictures are SVG here.
    assert [page.name for page, text in zip(pages, texts, strict=True) if "mermaid" in text] == []
    assert [
        path.name for path in site.rglob("*.css") if re.search(r"url\([\"']?(https?:)?//", path.read_text())
    ] == []


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "pictures").glob("*.svg")), ids=lambda path: path.name)
def test_every_picture_is_shown_named_and_for_light_and_dark(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    assert "href" not in text  # nothing is fetched
    assert "prefers-color-scheme: dark" in text
    root = ElementTree.fromstring(text)  # noqa: S314  it is ours
    assert [child.tag.rpartition("}")[2] for child in root][:2] == ["title", "desc"]
    shown = f"](pictures/{picture.name})"
    assert any(shown in (ROOT / "docs" / name).read_text(encoding="utf-8") for name in DOCUMENTS)


@pytest.mark.parametrize(
    "mistake", ["[a](nowhere.md)", "[a](operations.md#nowhere)", "[a](/operations.md)"], ids=str
)
def test_a_strict_build_refuses(mistake: str, tmp_path: Path) -> None:
    """So that the build above is known to look."""
    docs = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", docs)
    with (docs / "index.md").open("a", encoding="utf-8") as file:
        file.write(f"\n{mistake}\n")
    shutil.copy2(ROOT / "mkdocs.yml", tmp_path)
    assert build(tmp_path / "mkdocs.yml", tmp_path / "site").returncode != 0


def test_a_strict_build_refuses_a_document_outside_the_navigation(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    (tmp_path / "docs" / "forgotten.md").write_text("# Forgotten\n", encoding="utf-8")
    shutil.copy2(ROOT / "mkdocs.yml", tmp_path)
    built = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert built.returncode != 0
    assert "forgotten.md" in built.stderr
