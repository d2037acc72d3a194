"""What documents tell people to type exists: commands with their options, modules, routes, and what is printed."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
from click.testing import CliRunner

from api.app import create_app
from api.openapi import build
from cli.main import main
from core.settings import load_settings, read_settings, variables
from tasks.queues import QueueName
from tests.harness import ROOT

DOCUMENTS = ["README.md", "CONTRIBUTING.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md"))]
BLOCK = re.compile(r"^```console\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
TRAINER = {("/health", "get"), ("/metrics", "get"), ("/metrics/prometheus", "get")}
TRAINER_PORT = 8092


def typed(document: str) -> Iterator[list[str]]:
    """The words of every command in console blocks: variables before it, prompts and comments taken away."""
    for block in BLOCK.findall((ROOT / document).read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                yield from _commands(line.removeprefix("$ "))


def _commands(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set(";|&"):
            while words and re.match(r"[A-Z_]+=", words[0]):
                words.pop(0)
            if words:
                yield words
            words = []
        else:
            words.append(word)


COMMANDS = [(document, words) for document in DOCUMENTS for words in typed(document)]


def of(program: str) -> list[Any]:
    found = [(document, words[1:]) for document, words in COMMANDS if Path(words[0]).name == program]
    assert found, f"no document types {program}"
    return [pytest.param(words, id=f"{document}: {' '.join(words)[:60]}") for document, words in found]


def complaint(words: list[str]) -> str | None:
    """What the command line's own parser says to `words`; nothing runs."""
    context = click.Context(main, info_name="mathcode")
    command: click.Command = main
    try:
        while isinstance(command, click.Group):
            name, found, words = command.resolve_command(context, words)
            assert found is not None
            if isinstance(found, click.Group):
                context = click.Context(found, parent=context, info_name=name)
            else:
                found.make_context(name, list(words), parent=context)
            command = found
    except click.UsageError as error:
        # A file that the reader has and this test has not is no mistake of the document.
        return None if "does not exist" in error.format_message() else error.format_message()
    return None


@pytest.mark.parametrize("words", of("mathcode"))
def test_every_command_line_is_understood(words: list[str]) -> None:
    assert complaint(words) is None


@pytest.mark.parametrize(
    "line",
    ["ask hi --loud", "asks hi", "engine slep mathstral", "engine sleep", "ask hi --force maths"],
    ids=str,
)
def test_a_line_that_would_be_refused_is_noticed(line: str) -> None:
    assert complaint(line.split())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_subcommand_named_in_passing_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:\.venv/bin/)?mathcode ([a-z]+)", text))
    assert named <= set(main.commands)


@pytest.mark.parametrize("words", of("make"))
def test_every_target_exists(words: list[str]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(words) <= targets


@pytest.mark.parametrize("words", of("python"))
def test_every_module_exists(words: list[str]) -> None:
    if words[0] == "-m":
        assert find_spec(words[1])
    else:
        assert words[0] == "-c"
        compile(words[1], "<document>", "exec")


@pytest.mark.parametrize("words", of("celery"))
def test_every_worker_serves_a_queue(words: list[str]) -> None:
    assert words[0] == "-A"
    assert find_spec(words[1])
    assert words[2] in {"worker", "beat", "control"}
    if words[2] == "worker":
        assert words[words.index("-Q") + 1] in set(QueueName)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_exported_variable_of_ours_is_a_setting(document: str) -> None:
    foreign = {"PATH", "PIP_EXTRA_INDEX_URL"}
    for block in BLOCK.findall((ROOT / document).read_text(encoding="utf-8")):
        named = set(re.findall(r"(?:^\$ |\bexport |\s)([A-Z][A-Z0-9_]+)=", block, flags=re.MULTILINE))
        assert named - foreign <= set(variables())


@pytest.fixture(scope="module")
def routes() -> set[tuple[str, str]]:
    """(path, method) of the OpenAPI document; nothing has to run for it."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("MATHCODE_")]:
            environment.delenv(name)
        environment.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
        environment.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
        paths = build(create_app(read_settings()))["paths"]
    return {(path, method) for path, methods in paths.items() for method in methods}


def is_served(path: str, method: str, routes: set[tuple[str, str]]) -> bool:
    """`{id}`, `ID` or an id itself may stand where the document has a parameter."""
    steps = path.rstrip("/").split("/")
    return any(
        method == known
        and len(steps) == len(parts := route.rstrip("/").split("/"))
        and all(part.startswith("{") or part == step for part, step in zip(parts, steps, strict=True))
        for route, known in routes
    )


@pytest.mark.parametrize("words", of("curl"))
def test_every_curl_names_a_route(words: list[str], routes: set[tuple[str, str]]) -> None:
    (url,) = [urlsplit(word) for word in words if word.startswith("http://")]
    method = "get"
    if "-X" in words:
        method = words[words.index("-X") + 1].lower()
    elif {"-d", "-F"} & set(words):
        method = "post"
    assert is_served(url.path, method, TRAINER if url.port == TRAINER_PORT else routes)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_route_named_in_passing_exists(document: str, routes: set[tuple[str, str]]) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r"\b(GET|POST|PUT|PATCH|DELETE) (/[\w{}/.-]*[\w}])", text)
    assert [(path, method) for method, path in named if not is_served(path, method.lower(), routes)] == []


def explained() -> list[Any]:
    """Each `route --explain` under which a document shows what is printed."""
    shown = re.compile(r"^\$ (mathcode route --explain.*)\n((?:[^$`].*\n)+)", re.MULTILINE)
    found = [
        pytest.param(*match.groups(), id=document)
        for document in DOCUMENTS
        for match in shown.finditer((ROOT / document).read_text(encoding="utf-8"))
    ]
    assert found
    return found


@pytest.mark.parametrize(("line", "shown"), explained())
def test_what_a_document_shows_of_route_is_printed(
    line: str, shown: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`...` stands for lines that are left out."""
    monkeypatch.setenv("MATHCODE_DATA_DIR", str(tmp_path))
    load_settings.cache_clear()
    printed = CliRunner().invoke(main, shlex.split(line, comments=True)[1:])
    load_settings.cache_clear()
    assert printed.exit_code == 0
    lines = iter(printed.stdout.splitlines())
    assert [said for said in shown.splitlines() if said.strip() != "..." and said not in lines] == [], (
        printed.stdout
    )
