"""Every engine the suites here run over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from core.messages import ModelName
from core.settings import Settings
from ensemble.engine.build import build_engine
from ensemble.engine.engine import ModelEngine
from ensemble.engine.scripted import ScriptedEngine

CONTEXT_TOKENS = 1024
KINDS = ["mathstral", "codestral", "scripted"]


class Build(Protocol):
    def __call__(self, *, slots: int = 4) -> ModelEngine[Any]: ...


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        MATHCODE_PROFILE="tiny",
        MATHCODE_DATA_DIR=tmp_path_factory.mktemp("engines"),
        MATHCODE_CONTEXT_TOKENS=CONTEXT_TOKENS,
        MATHCODE_MAX_TOKENS=24,
    )


@pytest.fixture(scope="module", params=KINDS)
def build(request: pytest.FixtureRequest, settings: Settings) -> Build:
    def scripted(*, slots: int = 4) -> ModelEngine[Any]:
        return ScriptedEngine(
            answer_tokens=10_000,
            seconds_per_step=0.001,
            slots=slots,
            context_tokens=CONTEXT_TOKENS,
            default_max_tokens=settings.default_max_tokens,
            piece_interval_s=0.0,
        )

    def tiny(*, slots: int = 4) -> ModelEngine[Any]:
        return build_engine(
            ModelName(request.param), settings.model_copy(update={"slots": slots}), piece_interval_s=0.0
        )

    return scripted if request.param == "scripted" else tiny


@pytest.fixture(scope="module")
def engine(build: Build) -> Iterator[ModelEngine[Any]]:
    engine = build()
    yield engine
    engine.close()


@pytest.fixture
def single_slot(build: Build) -> Iterator[ModelEngine[Any]]:
    engine = build(slots=1)
    yield engine
    engine.close()
