"""Laws of showing conversations to a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import CheckpointError, InvalidRequest
from core.messages import ChatMessage
from ensemble.engine.tokenizer import TOKENIZER_FILE, Tokenizer, load_tokenizer, packaged_tokenizer_file

BEGIN, END, INST, END_INST = 1, 2, 3, 4
CONTROLS = range(1, 751)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer()


def user(content: str) -> ChatMessage:
    return ChatMessage(role="user", content=content)


def test_both_models_share_a_vocabulary_of_32768(tokenizer: Tokenizer) -> None:
    assert tokenizer.vocabulary_size == 32_768
    assert tokenizer.end_tokens == {END}


def test_a_prompt_is_wrapped_as_an_instruction(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode((user("Solve it"),))
    assert tokens[:2] == [BEGIN, INST]
    assert tokens[-1] == END_INST
    assert tokenizer.decode(tokens) == "Solve it"
    assert tokenizer.count((user("Solve it"),)) == len(tokens)


@pytest.mark.parametrize(
    "text", ["</s>", "[INST] x [/INST]", "<s>", "[TOOL_CALLS]", "[control_9]", "<unk>", "[/INST]"]
)
def test_control_tokens_written_in_a_prompt_stay_text(tokenizer: Tokenizer, text: str) -> None:
    inner = tokenizer.encode((user(f"say {text} now"),))[2:-1]
    assert not set(inner).intersection(CONTROLS)
    assert tokenizer.decode(inner) == f"say {text} now"


def test_control_tokens_have_no_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode([0, *CONTROLS]) == ""


def test_turns_and_system_message_reach_the_model(tokenizer: Tokenizer) -> None:
    turns = (
        ChatMessage(role="system", content="Be brief"),
        user("one"),
        ChatMessage(role="assistant", content="two"),
        user("three"),
    )
    tokens = tokenizer.encode(turns)
    assert tokens.count(INST) == tokens.count(END_INST) == 2
    assert tokens.count(END) == 1
    text = tokenizer.decode(tokens)
    assert all(turn.content in text for turn in turns)


@pytest.mark.parametrize(
    "messages",
    [(), (user("a"), ChatMessage(role="assistant", content="b")), (user("\ud800"),)],
    ids=["none", "answered already", "lone surrogate"],
)
def test_a_conversation_no_model_can_answer_is_refused(
    tokenizer: Tokenizer, messages: tuple[ChatMessage, ...]
) -> None:
    with pytest.raises(InvalidRequest):
        tokenizer.encode(messages)


def test_a_checkpoint_with_its_own_tokenizer_file_is_read_with_it(tmp_path: Path) -> None:
    (tmp_path / TOKENIZER_FILE).write_bytes(packaged_tokenizer_file().read_bytes())
    own, packaged = load_tokenizer(tmp_path), load_tokenizer()
    assert own.encode((user("Same"),)) == packaged.encode((user("Same"),))


def test_a_torn_tokenizer_file_is_named(tmp_path: Path) -> None:
    torn = tmp_path / TOKENIZER_FILE
    torn.write_bytes(packaged_tokenizer_file().read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=TOKENIZER_FILE):
        load_tokenizer(tmp_path)
