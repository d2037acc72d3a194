"""E-mail and network addresses taken out of what is stored; what stands in for them keeps code parsable. Pure.

A hit is replaced by something of the same kind: an address that belongs to nobody. Placeholders of documentation,
private networks and version numbers that happen to look like a local address stay as they are.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from training.ingest.byte_classes import ByteClasses

EMAIL = "redacted@example.com"
IPV4 = "192.0.2.1"
IPV6 = "2001:db8::1"

# Begins with a literal, which the engine searches quickly; the name before the sign is looked at only there.
_AT = re.compile(r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}[A-Za-z]{2,24}(?![\w(\[])")
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,63}\Z", re.ASCII)
_IPV4 = re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w.])")
_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{1,4}(?!\w)")  # quick, for the search below is slow
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:{1,2}){3,7}[0-9A-Fa-f]{1,4}(?![\w:.])")
_PLACEHOLDERS = ("example.com", "example.org", "example.net", "example.edu", ".example", ".test", ".invalid")
_SERVICES = ("git", "noreply", "no-reply")


def redact(text: str, classes: ByteClasses) -> tuple[str, int]:
    """The text without addresses, and how many there were. `classes` are those of the same text."""
    emails = addresses = others = 0
    if "@" in text:
        text, emails = _without_emails(text)
    if classes.has_dotted_numbers:
        text, addresses = _without_addresses(_IPV4, text, IPV4)
    if _COLONS.search(text):
        text, others = _without_addresses(_IPV6, text, IPV6)
    return text, emails + addresses + others


def _without_emails(text: str) -> tuple[str, int]:
    parts, end = [], 0
    for match in _AT.finditer(text):
        name = _NAME.search(text, max(end, match.start() - 64), match.start())
        if name is None or _is_nobody(name[0], match[0][1:].lower()):
            continue
        parts += [text[end : name.start()], EMAIL]
        end = match.end()
    return "".join([*parts, text[end:]]), len(parts) // 2


def _is_nobody(name: str, domain: str) -> bool:
    return name.lower() in _SERVICES or domain.endswith(_PLACEHOLDERS)


def _without_addresses(pattern: re.Pattern[str], text: str, stand_in: str) -> tuple[str, int]:
    count = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal count
        if not _is_public(match[0]):
            return match[0]
        count += 1
        return stand_in

    return pattern.sub(replace, text), count


def _is_public(text: str) -> bool:
    try:
        address: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast
