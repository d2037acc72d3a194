"""Examples as tokens. On the training machine only sentencepiece is needed; a test holds this equal to serving."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from training.mini.examples import Example

BOS, EOS = 1, 2
_OPEN, _CLOSE = "[INST]", "[/INST]"
TOKENIZER = Path(__file__).with_name("tokenizer.model.v3")


@dataclass(frozen=True)
class Encoder:
    """The trimmed tokenizer."""

    path: Path = TOKENIZER

    @cached_property
    def _processor(self) -> Any:
        from sentencepiece import SentencePieceProcessor

        return SentencePieceProcessor(model_file=str(self.path))

    @cached_property
    def _marks(self) -> tuple[int, int]:
        return self._processor.piece_to_id(_OPEN), self._processor.piece_to_id(_CLOSE)

    @property
    def size(self) -> int:
        return int(self._processor.vocab_size())

    def text(self, text: str) -> list[int]:
        """The tokens of `text` alone."""
        return list(self._processor.encode(text))

    def prompt(self, example: Example) -> list[int]:
        """What the engine reads before the model writes."""
        content = example.shown[-1].content
        if example.shown[-1].role == "text":
            return [BOS, *self.text(content)]
        opens, closes = self._marks
        return [BOS, opens, *self.text(content), closes]

    def both(self, example: Example) -> tuple[list[int], list[int]]:
        """The prompt and what is to be written after it, its end token included."""
        prompt = self.prompt(example)
        if example.shown[-1].role != "text":
            return prompt, [*self.text(example.written), EOS]
        whole = [BOS, *self.text(example.shown[-1].content + example.written)]
        if whole[: len(prompt)] != prompt:
            raise ValueError("the text must end where a token ends")
        return prompt, [*whole[len(prompt) :], EOS]

    def decode(self, tokens: list[int]) -> str:
        """The text of an answer, without control tokens."""
        return str(self._processor.decode([token for token in tokens if token not in (BOS, EOS)]))

    def answer(self, example: Example, tokens: list[int]) -> str:
        """The text of `tokens`, written after the prompt of `example`.

        Plain text goes on where it ended, spaces included; a text decoded alone would lose its first space.
        """
        if example.shown[-1].role != "text":
            return self.decode(tokens)
        prompt = self.prompt(example)
        return self.decode([*prompt, *tokens])[len(self.decode(prompt)) :]
