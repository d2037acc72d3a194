"""Which addresses a webhook may go to, so that nobody reaches through this server what only it can reach. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from core.errors import InvalidRequest

LONGEST_URL = 2048
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Public by their number, or by what some releases of Python say of it, but answered inside: the platforms of Azure
# and of Oracle, and networks that translate.
_INTERNAL = tuple(
    ip_network(network) for network in ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48")
)
# IPv6 addresses that carry an IPv4 one in their last four bytes.
_TRANSLATED = (ip_network("64:ff9b::/96"), ip_network("::/96"))
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL taken apart; `path` includes the query and is what the request line says."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _DEFAULT_PORTS[self.scheme] else f"{name}:{self.port}"


def parse_networks(words: Iterable[str]) -> tuple[Network, ...]:
    """Raises ValueError, naming what is no network."""
    return tuple(ip_network(word.strip()) for word in words)


def parse_target(url: str) -> Target:
    """Raises InvalidRequest for what is not an absolute http or https URL of visible ASCII."""
    if (
        len(url) > LONGEST_URL
        or not url.isascii()
        or any(character <= " " or character == "\x7f" for character in url)
    ):
        raise _refusal(f"must be at most {LONGEST_URL} visible ASCII characters")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise _refusal("is not a URL") from None
    if parts.scheme not in _DEFAULT_PORTS or not host or port == 0 or "%" in host or "\\" in parts.netloc:
        raise _refusal("must begin with https:// and name a host")
    if "@" in parts.netloc:
        raise _refusal("must not hold a user or password: deliveries are signed instead")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme=parts.scheme, host=host, port=port or _DEFAULT_PORTS[parts.scheme], path=path)


def check_url(url: str, allowed: Sequence[Network]) -> Target:
    """What can be said of a URL without resolving its name. Raises InvalidRequest."""
    target = parse_target(url)
    if target.scheme == "http" and not allowed:
        raise _refusal("must begin with https://")
    literal = _literal(target.host)
    if literal is not None and not is_allowed(literal, allowed, scheme=target.scheme):
        raise _refusal(
            "names an address where webhooks may not go: use a public one, or allow it with MATHCODE_WEBHOOK_ALLOW"
        )
    return target


def is_allowed(address: Address, allowed: Sequence[Network], *, scheme: str) -> bool:
    """Whether a webhook may go there: to public addresses by https, to those in `allowed` also by http."""
    if any(address in network for network in allowed):
        return True
    return scheme == "https" and _is_public(address)


def _is_public(address: Address) -> bool:
    carried = _carried(address)
    if carried is not None:
        return _is_public(carried)
    return address.is_global and not address.is_multicast and not any(address in network for network in _INTERNAL)


def _carried(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to, if it does."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _TRANSLATED):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _refusal(problem: str) -> InvalidRequest:
    return InvalidRequest(f"webhook_url: {problem}", param="webhook_url", code="invalid_field")
