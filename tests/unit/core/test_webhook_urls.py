"""Laws about where webhooks may go."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from core.errors import InvalidRequest
from core.webhook_urls import check_url, is_allowed, parse_networks, parse_target

INSIDE = [
    *("127.0.0.1", "127.255.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),  # noqa: S104
    *("100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "168.63.129.16", "224.0.0.1"),
    *("255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
    *("64:ff9b:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe"),  # Teredo's spelling of 127.0.0.1
]
OUTSIDE = ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", INSIDE)
def test_no_webhook_goes_inside(address: str) -> None:
    assert not is_allowed(ip_address(address), (), scheme="https")


@pytest.mark.parametrize("address", OUTSIDE)
def test_public_addresses_are_reached_by_https_alone(address: str) -> None:
    assert is_allowed(ip_address(address), (), scheme="https")
    assert not is_allowed(ip_address(address), (), scheme="http")


def test_what_the_operator_allows_is_reached_by_both_and_nothing_else_is() -> None:
    allowed = parse_networks(["10.1.0.0/16", "::1/128"])
    for scheme in ("http", "https"):
        assert is_allowed(ip_address("10.1.2.3"), allowed, scheme=scheme)
        assert is_allowed(ip_address("::1"), allowed, scheme=scheme)
        assert not is_allowed(ip_address("10.2.0.1"), allowed, scheme=scheme)
        assert not is_allowed(ip_address("127.0.0.1"), allowed, scheme=scheme)


@pytest.mark.parametrize("words", [["x"], ["10.0.0.1/8"], ["1.2.3.4/33"], [""]])
def test_what_is_no_network_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_networks(words)


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "host_header"),
    [
        ("https://example.org", "example.org", 443, "/", "example.org"),
        ("https://EXAMPLE.org:8443/a?b=c#d", "example.org", 8443, "/a?b=c", "example.org:8443"),
        ("http://[2606:4700::1111]/x", "2606:4700::1111", 80, "/x", "[2606:4700::1111]"),
        ("https://example.org?x", "example.org", 443, "/?x", "example.org"),
    ],
)
def test_a_url_is_taken_apart(url: str, host: str, port: int, path: str, host_header: str) -> None:
    target = parse_target(url)
    assert (target.host, target.port, target.path, target.host_header) == (host, port, path, host_header)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "x",
            "//example.org/",
            "https:///x",
            "ftp://example.org/",
            "file:///etc/passwd",
            "gopher://example.org",
        ),
        *(
            "https://user@example.org/",
            "https://a:b@example.org/",
            "https://example.org:0/",
            "https://example.org:x/",
        ),
        *(
            "https://example.org:65536/",
            "https://exa mple.org/",
            "https://example.org/\r\nX: 1",
            "https://[::1",
            "https://",
        ),
        *(
            "https://ex\u00e4mple.org/",
            "https://example.org\\@127.0.0.1/",
            "https://[fe80::1%25eth0]/",
            "https://e/\x00",
        ),
    ],
)
def test_what_is_no_plain_url_is_refused_by_name(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_target(url)
    assert (caught.value.param, caught.value.code) == ("webhook_url", "invalid_field")


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "https://[::ffff:10.0.0.1]/", "http://example.org/"])
def test_what_can_never_be_called_is_refused_without_looking_it_up(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_url(url, ())
    assert check_url("https://no-such-name.invalid/", ()).host == "no-such-name.invalid"
