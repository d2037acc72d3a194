"""Laws about the sources that keep strangers' bytes from becoming code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture.test_structure import MODULES, ROOT

PICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
SANDBOX = Path("training/sandboxed.py")
"""Runs a program, locked in: tests/unit/training/test_sandbox.py says how."""
FAMILIES = Path("training/mini/families.py")
"""Makes functions of text that stands in it."""
EVALUATING = {"eval", "exec", "compile", "__import__"}


def unsafe(tree: ast.AST) -> list[int]:
    """Lines that import a module which makes objects of bytes, load a torch file, or evaluate text."""
    return [node.lineno for node in ast.walk(tree) if _imports(node) or _calls(node)]


def _imports(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.partition(".")[0] in PICKLING for alias in node.names)
    return isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PICKLING


def _calls(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id in EVALUATING
    is_load = isinstance(node.func, ast.Attribute) and node.func.attr == "load"
    is_shell = any(word.arg in ("shell", "trust_remote_code", "allow_pickle") for word in node.keywords)
    return is_shell or (
        is_load and isinstance(node.func.value, ast.Name) and node.func.value.id in ("torch", "yaml")
    )


@pytest.mark.parametrize("module", [module for module in MODULES if module not in (SANDBOX, FAMILIES)], ids=str)
def test_nothing_unpickles_or_evaluates(module: Path) -> None:
    assert [f"{module}:{line}" for line in unsafe(ast.parse((ROOT / module).read_text(encoding="utf-8")))] == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from shelve import open",
        "import torch; torch.load('x')",
        "eval('1')",
        "import subprocess; subprocess.run('x', shell=True)",
        "AutoModel.from_pretrained('x', trust_remote_code=True)",
    ],
)
def test_the_scan_sees_what_is_unsafe(source: str) -> None:
    assert unsafe(ast.parse(source))
