"""How a setting is declared: its environment variable, default, description and bounds."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import AliasChoices, Field
from pydantic_settings import NoDecode

Words = Annotated[tuple[str, ...], NoDecode]
"""Several words in one variable, separated by commas; `split_words` reads them."""


def env(name: str, default: Any, description: str, **constraints: Any) -> Any:
    """Declare one setting under the environment variable `name`."""
    kind = "default_factory" if callable(default) else "default"
    options = {kind: default, **constraints}
    return Field(validation_alias=AliasChoices(name), description=description, **options)


def split_words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`; a name other than localhost may be anything."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
