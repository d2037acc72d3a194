"""Leaves out what is only polite before and behind a prompt, so that it changes no decision.

A beginning is polite up to the last mark at which all words so far are `POLITE`; an end from the first sentence on
after which all words are. A prompt that is nothing but polite stays as it is: it is small talk.
"""

from __future__ import annotations

import re

READ_CHARACTERS = 240

POLITE = frozenset(
    """
    hi hello hey hiya dear good morning afternoon evening day greetings there assistant sir madam friend friends all
    everyone please kindly pls plz thanks thank thx cheers many lot lots much so very really you your yours time help
    helping helps helped assistance support attention appreciate appreciated appreciation grateful thankful glad happy
    be been being would could can will may might should do does mind kind nice great if it its that this these the
    following below a an of to in on at for from with me my mine us our i im ive id m ve d s am we is are was were
    wondering wonder hope hoping fine well doing today busy know moment bother bothering sorry excuse pardon favour
    favor question questions request one some need want like love have has got here out look advance answer reply
    response ask asking new just quick quickly best regards sincerely truly urgent asap soon welcome any possible
    possibly as and or but able let hear looking forward inconvenience kindest warm
    """.split()
)
_CORE = frozenset("thanks thank thx please cheers kindly many i we best".split())
_MARKS = frozenset(".!?:;,\n。！？：，")  # noqa: RUF001 (full-width marks are meant)
_ENDS = frozenset(".!?\n。！？")  # noqa: RUF001
_TOKEN = re.compile(r"\w+|\n|[^\w\s]")
_FIRST = re.compile(r"(?i)\s*(?:(?:can|could|would|will) you )?(?:please|kindly|pls) +(?=\S)")


def without_courtesy(prompt: str) -> str:
    """`prompt` without its polite beginning and end; costs the same for prompts of any length."""
    kept = prompt[_beginning(prompt) :]
    if first := _FIRST.match(kept):
        kept = kept[first.end() :]
    kept = kept[: _end(kept)]
    return kept if any(map(str.isalnum, kept[:READ_CHARACTERS])) else prompt


def _beginning(prompt: str) -> int:
    at = 0
    for token in _TOKEN.finditer(prompt[:READ_CHARACTERS]):
        word = token[0]
        if word in _MARKS:
            at = token.end()
        elif word[0].isalnum() and word.lower() not in POLITE:
            break
    return at


def _end(prompt: str) -> int:
    offset = max(0, len(prompt) - READ_CHARACTERS)
    end, at, has_word = len(prompt), len(prompt), False
    for token in reversed(list(_TOKEN.finditer(prompt, offset))):
        word = token[0]
        if word in _ENDS:
            end = token.end() if has_word else end
            has_word = False
        elif word[0].isalnum():
            if word.lower() not in POLITE:
                break
            has_word = True
            if word[0].isupper() and word.lower() in _CORE:
                end = token.start()
        at = token.start()
    return min(end, len(prompt)) if at else len(prompt)
