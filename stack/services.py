"""How processes outside the supervisor find the servers of a running stack: `run/services.env`."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import ConfigurationError
from core.settings import Settings
from stack.files import keep_secret, write_private
from stack.layout import Layout
from stack.servers import ServerUrls


def flower_password(settings: Settings, layout: Layout) -> str:
    """The operator's password for Flower, or one generated once per data directory."""
    if settings.flower_password is None:
        return keep_secret(layout.secrets / "flower-password")
    password = settings.flower_password.get_secret_value()
    if "," in password:
        raise ConfigurationError("MATHCODE_FLOWER_PASSWORD must not contain a comma: Flower would take it for two")
    return password


def service_variables(settings: Settings, urls: ServerUrls, password: str) -> dict[str, str]:
    """What every process of the stack must agree on."""
    return {
        "DATABASE_URL": urls.database_url,
        "REDIS_URL": urls.redis_url,
        "MATHCODE_HOST": settings.host,
        "MATHCODE_PORT": str(settings.port),
        "MATHCODE_FLOWER_PORT": str(settings.flower_port),
        "MATHCODE_TRAINER_PORT": str(settings.trainer_port),
        "MATHCODE_FLOWER_PASSWORD": password,
        "MATHCODE_PROFILE": settings.profile.value,
    }


def publish(layout: Layout, variables: Mapping[str, str]) -> None:
    write_private(layout.services_file, "".join(f"{name}={_quote(value)}\n" for name, value in variables.items()))


def withdraw(layout: Layout) -> None:
    """Remove the file; also the one that a killed stack left."""
    layout.services_file.unlink(missing_ok=True)


def _quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
