"""Bytes that nobody meant are refused by the one error callers are told; `tests/parsers.py` sends many more."""

from __future__ import annotations

import pytest

from tests.parsers import PARSERS, send


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_takes_its_input_or_refuses_it_in_a_sentence(name: str) -> None:
    assert send(name, inputs=60) > 0


@pytest.mark.parametrize("name", PARSERS)
def test_the_examples_are_nearly_right(name: str) -> None:
    """Else the fuzzer would only ever see the first refusal."""
    parser = PARSERS[name]
    parser.parse(parser.examples[0])
