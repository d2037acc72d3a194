"""Every parser of bytes from outside, given bytes that nobody meant: `python -m tests.parsers --inputs 1000000`.

Each is sent what hypothesis makes of a valid example (bytes changed, cut, repeated) and of nothing at all. It may
refuse by the one error that callers are told, and nothing else may leave it. see `tests/unit/test_parsers.py`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from safetensors.torch import save
from werkzeug.datastructures import MultiDict

from api.formats.batches import parse_batch, parse_batch_page, parse_file_page
from api.formats.events import parse_following
from api.formats.native import parse_page, parse_submission
from core.dialects.batch_lines import parse_line
from core.dialects.openai import parse as parse_call
from core.errors import AdapterError, InvalidRequest
from core.jsonl import split_lines
from core.messages import Strategy
from core.webhook_urls import check_url
from ensemble.engine.adapter import CONFIG_FILE, WEIGHTS_FILE, read_adapter
from training.ingest.byte_classes import ByteClasses
from training.ingest.languages import language
from training.ingest.licence_expressions import is_permitted, spdx
from training.ingest.licence_texts import licence_in_header, licence_of
from training.ingest.redaction import redact
from training.ingest.secret_scan import SecretScanner

CHAT = "/v1/chat/completions"
SEED = 20_261_126


@dataclass(frozen=True, slots=True)
class Parser:
    """`refusal` is what it may raise; `examples` are valid or nearly so."""

    parse: Callable[[bytes], object]
    refusal: type[Exception]
    examples: tuple[bytes, ...]


def _batch(content: bytes) -> None:
    for line in split_lines([content[:7], content[7:]], longest=200):
        parse_line(line.content, endpoint=CHAT, default_strategy=Strategy.PARALLEL)


def _query(content: bytes) -> MultiDict[str, str]:
    pairs = [part.partition("=") for part in content.decode("utf-8", "replace").split("&")]
    return MultiDict((name, value) for name, _, value in pairs)


def _pages(content: bytes) -> None:
    for parse in (parse_page, parse_batch_page, parse_file_page):
        parse(_query(content))


def _code(content: bytes) -> None:
    """What looks at a file before anybody knows what it is, in the order of the ingest."""
    language("a", content)
    language(content.decode("latin-1"), content)
    text = content.decode("utf-8", "replace")
    data = text.encode()
    if data:
        classes = ByteClasses(data)
        assert classes.entropy_bits >= 0
        _scanner().find(text, classes)
    redacted, _ = redact(text)
    assert redact(redacted)[0] == redacted
    licence_of(text)
    licence_in_header(text)
    if (expression := spdx(text)) is not None:
        is_permitted(expression, {"MIT"})


@cache
def _scanner() -> SecretScanner:
    return SecretScanner()


@cache
def _directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="mathcode-parsers-"))


def _adapter(content: bytes) -> None:
    """The first part is the description, the rest the weights."""
    config, _, weights = content.partition(b"\0\0split\0\0")
    (_directory() / CONFIG_FILE).write_bytes(config)
    (_directory() / WEIGHTS_FILE).write_bytes(weights)
    read_adapter(_directory(), {"a": (3, 2)})


_LINE = json.dumps(
    {
        "custom_id": "a",
        "method": "POST",
        "url": CHAT,
        "body": {"model": "mathstral", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1},
    }
).encode()
_CONFIG = b'{"peft_type": "LORA", "r": 1, "lora_alpha": 2, "bias": "none"}'
_WEIGHTS = save(
    {
        "base_model.model.a.lora_A.weight": torch.ones(1, 2),
        "base_model.model.a.lora_B.weight": torch.ones(3, 1),
    }
)

PARSERS: Mapping[str, Parser] = {
    "lines of a batch": Parser(_batch, InvalidRequest, (_LINE, b"\xef\xbb\xbf" + _LINE + b"\r\n" + _LINE)),
    "a submission": Parser(
        parse_submission, InvalidRequest, (b'{"prompt": "x", "max_tokens": 3, "stop": ["a"], "temperature": 0.5}',)
    ),
    "a chat": Parser(
        lambda content: parse_call(CHAT, content), InvalidRequest, (_LINE[_LINE.index(b'{"model') : -1],)
    ),
    "a completion": Parser(
        lambda content: parse_call("/v1/completions", content),
        InvalidRequest,
        (b'{"model": "codestral", "prompt": ["a", "b"], "n": 2, "logprobs": 1, "suffix": null}',),
    ),
    "a batch": Parser(
        lambda content: parse_batch(content, key_id=None),
        InvalidRequest,
        (b'{"input_file_id": "file-1", "endpoint": "/v1/completions", "completion_window": "24h"}',),
    ),
    "an id to resume after": Parser(
        lambda content: parse_following(MultiDict(), content.decode("latin-1")),
        InvalidRequest,
        (b"1795663685310-0", b"18446744073709551615-1"),
    ),
    "how to follow": Parser(
        lambda content: parse_following(_query(content), None),
        InvalidRequest,
        (b"after=1-1", b"cancel_on_disconnect=true&after=1795663685310-0"),
    ),
    "pages": Parser(_pages, InvalidRequest, (b"limit=5", b"status=queued&after=x", b"order=asc&limit=1")),
    "a webhook's URL": Parser(
        lambda content: check_url(content.decode("utf-8", "replace"), ()),
        InvalidRequest,
        (b"https://a.example/b?c", b"https://[::1]:443/", b"http://127.0.0.1/", b"https://user:pw@a.example"),
    ),
    "a file of code": Parser(
        _code,
        UnicodeError,
        (
            b"#!/usr/bin/python3\n# SPDX-License-Identifier: MIT OR (GPL-2.0+ AND BSD-3-Clause)\nx = '10.1.2.3'\n",
            b"key = 'AKIAIOSFODNN7EXAMPLF'\nmail = 'someone@company.io'\nurl = 'https://a:b@c.d/'\n",
            b"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n",
        ),
    ),
    "an adapter": Parser(_adapter, AdapterError, (_CONFIG + b"\0\0split\0\0" + _WEIGHTS,)),
}


@st.composite
def _bytes(draw: st.DrawFn, examples: tuple[bytes, ...]) -> bytes:
    """An example with some of it changed, left out or repeated; now and then anything."""
    content = bytearray(draw(st.sampled_from(examples)))
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    for _ in range(draw(st.integers(0, 4))):
        begin = draw(st.integers(0, len(content)))
        end = draw(st.integers(begin, min(len(content), begin + 12)))
        content[begin:end] = draw(
            st.one_of(_CHANGES, st.binary(max_size=6), st.just(bytes(content[begin:end]) * 2))
        )
    return bytes(content)


_CHANGES = st.sampled_from(
    (
        *(bytes([code]) for code in b'"{}[],:\\\0\n\xff-@/'),
        *(b"\\u0000", b"\\ud800", b"1e999", b"NaN", b"null", b"true", b"%00", b".."),
        *(b"9" * 25, b"[" * 60, b'{"a":' * 40),
    )
)


def send(name: str, *, inputs: int) -> int:
    """So many inputs to one parser; how many it took. What it may not raise comes through."""
    parser, taken = PARSERS[name], 0

    @seed(SEED)
    @settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(content=_bytes(parser.examples))
    def parse(content: bytes) -> None:
        nonlocal taken
        try:
            parser.parse(content)
        except parser.refusal:
            return
        taken += 1

    parse()
    return taken


def main() -> int:
    arguments = ArgumentParser(description=__doc__)
    arguments.add_argument("--inputs", type=int, default=100_000, help="of all parsers together")
    inputs = arguments.parse_args().inputs // len(PARSERS)
    for name in PARSERS:
        print(f"{name:24} {inputs} inputs, {send(name, inputs=inputs)} taken", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
