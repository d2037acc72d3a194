"""Mistral's own tokenizer: conversations to tokens with `[INST]` formatting, tokens to text. Knows no torch.

Prompt text is always encoded as text: `</s>` or `[INST]` written by a caller never becomes the control token.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import CheckpointError, InvalidRequest
from core.messages import ChatMessage, is_bare_text
from ensemble.engine.detokenizer import Detokenizer, Piece, spell

if TYPE_CHECKING:
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

TOKENIZER_FILE = "tokenizer.model.v3"
_WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"  # how sentencepiece writes a space


class Tokenizer:
    """One vocabulary; may be shared by all threads. Build it with `load_tokenizer`."""

    def __init__(self, mistral: MistralTokenizer[Any, Any, Any, Any, Any]) -> None:
        self._mistral = mistral
        self._text = mistral.instruct_tokenizer.tokenizer

    @property
    def vocabulary_size(self) -> int:
        return int(self._text.n_words)

    @property
    def end_tokens(self) -> frozenset[int]:
        """The tokens with which a model ends its answer."""
        return frozenset({int(self._text.eos_id)})

    def encode(self, messages: tuple[ChatMessage, ...]) -> list[int]:
        """The tokens a model is shown for this conversation, or for bare text to be continued.

        Raises:
            InvalidRequest: the turns have an order or a content the model was not trained on.
        """
        from mistral_common.exceptions import MistralCommonException
        from mistral_common.protocol.instruct.request import ChatCompletionRequest

        _refuse_surrogates(messages)
        if is_bare_text(messages):
            return [self.control("<s>"), *self.encode_text(messages[0].content)]
        try:
            request = ChatCompletionRequest.from_openai([message.model_dump() for message in messages])
            return list(self._mistral.encode_chat_completion(request).tokens)
        except MistralCommonException as error:
            raise InvalidRequest(
                f"the conversation cannot be shown to the model: {error}", param="messages"
            ) from error

    def encode_text(self, text: str) -> list[int]:
        """The tokens of `text` alone; what looks like a control token in it is text."""
        return list(self._text.encode(text, bos=False, eos=False))

    def control(self, name: str) -> int:
        """The control token `name`, such as `<s>` or `[SUFFIX]`. Raises CheckpointError where there is none."""
        for token in self._text.special_ids:
            if self._text.id_to_piece(token) == name:
                return int(token)
        raise CheckpointError(Path(TOKENIZER_FILE), f"has no control token {name}: use the v3 tokenizer")

    def count(self, messages: tuple[ChatMessage, ...]) -> int:
        """How many tokens of the context this conversation takes."""
        return len(self.encode(messages))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`, as a `detokenizer` would deliver it piece by piece."""
        detokenizer = self.detokenizer()
        return "".join([*(detokenizer.push(token) for token in tokens), detokenizer.finish()])

    def detokenizer(self, *, continues: bool = False) -> Detokenizer:
        """A follower for one answer, or for one that `continues` a text."""
        return Detokenizer(self._pieces, continues=continues)

    def spell(self, token: int) -> tuple[str, bytes]:
        """What `token` alone adds to a text; a control token gives its name, and no bytes."""
        return spell(self._pieces[token], name=str(self._text.id_to_piece(token)))

    @cached_property
    def _pieces(self) -> tuple[Piece, ...]:
        return tuple(self._piece(token) for token in range(self.vocabulary_size))

    def _piece(self, token: int) -> Piece:
        if self._text.is_special(token) or token == self._text.unk_id:
            return ""
        piece = str(self._text.id_to_piece(token))
        if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            return bytes([int(piece[3:5], 16)])
        return piece.replace(_WORD_START, " ")


def load_tokenizer(directory: Path | None = None) -> Tokenizer:
    """The checkpoint's own tokenizer where `directory` has one, else the packaged v3 one of both models.

    Raises:
        CheckpointError: the checkpoint's tokenizer file is damaged.
    """
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    path = directory / TOKENIZER_FILE if directory is not None else None
    if path is None or not path.is_file():
        return Tokenizer(MistralTokenizer.v3())
    try:
        return Tokenizer(MistralTokenizer.from_file(path))
    except (RuntimeError, OSError) as error:
        raise CheckpointError(path, f"is not a sentencepiece model ({error}): restore the file") from error


def packaged_tokenizer_file() -> Path:
    """The file of the packaged v3 tokenizer."""
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    return Path(MistralTokenizer.v3().instruct_tokenizer.tokenizer.file_path)


def _refuse_surrogates(messages: tuple[ChatMessage, ...]) -> None:
    try:
        for message in messages:
            message.content.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("messages must not contain lone surrogates", param="messages") from error
