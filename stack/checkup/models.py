"""Checks of what profile `full` needs: cards, CUDA, compiled kernels, and access to the models."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.messages import ModelName
from core.observing.gpus import GIB, Gpu, GpuReader
from core.options import Device, Profile
from core.settings import Settings
from ensemble.models import describe_model
from stack.checkup.finding import Finding, failed, ok, warning
from stack.checkup.machine import weights_bytes

PROBE_TIMEOUT_S = 120.0
HUB_TIMEOUT_S = 5.0

# In a process of its own, since this one shall not load torch.
_CUDA_PROBE = """
import importlib, json
import torch
found = {"torch": torch.__version__, "cuda": torch.version.cuda, "available": torch.cuda.is_available()}
for name in ("triton", "bitsandbytes", "causal_conv1d", "mamba_ssm"):
    try:
        found[name] = str(getattr(importlib.import_module(name), "__version__", "there"))
    except Exception as error:
        found[name] = None
        found[name + "_error"] = f"{type(error).__name__}: {error}"[:200]
print(json.dumps(found))
"""
_INSTALL = 'pip install -c constraints.txt --no-build-isolation -e ".[gpu]", for the torch that is installed'


def check_models(settings: Settings) -> Iterator[Finding]:
    if settings.device is Device.CUDA:
        yield from _cards(settings, GpuReader(settings.visible_devices).read())
        yield from _cuda()
    else:
        why = f"; not full: {settings.obstacle_to_full}" if settings.profile_choice is Profile.AUTO else ""
        yield ok("device", f"profile {settings.profile} on the CPU: no card is needed{why}")
    for model in ModelName:
        yield from _access(model, settings)


def _cards(settings: Settings, cards: tuple[Gpu, ...]) -> Iterator[Finding]:
    if not cards:
        yield failed(
            "card", "the NVIDIA driver shows none", "install the driver until `nvidia-smi` lists the card"
        )
        return
    needed = 2 * weights_bytes(settings.weights)
    for card in cards:
        words = (
            f"{card.name}, {card.memory_used_bytes / GIB:.1f} of {card.memory_total_bytes / GIB:.1f} GiB in use"
        )
        if card.memory_total_bytes < needed:
            remedy = f"both models in {settings.weights} want {needed / GIB:.0f} GiB: use MATHCODE_WEIGHTS=nf4"
            yield warning("card", words, f"{remedy}, or a card for each (docs/get_started.md)")
        else:
            yield ok("card", words)


def _cuda() -> Iterator[Finding]:
    found = _probe()
    if isinstance(found, str):
        yield failed("torch", found, "install it: pip install torch, then the rest again")
        return
    words = f"{found['torch']}, CUDA {found['cuda'] or 'none'}"
    if not found["available"]:
        yield failed(
            "torch", f"{words}, finds no card", "install a torch built with CUDA that the driver supports"
        )
    else:
        yield ok("torch", words)
    for name in ("triton", "bitsandbytes", "causal_conv1d", "mamba_ssm"):
        if found[name] is None:
            yield failed("kernels", f"{name}: {found[name + '_error']}", _INSTALL)
        else:
            yield ok("kernels", f"{name} {found[name]}")


def _probe() -> dict[str, Any] | str:
    """What is installed, or why that cannot be said."""
    try:
        finished = subprocess.run(
            [sys.executable, "-c", _CUDA_PROBE],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
        found: dict[str, Any] = json.loads(finished.stdout)
    except subprocess.TimeoutExpired:
        return f"importing it took longer than {PROBE_TIMEOUT_S:.0f} s"
    except ValueError:
        return (finished.stderr.strip().splitlines() or ["it does not start"])[-1]
    return found


def _access(model: ModelName, settings: Settings) -> Iterator[Finding]:
    if settings.checkpoint(model) is None and settings.profile is not Profile.FULL:
        return
    spec = describe_model(model, settings)
    if spec.directory is not None:
        yield _directory(model, spec.directory)
    elif spec.hub_id is not None:
        yield _hub(model, spec.hub_id, settings)


def _directory(model: ModelName, directory: Path) -> Finding:
    weights = list(directory.glob("*.safetensors")) if directory.is_dir() else []
    if not weights or not (directory / "config.json").exists():
        remedy = f"let MATHCODE_{model.upper()} name a directory with config.json and *.safetensors"
        return failed(model.value, f"{directory} holds no checkpoint", remedy)
    size = sum(path.stat().st_size for path in weights)
    return ok(model.value, f"{directory}, {size / GIB:.1f} GiB")


def _hub(model: ModelName, hub_id: str, settings: Settings) -> Finding:
    """By the hub's own answer to a question about a file that every checkpoint has."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.errors import HTTPError as ClientError  # type: ignore[attr-defined]  # of its own client

    if isinstance(try_to_load_from_cache(hub_id, "config.json"), str):
        return ok(model.value, f"{hub_id} is on this machine")
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    try:
        get_hf_file_metadata(hf_hub_url(hub_id, "config.json"), token=token, timeout=HUB_TIMEOUT_S)
    except HfHubHTTPError as error:
        remedy = (
            f"accept the terms at https://huggingface.co/{hub_id} and set HF_TOKEN to a token with read access"
        )
        return failed(model.value, f"{hub_id}: the hub answers {error.response.status_code}", remedy)
    except (ClientError, OSError):
        remedy = f"let this machine reach the hub, or MATHCODE_{model.upper()} name a local directory"
        return failed(model.value, f"{hub_id} is not here and the hub cannot be reached", remedy)
    return ok(model.value, f"{hub_id} may be downloaded")
