"""Signs that leave no doubt that a prompt is about code, found in time linear in what is read."""

from __future__ import annotations

import re

READ_CHARACTERS = 8_192
MOST_BLOCKS = 20

_FENCE = re.compile(r"(?m)^[ \t>]{0,12}(?:```|~~~)")
_TRACE = re.compile(
    r"(?m)^[ \t>|]{0,12}(?:Traceback \(most recent call last\):"
    r"|at [\w.$<>/@]{1,120} ?\([\w.$/]{1,120}:\d{1,7}(?::\d{1,7})?\)"
    r"|thread '[^'\n]{1,60}' panicked at "
    r"|panic: [^\n]{1,200}\n+goroutine \d)"
)
_DIFF = re.compile(r"(?m)^[ \t>]{0,8}(?:diff --git a/|@@ -\d{1,7}(?:,\d{1,7})? \+\d{1,7}(?:,\d{1,7})? @@)")
_REPAIR = re.compile(r"(?i)\b(?:fix|debug)\b")
_CODE_SIGN = re.compile(r"[;{}()=<>]|:\s*$", re.MULTILINE)


def find_certainty(text: str) -> str | None:
    """What makes it certain, or None. A word such as "fix" counts outside of the code alone."""
    head = text[:READ_CHARACTERS]
    if _TRACE.search(head):
        return "a stack trace"
    if _DIFF.search(head):
        return "a diff"
    prose, *rest = _FENCE.split(head, MOST_BLOCKS)
    if rest and _CODE_SIGN.search(rest[0]) and any(_REPAIR.search(part) for part in (prose, *rest[1::2])):
        return "a block of code and the wish to repair it"
    return None
