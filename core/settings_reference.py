"""Writes docs/configuration.md from the settings themselves: `python -m core.settings_reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from typing import Any, get_args

from pydantic import SecretStr

from core.settings import variables

HEADER = """\
# Configuration

Written by `make docs` from `core/settings.py` and its parts; edit it there. A test fails where they differ.

Every setting is an environment variable, read once when a process starts. A bad value stops the process with one
message that names all bad variables. An empty variable counts as unset. A running `mathcode up` writes
`DATABASE_URL` and `REDIS_URL` of its servers to `run/services.env` in the data directory, where processes started
by hand find them; the environment wins over that file.

| variable | default | allowed | meaning |
|---|---|---|---|
"""


def render() -> str:
    """The page as text."""
    return HEADER + "".join(f"| {' | '.join(row)} |\n" for row in _rows())


def _rows() -> Iterator[tuple[str, str, str, str]]:
    for name, field in variables().items():
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        secret = " Secret: masked wherever settings are shown." if SecretStr in _kinds(field) else ""
        yield f"`{name}`", _default(field), _allowed(field), meaning + secret


def _default(field: Any) -> str:
    """The default as one would write it, or `-` where there is none or the meaning says it."""
    if field.default_factory is not None or field.default in (None, ()):
        return "-"
    return f"`{_plain(field.default)}`"


def _allowed(field: Any) -> str:
    for kind in _kinds(field):
        if isinstance(kind, type) and issubclass(kind, Enum):
            return ", ".join(f"`{member.value}`" for member in kind)
    signs = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
    bounds = ((sign, getattr(item, name, None)) for item in field.metadata for name, sign in signs)
    return ", ".join(f"{sign} {_plain(bound)}" for sign, bound in bounds if bound is not None) or "-"


def _kinds(field: Any) -> tuple[Any, ...]:
    """The annotated type, or the members of an optional one."""
    return get_args(field.annotation) or (field.annotation,)


def _plain(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return ",".join(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


if __name__ == "__main__":
    sys.stdout.write(render())
