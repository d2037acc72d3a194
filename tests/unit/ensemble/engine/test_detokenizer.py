"""Laws of turning tokens into text piece by piece."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.messages import ChatMessage
from ensemble.engine.detokenizer import REPLACEMENT, Detokenizer, spell
from ensemble.engine.tokenizer import Tokenizer, load_tokenizer

BYTES = [bytes([value]) for value in range(256)]
PIECES = [*BYTES, "", " word", " ", "é", "数"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer()


def pushed(tokens: list[int]) -> list[str]:
    detokenizer = Detokenizer(PIECES)
    return [*(detokenizer.push(token) for token in tokens), detokenizer.finish()]


def spelled(text: str) -> list[int]:
    """`text` as raw bytes, each a token of its own."""
    return list(text.encode())


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))))
def test_any_text_survives_being_split_into_single_bytes(text: str) -> None:
    assert "".join(pushed(spelled(text))) == text


@given(st.text(min_size=1))
def test_no_piece_ends_within_a_character(text: str) -> None:
    assert all(
        REPLACEMENT not in piece for piece in pushed(spelled(text.replace("\0", "").replace(REPLACEMENT, "")))
    )


@given(st.lists(st.integers(0, len(PIECES) - 1)))
def test_any_tokens_at_all_give_storable_text(tokens: list[int]) -> None:
    text = "".join(pushed(tokens))
    assert "\0" not in text
    assert text.encode().decode() == text


def test_a_character_appears_with_its_last_byte() -> None:
    assert pushed(spelled("🧮")) == ["", "", "", "🧮", ""]


def test_half_a_character_at_the_end_is_shown_as_replacement() -> None:
    assert pushed(spelled("🧮")[:3]) == ["", "", "", REPLACEMENT * 3]


def test_only_the_space_that_opens_the_text_is_dropped() -> None:
    word, space = PIECES.index(" word"), PIECES.index(" ")
    assert "".join(pushed([word, word])) == "word word"
    assert "".join(pushed([space, word])) == " word"


def test_what_continues_a_text_keeps_its_first_space() -> None:
    detokenizer = Detokenizer(PIECES, continues=True)
    assert detokenizer.push(PIECES.index(" word")) == " word"


@given(st.lists(st.integers(1, 32_767).filter(lambda token: token != 771), max_size=12))
def test_text_agrees_with_sentencepiece(tokenizer: Tokenizer, tokens: list[int]) -> None:
    """Token 0 is unknown and 771 is NUL: those two are ours to define."""
    theirs = tokenizer._mistral.instruct_tokenizer.tokenizer.decode(tokens)
    assert tokenizer.decode(tokens) == theirs


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1))
def test_what_was_encoded_is_decoded_again(tokenizer: Tokenizer, text: str) -> None:
    tokens = tokenizer.encode((ChatMessage(role="user", content=text),))
    decoded = tokenizer.decode(tokens[2:-1])  # without <s> [INST] and [/INST]
    assert decoded == text


@given(st.lists(st.integers(771, 32_767), max_size=12))
def test_the_bytes_of_the_tokens_are_those_of_the_text(tokenizer: Tokenizer, tokens: list[int]) -> None:
    """But for the space that opens the text."""
    raw = b"".join(tokenizer.spell(token)[1] for token in tokens)
    readable = "".join(pushed(list(raw)))
    assert tokenizer.decode(tokens) in (readable, readable.removeprefix(" "))


def test_a_byte_is_shown_as_text_only_where_it_is_a_whole_character() -> None:
    assert [spell(bytes([byte]), name="") for byte in (0x41, 0xF0, 0)] == [
        ("A", b"A"),
        (REPLACEMENT, b"\xf0"),
        (REPLACEMENT, b"\0"),
    ]


def test_control_tokens_are_named_and_have_no_bytes(tokenizer: Tokenizer) -> None:
    assert [tokenizer.spell(token) for token in (0, 1, 2)] == [("<unk>", b""), ("<s>", b""), ("</s>", b"")]


def test_a_token_keeps_the_space_of_a_words_start(tokenizer: Tokenizer) -> None:
    word = tokenizer.encode((ChatMessage(role="user", content="This"),))[2]
    assert tokenizer.spell(word) == (" This", b" This")
    assert tokenizer.decode([word]) == "This"
