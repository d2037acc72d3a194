"""The settings of the doors: the API, and how much each caller may ask of it."""

from __future__ import annotations

from pydantic import BaseModel, SecretStr, ValidationInfo, field_validator

from core.errors import InvalidRequest
from core.options import KeyPolicy
from core.variables import Words, env, split_words
from core.webhook_urls import Network, check_url, parse_networks


class DoorSettings(BaseModel):
    """A part of `Settings`; units stand in the names."""

    api_threads: int = env(
        "MATHCODE_API_THREADS",
        32,
        "Threads of the API server for short requests, beside those of MATHCODE_STREAMS.",
        ge=2,
        le=1024,
    )
    max_body_bytes: int = env("MATHCODE_MAX_BODY_BYTES", 1_048_576, "Largest request body, in bytes.", ge=1024)
    low_share: float = env(
        "MATHCODE_LOW_SHARE",
        0.75,
        "Part of all slots that jobs of low priority, such as batches, may take; all keys share it, each has one.",
        gt=0,
        le=1,
    )
    call_wait_s: float = env(
        "MATHCODE_CALL_WAIT_S",
        540.0,
        "How long a call of `/v1/chat/completions` or `/v1/completions` that is not streamed waits for its "
        "answer, in seconds; OpenAI's client gives up after 600.",
        gt=0,
        le=86_400,
    )
    max_file_bytes: int = env(
        "MATHCODE_MAX_FILE_BYTES",
        209_715_200,
        "Largest file of `/v1/files`, in bytes, whatever other bodies may have.",
        ge=1024,
        le=2_147_483_647,
    )
    max_batch_lines: int = env(
        "MATHCODE_MAX_BATCH_LINES", 50_000, "Most requests of one batch.", ge=1, le=1_000_000
    )
    require_keys: KeyPolicy = env(
        "MATHCODE_REQUIRE_KEYS",
        KeyPolicy.AUTO,
        "Whether requests need an API key; `auto` means unless MATHCODE_HOST is a loopback address.",
    )
    api_key: SecretStr | None = env(
        "MATHCODE_API_KEY", None, "The API key that `mathcode ask`, `batch`, `demo` and `status` send."
    )
    max_queued: int = env(
        "MATHCODE_MAX_QUEUED",
        100_000,
        "Most jobs that may wait, batches apart; a key without a bound of its own may have half of them.",
        ge=1,
        le=10_000_000,
    )
    max_wait_s: float = env(
        "MATHCODE_MAX_WAIT_S",
        60.0,
        "Longest time that a submission may wait at the door (`wait_s`) instead of being refused, in seconds.",
        ge=0,
        le=600,
    )
    streams: int = env(
        "MATHCODE_STREAMS",
        512,
        "Event streams, waiting calls and large downloads that one API process serves at the same time.",
        ge=1,
        le=8192,
    )
    keep_alive_s: float = env(
        "MATHCODE_KEEP_ALIVE_S",
        5.0,
        "Seconds of silence after which an event stream sends a keep-alive.",
        ge=0.1,
        le=60,
    )
    client_timeout_s: float = env(
        "MATHCODE_CLIENT_TIMEOUT_S",
        30.0,
        "Seconds in which a client sends its request, or takes what it is sent, or 500 bytes for each of them.",
        ge=0.5,
        le=3600,
    )
    retention_days: float = env(
        "MATHCODE_RETENTION",
        30.0,
        "Days for which ended jobs and batches, files and webhook deliveries are kept; 0 keeps them for ever.",
        ge=0,
        le=36_500,
    )
    webhook_allow: Words = env(
        "MATHCODE_WEBHOOK_ALLOW",
        (),
        "Networks that webhooks may go to although they are not public, also by http, separated by commas "
        "(`10.1.0.0/16,::1/128`).",
    )
    webhook_url: SecretStr | None = env(
        "MATHCODE_WEBHOOK_URL",
        None,
        "URL that is told how each job and batch ended which names no `webhook_url` itself.",
    )

    @property
    def default_webhook_url(self) -> str | None:
        return self.webhook_url.get_secret_value() if self.webhook_url else None

    @property
    def webhook_networks(self) -> tuple[Network, ...]:
        return parse_networks(self.webhook_allow)

    @field_validator("webhook_allow", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        words = split_words(value) if isinstance(value, str) else value
        if isinstance(words, tuple):
            parse_networks(words)
        return words

    @field_validator("webhook_url")
    @classmethod
    def _checked_webhook(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None:
            try:
                check_url(value.get_secret_value(), parse_networks(info.data.get("webhook_allow", ())))
            except InvalidRequest as error:
                raise ValueError(error.message.removeprefix("webhook_url: ")) from None
        return value
