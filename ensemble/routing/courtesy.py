"""Leaves out what is only polite before and behind a prompt, so that it changes no decision.

A beginning is polite up to the last mark at which all words so far are `POLITE`; an end from the first sentence on
after which all words are. A prompt that is nothing but polite stays as it is: it is small talk.
"""

from __future__ import annotations

import re

READ_CHARACTERS = 240

_WORDS = """
    a able advance afternoon all am an and answer any appreciate appreciated appreciation are as asap ask
    asking assistance assistant at attention be been being below best bother bothering busy but can cheers
    could d day dear do does doing evening everyone excuse favor favour fine following for forward friend
    friends from glad good got grateful great greetings happy has have hear hello help helped helping helps
    here hey hi hiya hope hoping i id if im in inconvenience is it its ive just kind kindest kindly know let
    like look looking lot lots love m madam many may me might mind mine moment morning much my need new nice
    of on one or our out pardon please pls plz possible possibly question questions quick quickly really
    regards reply request response s should sincerely sir so some soon sorry support thank thankful thanks
    that the there these this thx time to today truly urgent us ve very want warm was we welcome well were
    will with wonder wondering would you your yours
"""
POLITE = frozenset(_WORDS.split())
_CORE = frozenset(["thanks", "thank", "thx", "please", "cheers", "kindly", "many", "i", "we", "best"])
_MARKS = frozenset(".!?:;,\n。！？：，")
_ENDS = frozenset(".!?\n。！？")
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
