"""The log-probabilities of one answer, token by token, in words instead of ids. Knows no tensors."""

from __future__ import annotations

from collections.abc import Callable

from core.messages import TokenChance, TokenLogprob
from ensemble.engine.runner import Scored

Spell = Callable[[int], tuple[str, bytes]]


class LogprobRecord:
    """Collects scored tokens as they are drawn."""

    def __init__(self, spell: Spell) -> None:
        self._spell = spell
        self._entries: list[TokenLogprob] = []
        self._starts: list[int] = []

    def add(self, scored: Scored, *, start: int) -> None:
        """`start` is how many characters were certain before this token."""
        text, raw = self._spell(scored.token)
        top = tuple(self._chance(token, logprob) for token, logprob in scored.top)
        self._entries.append(TokenLogprob(token=text, bytes=tuple(raw), logprob=scored.logprob, top=top))
        self._starts.append(start)

    def covering(self, length: int) -> tuple[TokenLogprob, ...]:
        """The tokens without which a text cut to `length` characters would be shorter.

        Of a character spelled in several bytes all tokens stay or none.
        """
        return tuple(entry for entry, start in zip(self._entries, self._starts, strict=True) if start < length)

    def everything(self) -> tuple[TokenLogprob, ...]:
        return tuple(self._entries)

    def _chance(self, token: int, logprob: float) -> TokenChance:
        text, raw = self._spell(token)
        return TokenChance(token=text, bytes=tuple(raw), logprob=logprob)
