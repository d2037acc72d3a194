"""Laws about the sources themselves: who imports whom, who reads the environment, how long files are."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("api", "cli", "core", "ensemble", "stack", "tasks", "training", "worker")
MOST_LINES = 300
JUNK_DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
SETTINGS = Path("core/settings.py")
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}


def our_modules() -> list[Path]:
    nested = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [path.relative_to(ROOT) for path in [*sorted(ROOT.glob("*.py")), *nested]]


def all_sources() -> list[Path]:
    others = [path for folder in ("tests", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
    return [*our_modules(), *(path.relative_to(ROOT) for path in others)]


MODULES = our_modules()


def test_imports_keep_their_contracts() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("module", [module for module in MODULES if module != SETTINGS], ids=str)
def test_only_the_settings_read_the_environment(module: Path) -> None:
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    assert [f"{module}:{line}" for line in environment_reads(tree)] == []


@pytest.mark.parametrize(
    "source",
    [
        "import os; os.environ['A']",
        "import os as o; o.environ.get('A')",
        "import os; os.getenv('A')",
        "from os import environ",
        "from os import getenv as g",
        "import os; os.putenv('A', 'b')",
    ],
)
def test_the_scan_sees_every_way_to_the_environment(source: str) -> None:
    assert environment_reads(ast.parse(source))


def environment_reads(tree: ast.AST) -> list[int]:
    """Line numbers where `tree` reaches for the environment through `os`, whatever it calls that."""
    nodes = list(ast.walk(tree))
    aliases = {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "os"
    }
    return [node.lineno for node in nodes if _is_read(node, aliases)]


def _is_read(node: ast.AST, aliases: set[str]) -> TypeGuard[ast.Attribute | ast.ImportFrom]:
    if isinstance(node, ast.Attribute):
        return node.attr in ENVIRONMENT and isinstance(node.value, ast.Name) and node.value.id in aliases
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(alias.name in ENVIRONMENT for alias in node.names)
    return False


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_module_is_a_junk_drawer(module: Path) -> None:
    assert not JUNK_DRAWERS & {part.lower() for part in module.with_suffix("").parts}


@pytest.mark.parametrize("source", all_sources(), ids=str)
def test_no_file_is_too_long_to_read_at_once(source: Path) -> None:
    assert len((ROOT / source).read_text(encoding="utf-8").splitlines()) <= MOST_LINES
