"""E-mail and network addresses taken out of what is stored; what stands in for them keeps code parsable. Pure.

A hit is replaced by something of the same kind: an address that belongs to nobody. Placeholders of documentation,
private networks and version numbers that happen to look like a local address stay as they are.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

EMAIL = "redacted@example.com"
IPV4 = "192.0.2.1"
IPV6 = "2001:db8::1"

# A hint begins with a literal, which the engine finds quickly; the full pattern looks at lines with a hint only.
_AT = re.compile(r"@(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.){1,8}[A-Za-z]{2,24}(?![\w(\[@])")
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,63}\Z", re.ASCII)
_DOTS = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]")
_IPV4 = re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w.])")
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{1,4}(?!\w)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:.])")
_PLACEHOLDERS = ("example.com", "example.org", "example.net", "example.edu", ".example", ".test", ".invalid")
_SERVICES = ("git", "noreply", "no-reply")


def redact(text: str) -> tuple[str, int]:
    """The text without addresses, and how many there were."""
    text, emails = _without_emails(text)
    text, short = _without_addresses(text, hint=_DOTS, pattern=_IPV4, stand_in=IPV4)
    text, long = _without_addresses(text, hint=_COLONS, pattern=_IPV6, stand_in=IPV6)
    return text, emails + short + long


def _without_emails(text: str) -> tuple[str, int]:
    parts, end = [], 0
    for match in _AT.finditer(text):
        name = _NAME.search(text[max(end, match.start() - 64) : match.start()])
        if name is None or _is_nobody(name[0], match[0][1:].lower()):
            continue
        parts += [text[end : match.start() - len(name[0])], EMAIL]
        end = match.end()
    return "".join([*parts, text[end:]]), len(parts) // 2


def _is_nobody(name: str, domain: str) -> bool:
    return name.lower() in _SERVICES or domain.endswith(_PLACEHOLDERS)


def _without_addresses(
    text: str, *, hint: re.Pattern[str], pattern: re.Pattern[str], stand_in: str
) -> tuple[str, int]:
    replacer, parts, end = _Replacer(stand_in), [], 0
    for match in hint.finditer(text):
        if match.start() < end:
            continue
        start = max(end, text.rfind("\n", 0, match.start()) + 1)
        parts.append(text[end:start])
        end = text.find("\n", match.end())
        end = len(text) if end < 0 else end
        parts.append(pattern.sub(replacer, text[start:end]))
    return "".join([*parts, text[end:]]), replacer.count


class _Replacer:
    """Puts the stand-in where an address is public, and counts how often."""

    def __init__(self, stand_in: str) -> None:
        self._stand_in = stand_in
        self.count = 0

    def __call__(self, match: re.Match[str]) -> str:
        if not _is_public(match[0]):
            return match[0]
        self.count += 1
        return self._stand_in


def _is_public(text: str) -> bool:
    try:
        address: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast
