"""Every engine is operated alike while it serves: versions swapped, memory given back, its state looked at."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from core.errors import AdapterError, ConfigurationError, EngineUnavailable
from core.messages import Completion
from core.work import Delta
from ensemble.engine.engine import ModelEngine
from tests.adapters import write_adapter
from tests.contract.asking import complete, work
from tests.contract.conftest import Build
from tests.harness import eventually

PATIENCE_S = 30.0
LONG = 900
TAKE_ADAPTERS = ["codestral", "scripted"]


@pytest.fixture
def swapping(build: Build) -> Iterator[ModelEngine[Any]]:
    """An engine for one test alone, since versions stay."""
    engine = build()
    yield engine
    engine.close()


@pytest.mark.parametrize("build", TAKE_ADAPTERS, indirect=True)
def test_new_requests_get_the_new_version_and_name_it(swapping: ModelEngine[Any], tmp_path: Path) -> None:
    base = swapping.version
    texts = {base: complete(swapping, work(max_tokens=12)).text}
    for number in range(1, 4):
        swapping.swap_adapter(f"v{number}", write_adapter(tmp_path / f"{number}", seed=number))
        completion = complete(swapping, work(max_tokens=12))
        assert completion.version == swapping.version == swapping.metrics().version == f"v{number}"
        texts[completion.version] = completion.text
    assert len(set(texts.values())) == 4
    swapping.swap_adapter(None, None)
    completion = complete(swapping, work(max_tokens=12))
    assert (completion.version, completion.text) == (base, texts[base])


@pytest.mark.parametrize("build", TAKE_ADAPTERS, indirect=True)
def test_requests_end_on_the_version_they_began_with(swapping: ModelEngine[Any], tmp_path: Path) -> None:
    old, new = (write_adapter(tmp_path / name, seed=seed) for seed, name in enumerate(("old", "new"), 1))
    swapping.swap_adapter("old", old)
    whole = complete(swapping, work(max_tokens=300)).text
    stream = swapping.generate(work(max_tokens=300))
    next(stream)
    swapping.swap_adapter("new", new)
    assert complete(swapping, work(max_tokens=12)).version == "new"
    outcome = list(stream)[-1]
    assert isinstance(outcome, Completion)
    assert (outcome.version, outcome.text) == ("old", whole)


@pytest.mark.parametrize("build", TAKE_ADAPTERS, indirect=True)
def test_a_version_sleeps_and_wakes_with_its_requests(swapping: ModelEngine[Any], tmp_path: Path) -> None:
    swapping.swap_adapter("old", write_adapter(tmp_path / "old", seed=1))
    whole = complete(swapping, work(max_tokens=300)).text
    stream = swapping.generate(work(max_tokens=300))
    next(stream)
    swapping.sleep()
    swapping.swap_adapter("new", write_adapter(tmp_path / "new", seed=2))
    swapping.wake()
    outcome = list(stream)[-1]
    assert isinstance(outcome, Completion)
    assert (outcome.version, outcome.text) == ("old", whole)
    assert complete(swapping, work(max_tokens=12)).version == "new"


@pytest.mark.parametrize("build", TAKE_ADAPTERS, indirect=True)
def test_a_third_version_waits_until_the_first_is_done(swapping: ModelEngine[Any], tmp_path: Path) -> None:
    versions = {f"v{number}": write_adapter(tmp_path / f"{number}", seed=number) for number in range(3)}
    streams = []
    for name in ("v0", "v1"):
        swapping.swap_adapter(name, versions[name])
        streams.append(swapping.generate(work(max_tokens=LONG)))
        next(streams[-1])
    with pytest.raises(EngineUnavailable, match="earlier version"):
        swapping.swap_adapter("v2", versions["v2"])
    assert swapping.version == "v1"
    streams[0].close()
    eventually(lambda: swapping.running == 1)
    swapping.swap_adapter("v2", versions["v2"])
    assert complete(swapping, work(max_tokens=4)).version == "v2"
    streams[1].close()


def test_a_bad_adapter_is_refused_and_the_version_stays(engine: ModelEngine[Any], tmp_path: Path) -> None:
    before = engine.version
    with pytest.raises(AdapterError, match="nowhere"):
        engine.swap_adapter("v1", tmp_path / "nowhere")
    assert engine.version == before
    assert complete(engine, work(max_tokens=4)).version == before


def test_a_sleeping_engine_answers_after_it_wakes(engine: ModelEngine[Any]) -> None:
    expected = complete(engine, work(max_tokens=40)).text
    engine.sleep()
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(complete, engine, work(max_tokens=40)) for _ in range(2)]
        eventually(lambda: engine.waiting == 2)
        assert engine.metrics().is_asleep
        engine.wake()
        assert [future.result(PATIENCE_S).text for future in futures] == [expected] * 2


def test_a_version_without_a_directory_is_refused(engine: ModelEngine[Any]) -> None:
    before = engine.version
    with pytest.raises(ConfigurationError, match="both"):
        engine.swap_adapter("v9", None)
    assert engine.version == before


def test_text_without_a_seed_stays_whole_over_a_sleep(engine: ModelEngine[Any]) -> None:
    for number in range(4):
        stream = engine.generate(work(f"question {number}", max_tokens=60, temperature=1.0))
        pieces = [next(stream)]
        engine.sleep()
        engine.wake()
        *rest, outcome = stream
        assert isinstance(outcome, Completion)
        assert outcome.completion_tokens <= 60
        assert "".join(piece.text for piece in [*pieces, *rest] if isinstance(piece, Delta)) == outcome.text


def test_metrics_count_what_was_done(build: Build) -> None:
    engine = build(slots=3)
    assert engine.metrics().free_slots == 3
    stream = engine.generate(work(max_tokens=LONG))
    next(stream)
    busy = engine.metrics()
    assert (busy.running, busy.waiting, busy.free_slots, busy.version) == (1, 0, 2, engine.version)
    assert busy.memory_used_bytes <= busy.memory_bytes
    stream.close()
    eventually(lambda: engine.metrics().running == 0)
    before = engine.metrics().tokens
    complete(engine, work(max_tokens=9))
    after = engine.metrics()
    assert after.tokens - before == 9
    assert after.first_token_p50_s is not None
    assert after.token_p50_s is not None
    assert after.preemptions == 0
    engine.close()
