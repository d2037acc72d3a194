"""Bad settings of webhooks stop a process with one message that names them."""

from __future__ import annotations

import pytest

from core.errors import ConfigurationError
from core.settings import read_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MATHCODE_WEBHOOK_ALLOW", "10.0.0.1/8"),
        ("MATHCODE_WEBHOOK_ALLOW", "localhost"),
        ("MATHCODE_WEBHOOK_URL", "http://example.org/"),
        ("MATHCODE_WEBHOOK_URL", "https://127.0.0.1/"),
        ("MATHCODE_RETENTION", "-1"),
    ],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        read_settings()


def test_an_allowed_network_opens_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATHCODE_WEBHOOK_ALLOW", "127.0.0.0/8, ::1/128")
    monkeypatch.setenv("MATHCODE_WEBHOOK_URL", "http://127.0.0.1:9000/")
    settings = read_settings()
    assert [str(network) for network in settings.webhook_networks] == ["127.0.0.0/8", "::1/128"]
