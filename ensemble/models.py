"""Which checkpoint stands behind each model name, described without loading it.

Knows no torch: the process that answers HTTP uses this to count tokens and to name versions.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from core.errors import CheckpointError, ConfigurationError, PromptTooLong
from core.messages import ModelName
from core.options import Profile
from core.profile_choice import HUB_IDS
from core.settings import Settings

CONFIG_FILE = "config.json"
TINY_CONTEXT_TOKENS = 4096  # max_position_embeddings of the tiny Mistral
MINI_CONTEXT_TOKENS = 4096  # max_position_embeddings of the small Mistral, and enough for its sibling
MINI_PAIR = Path(__file__).with_name("mini_models")
MINI_EDITION = 1  # rises with the weights, so that a data directory never mixes two
HUB_CONTEXT_TOKENS = 32_768  # max_position_embeddings of Mathstral-7B-v0.1
ARCHITECTURES = {
    ModelName.MATHSTRAL: "MistralForCausalLM",
    ModelName.CODESTRAL: "Mamba2ForCausalLM",
}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One model as it is to be served: `directory` or `hub_id` says where; a scripted one has neither.

    `is_tiny` marks the pair with random weights that this project makes itself; `packed` is where the small pair
    comes from, which is unpacked to `directory`. `context_tokens` bounds prompt plus answer.
    """

    model: ModelName
    version: str
    context_tokens: int
    directory: Path | None = None
    hub_id: str | None = None
    is_tiny: bool = False
    packed: Path | None = None

    @property
    def tokenizer_directory(self) -> Path | None:
        """Where the tokenizer lies before anything is unpacked; None for the one that both 7B models share."""
        return self.packed or self.directory

    def answer_tokens(self, *, prompt_tokens: int, requested: int | None, default: int) -> int:
        """How many tokens the answer may have.

        An explicit wish that does not fit is refused, a default is cut to what the context leaves.

        Raises:
            PromptTooLong: with the token counts.
        """
        room = self.context_tokens - prompt_tokens
        wanted = requested if requested is not None else max(1, min(default, room))
        if wanted > room:
            raise PromptTooLong(
                model=self.model.value,
                prompt_tokens=prompt_tokens,
                max_tokens=wanted,
                context_tokens=self.context_tokens,
            )
        return wanted


def describe_model(model: ModelName, settings: Settings) -> ModelSpec:
    """Say where the checkpoint of `model` lives; reads at most its config.json.

    Raises:
        CheckpointError: a local config.json is not readable JSON.
        ConfigurationError: the operator's value is neither a directory nor a hub id.
    """
    checkpoint = settings.checkpoint(model)
    if checkpoint is not None:
        return _describe_own(model, checkpoint, settings.context_tokens_limit)
    if settings.profile is Profile.TINY:
        return _describe_tiny(model, settings)
    if settings.profile is Profile.MINI:
        return _describe_mini(model, settings)
    if settings.profile is Profile.SCRIPTED:
        context_tokens = min(settings.context_tokens_limit, TINY_CONTEXT_TOKENS)
        return ModelSpec(model=model, version=f"{model.value}-scripted", context_tokens=context_tokens)
    return _describe_hub(model, HUB_IDS[model], settings.context_tokens_limit)


def _describe_own(model: ModelName, checkpoint: str, limit: int) -> ModelSpec:
    directory = Path(checkpoint).expanduser()
    if directory.is_dir() or _looks_like_path(checkpoint):
        return ModelSpec(
            model=model,
            version=directory.absolute().name,
            directory=directory.absolute(),
            context_tokens=min(limit, positions_of(directory) or limit),
        )
    if _HUB_ID.fullmatch(checkpoint):
        return _describe_hub(model, checkpoint, limit)
    raise ConfigurationError(
        f"{checkpoint!r} is neither a directory nor a hub id `owner/name`: correct MATHCODE_{model.value.upper()}"
    )


def _describe_tiny(model: ModelName, settings: Settings) -> ModelSpec:
    limit = settings.context_tokens_limit
    return ModelSpec(
        model=model,
        version=f"{model.value}-tiny-random",
        directory=settings.data_dir / "models" / "tiny" / model.value,
        context_tokens=min(limit, TINY_CONTEXT_TOKENS) if model is ModelName.MATHSTRAL else limit,
        is_tiny=True,
    )


def _describe_mini(model: ModelName, settings: Settings) -> ModelSpec:
    return ModelSpec(
        model=model,
        version=f"mini-{model.value}",
        directory=settings.data_dir / "models" / "mini" / f"{model.value}-{MINI_EDITION}",
        packed=MINI_PAIR / f"mini-{model.value}",
        context_tokens=min(settings.context_tokens_limit, MINI_CONTEXT_TOKENS),
    )


def _describe_hub(model: ModelName, hub_id: str, limit: int) -> ModelSpec:
    own = HUB_CONTEXT_TOKENS if model is ModelName.MATHSTRAL else limit
    return ModelSpec(model=model, version=hub_id.rpartition("/")[2], hub_id=hub_id, context_tokens=min(limit, own))


def _looks_like_path(checkpoint: str) -> bool:
    return checkpoint.startswith(("/", ".", "~")) or checkpoint.count("/") > 1


def positions_of(directory: Path) -> int | None:
    """The checkpoint's own context limit in tokens, or None where it has none (Mamba2) or no config.json.

    Raises:
        CheckpointError: config.json is there but cannot be read as a JSON object.
    """
    path = directory / CONFIG_FILE
    if not path.is_file():
        return None
    positions = read_json(path).get("max_position_embeddings")
    return positions if isinstance(positions, int) else None


def read_json(path: Path) -> dict[str, object]:
    """Parse a JSON object of a checkpoint.

    Raises:
        CheckpointError: the file cannot be read or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(path, f"cannot be read as JSON ({error}): restore the file") from error
    if not isinstance(value, dict):
        raise CheckpointError(path, "does not hold a JSON object: restore the file")
    return value
