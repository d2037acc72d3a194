"""`mathcode route` shows the router's decision without any model or server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from cli.route import route
from core.settings import load_settings

SEED_HYBRID = "Implement a numerical gradient descent algorithm with mathematical proof"


@pytest.fixture(autouse=True)
def _fresh_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """By keywords, whose reasons are known word for word."""
    monkeypatch.setenv("ROUTER", "keywords")
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def run(*arguments: str, stdin: bytes | None = None) -> str:
    result = CliRunner().invoke(route, arguments, input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_one_line_names_route_confidence_and_models() -> None:
    (line,) = run(SEED_HYBRID).splitlines()
    assert line.startswith("hybrid (confidence 0.")
    assert line.endswith("mathstral + codestral")


def test_explain_says_what_counted_for_what() -> None:
    lines = run("--explain", SEED_HYBRID).splitlines()
    assert "  math keyword 'proof'" in lines
    assert "  code keyword 'implement'" in lines


def test_json_is_one_object_with_the_reasons() -> None:
    decision = json.loads(run("--json", "Debug this"))
    assert decision["task_type"] == "code"
    assert decision["reasons"] == ["code keyword 'debug'"]


def test_a_dash_reads_standard_input_even_where_it_is_not_utf_8() -> None:
    assert run("-", stdin=b"prove the theorem \xff").startswith("math")


def test_an_empty_prompt_is_refused_with_advice() -> None:
    result = CliRunner().invoke(route, [" "])
    assert result.exit_code == 2
    assert "the prompt is empty" in result.output


def test_configured_keywords_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATHCODE_CODE_KEYWORDS", "Zig, ada")
    monkeypatch.setenv("MATHCODE_DEFAULT_TASK_TYPE", "hybrid")
    assert run("how is Zig?").startswith("code")
    assert run("how is the sea?").startswith("hybrid")


def test_the_learned_router_is_the_default_and_says_which_words_spoke(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROUTER")
    lines = run("--explain", SEED_HYBRID).splitlines()
    assert lines[0].startswith("hybrid")
    assert any("word 'algorithm'" in line for line in lines)
