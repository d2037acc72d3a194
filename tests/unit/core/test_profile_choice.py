"""Profile `auto` is `full` only where card, kernels and weights are there, and says what is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from core.messages import ModelName
from core.observing.gpus import GIB, Gpu, GpuReader
from core.options import Device, Profile
from core.profile_choice import HUB_IDS, KERNELS
from core.settings import read_settings


@pytest.fixture(autouse=True)
def able(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that can: one card of 24 GB, all kernels, a token."""
    monkeypatch.setenv("MATHCODE_PROFILE", "auto")
    monkeypatch.setenv("MATHCODE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "hf_something")
    for name in ("MATHCODE_DEVICE", "MATHCODE_MATHSTRAL", "MATHCODE_CODESTRAL"):
        monkeypatch.delenv(name, raising=False)
    give_card(monkeypatch, 24)
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: object() if name in KERNELS else real(name, *rest)
    )


def give_card(monkeypatch: pytest.MonkeyPatch, *sizes_gib: int) -> None:
    cards = tuple(
        Gpu(uuid=f"GPU-{at}", name="card", utilization=None, memory_used_bytes=0, memory_total_bytes=size * GIB)
        for at, size in enumerate(sizes_gib)
    )
    monkeypatch.setattr(GpuReader, "read", lambda _: cards)


def test_a_machine_that_can_serves_the_7b_models() -> None:
    settings = read_settings()
    assert (settings.profile, settings.device, settings.obstacle_to_full) == (Profile.FULL, Device.CUDA, None)


@pytest.mark.parametrize("sizes", [(), (8,), (12, 12)])
def test_without_a_large_card_the_small_pair_serves(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]
) -> None:
    give_card(monkeypatch, *sizes)
    settings = read_settings()
    assert (settings.profile, settings.device) == (Profile.MINI, Device.CPU)
    assert settings.obstacle_to_full == "no NVIDIA card of 16 GB or more"


@pytest.mark.parametrize("missing", KERNELS)
def test_a_missing_kernel_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == missing else object())
    settings = read_settings()
    assert settings.profile is Profile.MINI
    assert str(settings.obstacle_to_full).startswith(f"{missing} is not installed")


def test_without_token_the_weights_must_be_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path / "hub"), raising=False)
    assert "HF_TOKEN is not set" in str(read_settings().obstacle_to_full)
    for hub_id in HUB_IDS.values():
        cache(tmp_path / "hub", hub_id)
    assert read_settings().profile is Profile.FULL


def cache(hub: Path, hub_id: str) -> None:
    """As the hub's client lays a repository out."""
    repository = hub / f"models--{hub_id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc", encoding="utf-8")
    (repository / "snapshots" / "abc").mkdir(parents=True)
    (repository / "snapshots" / "abc" / "config.json").write_text("{}", encoding="utf-8")


def test_own_checkpoints_need_no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN")
    for model in ModelName:
        monkeypatch.setenv(f"MATHCODE_{model.upper()}", str(tmp_path))
    assert read_settings().profile is Profile.FULL


def test_the_operators_device_and_profile_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATHCODE_DEVICE", "cpu")
    assert read_settings().profile is Profile.MINI
    monkeypatch.delenv("MATHCODE_DEVICE")
    monkeypatch.setenv("MATHCODE_PROFILE", "tiny")
    assert (read_settings().profile, read_settings().device) == (Profile.TINY, Device.CPU)
