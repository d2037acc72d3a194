"""A request may ask for exact weights by name: an engine answers with these or says that it does not have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.messages import FailureCode
from ensemble.engine.engine import ModelEngine
from tests.adapters import write_adapter
from tests.contract.asking import complete, failure, work
from tests.contract.conftest import Build

TAKE_ADAPTERS = ["codestral", "scripted"]


@pytest.fixture
def swapping(build: Build) -> Iterator[ModelEngine[Any]]:
    """An engine for one test alone, since versions stay."""
    engine = build()
    yield engine
    engine.close()


def test_what_no_engine_has_is_refused_by_name_while_others_are_answered(engine: ModelEngine[Any]) -> None:
    refused = failure(engine, work(version="v99"))
    assert refused.code is FailureCode.VERSION_NOT_SERVED
    assert "v99" in refused.message
    assert complete(engine, work(version=engine.version, max_tokens=2)).version == engine.version


@pytest.mark.parametrize("build", TAKE_ADAPTERS, indirect=True)
def test_the_model_itself_and_the_version_before_can_be_asked_for(
    swapping: ModelEngine[Any], tmp_path: Path
) -> None:
    base = swapping.version
    texts = {base: complete(swapping, work(max_tokens=12)).text}
    for name in ("v1", "v2"):
        swapping.swap_adapter(name, write_adapter(tmp_path / name, seed=int(name[1:])))
        texts[name] = complete(swapping, work(max_tokens=12)).text
    assert swapping.metrics().versions == ("v2", base, "v1")
    for name, text in texts.items():
        completion = complete(swapping, work(max_tokens=12, version=name))
        assert (completion.version, completion.text) == (name, text)
    swapping.swap_adapter("v3", write_adapter(tmp_path / "v3", seed=3))
    assert swapping.metrics().versions == ("v3", base, "v2")
    assert failure(swapping, work(version="v1")).code is FailureCode.VERSION_NOT_SERVED


@pytest.mark.parametrize("build", TAKE_ADAPTERS, indirect=True)
def test_sleep_forgets_versions_that_nobody_needs(swapping: ModelEngine[Any], tmp_path: Path) -> None:
    base = swapping.version
    for name in ("v1", "v2"):
        swapping.swap_adapter(name, write_adapter(tmp_path / name, seed=int(name[1:])))
    swapping.sleep()
    swapping.wake()
    assert swapping.metrics().versions == ("v2", base)
    assert failure(swapping, work(version="v1")).code is FailureCode.VERSION_NOT_SERVED
    assert complete(swapping, work(max_tokens=2, version=base)).version == base
