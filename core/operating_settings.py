"""The settings of who looks after an installation: logs, traces, and the port of the trainer."""

from __future__ import annotations

from pydantic import BaseModel, SecretStr, field_validator

from core.options import LogFormat
from core.variables import env


class OperatingSettings(BaseModel):
    """A part of `Settings`; units stand in the names."""

    log_level: str = env(
        "MATHCODE_LOG_LEVEL",
        "INFO",
        "`DEBUG`, `INFO`, `WARNING` or `ERROR`.",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
    )
    log_format: LogFormat = env(
        "MATHCODE_LOG_FORMAT", LogFormat.JSON, "`json`: an object per line, for programs; `text`: for people."
    )
    trainer_port: int = env(
        "MATHCODE_TRAINER_PORT",
        8092,
        "Port on which the training worker answers `/health` and `/metrics`, at MATHCODE_HOST; 0 for none.",
        ge=0,
        le=65535,
    )
    traces_url: SecretStr | None = env(
        "MATHCODE_TRACES_URL",
        None,
        "Where traces go (OTLP over HTTP, `http://collector:4318/v1/traces`). Needs the extra `otel`. "
        "Default: nowhere.",
    )

    @field_validator("traces_url")
    @classmethod
    def _http(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("is not a URL of OTLP over HTTP: use http://host:4318/v1/traces")
        return value
