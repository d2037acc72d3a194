"""Brings a checkpoint from the Hugging Face hub to this machine. Knows no torch."""

from __future__ import annotations

from pathlib import Path

from core.errors import ModelAccessError
from core.settings import Settings

# The transformers layout and the tokenizer; not `consolidated*.safetensors`, which holds the same weights again.
_FILES = [
    "config.json",
    "generation_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*",
]


def download_checkpoint(hub_id: str, settings: Settings) -> Path:
    """The local directory of `hub_id`, downloaded if it is not there yet.

    Raises:
        ModelAccessError: gated, unknown or unreachable; says which page to visit and which variable to set.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    token = settings.hf_token.get_secret_value() if settings.hf_token is not None else None
    try:
        return Path(snapshot_download(hub_id, token=token, allow_patterns=_FILES))
    except GatedRepoError as error:
        raise _denied(hub_id, "is gated") from error
    except RepositoryNotFoundError as error:
        raise _denied(hub_id, "does not exist or is not open to this token") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise _denied(hub_id, "is not on this machine and the hub cannot be reached") from error


def _denied(hub_id: str, problem: str) -> ModelAccessError:
    return ModelAccessError(
        f"{hub_id} {problem}: visit https://huggingface.co/{hub_id} and accept its terms, then set HF_TOKEN to "
        "a token with read permission; or set MATHCODE_MATHSTRAL and MATHCODE_CODESTRAL to local directories"
    )
