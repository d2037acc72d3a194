"""Which pair profile `auto` serves: the two 7B models where this machine can, else the small pair."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from core.messages import ModelName
from core.observing.gpus import GIB, GpuReader

HUB_IDS = {
    ModelName.MATHSTRAL: "mistralai/Mathstral-7B-v0.1",
    ModelName.CODESTRAL: "mistralai/Mamba-Codestral-7B-v0.1",
}
LEAST_CARD_BYTES = 15 * GIB  # of a card sold as 16 GB: both models in NF4, and room for requests
KERNELS = ("bitsandbytes", "causal_conv1d", "mamba_ssm")


def obstacle_to_full(
    *, checkpoints: dict[ModelName, str | None], has_token: bool, visible_devices: str = ""
) -> str | None:
    """What keeps this machine from serving the 7B models, in a few words; None where nothing does.

    Asks the driver, looks for installed packages and into the hub's cache; imports no torch, asks no network.
    `checkpoints` are the operator's own, None where the hub's are meant; `has_token` that those can be fetched.
    """
    cards = GpuReader(visible_devices).read()
    if not any(card.memory_total_bytes >= LEAST_CARD_BYTES for card in cards):
        return "no NVIDIA card of 16 GB or more"
    for name in KERNELS:
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed: docs/operations.md, the GPU extra"
    for model, checkpoint in checkpoints.items():
        if checkpoint is None and not has_token and not _is_cached(HUB_IDS[model]):
            return f"the weights of {HUB_IDS[model]} are not on this machine, and HF_TOKEN is not set"
    return None


def _is_cached(hub_id: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(hub_id, "config.json")
    return isinstance(found, str) and Path(found).exists()
