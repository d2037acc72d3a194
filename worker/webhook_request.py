"""One POST to a webhook: to an address that was checked, without redirects, within a bounded time and size."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from threading import Timer

from core.webhook_urls import Network, Target, is_allowed

CONNECT_TIMEOUT_S = 5.0
WHOLE_TIMEOUT_S = 15.0
MOST_RESPONSE_BYTES = 64 * 1024


class Forbidden(Exception):
    """The name leads where webhooks may not go; trying again will not change that."""


class Undelivered(Exception):
    """The receiver was not reached, or broke off."""


def post(target: Target, *, body: bytes, headers: Mapping[str, str], allowed: Sequence[Network]) -> int:
    """The status of the answer, whatever it is. Raises Forbidden or Undelivered."""
    try:
        with _connect(target, allowed) as connected:
            return _exchange(connected, target, body=body, headers=headers)
    except (OSError, HTTPException, UnicodeError) as error:
        raise Undelivered(f"{type(error).__name__}: {error}"[:300]) from error


def resolve(target: Target, allowed: Sequence[Network]) -> list[str]:
    """Every address of the host; Forbidden if a webhook may not go to one of them."""
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if "%" in address or not is_allowed(ip_address(address), allowed, scheme=target.scheme):
            raise Forbidden(
                f"{target.host} leads to {address}, where webhooks by {target.scheme} may not go: "
                "use a public address and https, or allow its network with MATHCODE_WEBHOOK_ALLOW"
            )
    return addresses


def _connect(target: Target, allowed: Sequence[Network]) -> socket.socket:
    """Connect to the first address that answers; the name is not looked up again."""
    failure: OSError = OSError(f"{target.host} has no address")
    for address in resolve(target, allowed)[:4]:
        try:
            connected = socket.create_connection((address, target.port), timeout=CONNECT_TIMEOUT_S)
        except OSError as error:
            failure = error
            continue
        return _secure(connected, target)
    raise failure


def _secure(connected: socket.socket, target: Target) -> socket.socket:
    if target.scheme == "http":
        return connected
    try:
        return ssl.create_default_context().wrap_socket(connected, server_hostname=target.host)
    except BaseException:
        connected.close()
        raise


def _exchange(connected: socket.socket, target: Target, *, body: bytes, headers: Mapping[str, str]) -> int:
    """A timeout of the socket would begin anew with every byte: the clock ends the connection instead."""
    clock = Timer(WHOLE_TIMEOUT_S, _break_off, (connected,))
    clock.daemon = True
    clock.start()
    try:
        connection = HTTPConnection(target.host, target.port)
        connection.sock = connected
        connection.request("POST", target.path, body=body, headers={"Host": target.host_header, **headers})
        response = connection.getresponse()
        response.read(MOST_RESPONSE_BYTES)
        return response.status
    finally:
        clock.cancel()


def _break_off(connected: socket.socket) -> None:
    try:
        connected.shutdown(socket.SHUT_RDWR)
    except OSError:
        connected.close()
