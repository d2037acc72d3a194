"""Laws of the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.options import Device, Profile, Weights
from core.settings import SERVICES_FILE, read_settings, variables


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MATHCODE_DATA_DIR", str(tmp_path))


def test_the_names_of_the_seed_are_kept() -> None:
    models = {"DATABASE_URL", "HF_TOKEN"}
    training = {"MIN_NEW_FILES", "MAX_DATASET_SIZE", "CHECK_INTERVAL", "TRAINING_EPOCHS", "BATCH_SIZE"}
    assert models | training <= set(variables())


def test_all_bad_variables_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATHCODE_PORT", "many")
    monkeypatch.setenv("MATHCODE_PROFILE", "huge")
    monkeypatch.setenv("REDIS_URL", "foo")
    with pytest.raises(ConfigurationError) as caught:
        read_settings()
    for name in ("MATHCODE_PORT", "MATHCODE_PROFILE", "REDIS_URL"):
        assert name in str(caught.value)


def test_secrets_never_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:hunter2@host/db")
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@host:6379/0")
    monkeypatch.setenv("HF_TOKEN", "hunter2")
    monkeypatch.setenv("MATHCODE_FLOWER_PASSWORD", "hunter2")
    settings = read_settings()
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    monkeypatch.setenv("REDIS_URL", "http://:hunter2@host")
    with pytest.raises(ConfigurationError) as caught:
        read_settings()
    assert "hunter2" not in str(caught.value)


def test_the_environment_wins_over_the_running_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    services = tmp_path / SERVICES_FILE
    services.parent.mkdir()
    services.write_text("DATABASE_URL=postgresql://stack/db\nREDIS_URL=redis://stack:1/0\n")
    monkeypatch.setenv("DATABASE_URL", "postgresql://mine/db")
    settings = read_settings()
    assert settings.require_database_url() == "postgresql://mine/db"
    assert settings.require_redis_url() == "redis://stack:1/0"


def test_without_servers_the_error_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="mathcode up"):
        read_settings().require_redis_url()


def test_certificates_are_verified_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "rediss://:pw@host:6379/0")
    assert read_settings().require_redis_url() == "rediss://:pw@host:6379/0?ssl_cert_reqs=required"
    monkeypatch.setenv("REDIS_URL", "rediss://:pw@host:6379/0?ssl_cert_reqs=none")
    assert read_settings().require_redis_url().endswith("?ssl_cert_reqs=none")


@pytest.mark.parametrize(
    ("profile", "device", "weights"),
    [(Profile.TINY, Device.CPU, Weights.FP32), (Profile.FULL, Device.CUDA, Weights.NF4)],
)
def test_device_and_weights_follow_the_profile(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, device: Device, weights: Weights
) -> None:
    monkeypatch.setenv("MATHCODE_PROFILE", profile)
    settings = read_settings()
    assert (settings.device, settings.weights) == (device, weights)


def test_further_keywords_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATHCODE_MATH_KEYWORDS", " Cohomology, 层 ,,")
    assert read_settings().math_keywords == ("cohomology", "层")
