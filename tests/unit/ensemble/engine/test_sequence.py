"""Laws of which log-probabilities a completion carries."""

from __future__ import annotations

from collections.abc import Sequence as Tokens

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.messages import ChatMessage, Completion, FinishReason, ModelName, Sampling
from core.work import Work
from ensemble.engine.detokenizer import Detokenizer, Piece, spell
from ensemble.engine.logprobs import LogprobRecord
from ensemble.engine.runner import Scored
from ensemble.engine.sequence import Sequence
from ensemble.engine.versions import Version

END, CONTROL = 0, 1
PIECES: tuple[Piece, ...] = ("", "", "ab", "c", "d", *(bytes([byte]) for byte in "é🧮".encode()))
AB, C, D, FIRST_BYTE = 2, 3, 4, 5


def name(token: int) -> tuple[str, bytes]:
    return spell(PIECES[token], name=f"<{token}>")


def completion(tokens: Tokens[int], *, stop: tuple[str, ...] = (), logprobs: int | None = 1) -> Completion:
    sequence = Sequence(
        work=Work(messages=(ChatMessage(role="user", content="x"),), sampling=Sampling(stop=stop)),
        prompt=[1],
        max_tokens=len(tokens),
        detokenizer=Detokenizer(PIECES),
        model=ModelName.MATHSTRAL,
        version=Version("v1"),
        logprobs=LogprobRecord(name) if logprobs is not None else None,
    )
    for token in tokens:
        if not sequence.is_finished:
            sequence.accept(Scored(token, -0.5, ((END, -0.25),)), frozenset({END}))
    *_, outcome = drained(sequence)
    assert isinstance(outcome, Completion)
    return outcome


def drained(sequence: Sequence) -> list[object]:
    return [sequence.outbox.get_nowait() for _ in range(sequence.outbox.qsize())]


def shown(tokens: Tokens[int], *stop: str) -> list[str]:
    logprobs = completion(tokens, stop=stop).logprobs
    assert logprobs is not None
    return [entry.token for entry in logprobs]


def test_an_entry_has_text_bytes_and_alternatives() -> None:
    (entry,) = completion([FIRST_BYTE]).logprobs or ()
    assert (entry.token, entry.bytes, entry.logprob) == ("\N{REPLACEMENT CHARACTER}", (0xC3,), -0.5)
    ((token, raw, logprob),) = [(each.token, each.bytes, each.logprob) for each in entry.top]
    assert (token, raw, logprob) == ("<0>", (), -0.25)


def test_every_token_of_the_text_has_an_entry_and_the_end_has_none() -> None:
    assert shown([AB, CONTROL, C, END]) == ["ab", "<1>", "c"]
    assert shown([AB, C, CONTROL]) == ["ab", "c", "<1>"]
    assert shown([END]) == []


@pytest.mark.parametrize(
    ("stop", "kept"), [("abc", []), ("bc", ["ab"]), ("c", ["ab"]), ("cd", ["ab"]), ("d", ["ab", "c"])]
)
def test_tokens_that_a_stop_string_cut_away_have_no_entry(stop: str, kept: list[str]) -> None:
    """A token it left a part of keeps its own."""
    assert completion([AB, C, D], stop=(stop,)).finish_reason is FinishReason.STOP
    assert shown([AB, C, D], stop) == kept


def test_of_a_character_in_several_bytes_all_stay_or_none() -> None:
    calculator = [7, 8, 9, 10]
    assert len(shown([AB, *calculator, C], "c")) == 5
    assert shown([AB, *calculator, C], "🧮") == ["ab"]


@given(st.lists(st.sampled_from(range(AB, len(PIECES))), min_size=1, max_size=12), st.text("abcdé", max_size=2))
def test_the_bytes_of_the_entries_begin_with_the_text(tokens: list[int], stop: str) -> None:
    """Control tokens aside, which part the bytes of a character."""
    asked = completion(tokens, stop=(stop,) if stop else ())
    raw = b"".join(bytes(entry.bytes) for entry in asked.logprobs or ())
    detokenizer = Detokenizer([bytes([byte]) for byte in range(256)])
    readable = "".join([*(detokenizer.push(byte) for byte in raw), detokenizer.finish()])
    assert readable.startswith(asked.text)


def test_who_does_not_ask_gets_none_and_no_key_in_json() -> None:
    assert completion([AB], logprobs=None).logprobs is None
    assert "logprobs" not in completion([AB], logprobs=None).model_dump_json()


def test_entries_survive_json() -> None:
    asked = completion([AB, C])
    assert Completion.model_validate_json(asked.model_dump_json()) == asked
