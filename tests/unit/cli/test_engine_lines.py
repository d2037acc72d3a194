"""Laws of the lines that `mathcode status` prints per engine."""

from __future__ import annotations

from typing import Any

from cli.engine_lines import engine_lines

METRICS: dict[str, Any] = {
    "version": "m-1",
    "is_asleep": False,
    "running": 3,
    "waiting": 2,
    "tokens_per_s": 412.06,
    "preemptions": 1,
    "first_token_p50_s": 0.0123,
    "token_p50_s": None,
    "memory_bytes": 512 * 2**20,
    "memory_used_bytes": 61 * 2**20,
}


def _worker(metrics: dict[str, Any] | None) -> dict[str, Any]:
    return {"name": "mathstral@host:1", "version": "m-1", "slots": 8, "metrics": metrics}


def test_a_line_says_how_an_engine_fares() -> None:
    assert engine_lines({"roster": [_worker(METRICS)]}) == [
        "mathstral@host:1 (m-1) · running 3/8 · waiting 2 · 412.1 tokens/s · first token 12.3 ms · token -"
        " · memory 61 of 512 MiB · preempted 1"
    ]


def test_a_sleeping_engine_says_so() -> None:
    (line,) = engine_lines({"roster": [_worker({**METRICS, "is_asleep": True})]})
    assert "(m-1) · ASLEEP · running 3/8" in line


def test_a_worker_that_was_pinned_or_has_lent_its_card_says_so_also_before_its_model_is_loaded() -> None:
    lent = {"state": "ceded", "is_pinned": True}
    assert "(m-1) · PINNED · CEDED · running" in engine_lines({"roster": [{**_worker(METRICS), **lent}]})[0]
    assert engine_lines({"roster": [{**_worker(None), **lent}]}) == ["mathstral@host:1 · CEDED"]


def test_workers_without_a_model_and_an_api_of_before_have_no_lines() -> None:
    assert engine_lines({"roster": [_worker(None)]}) == engine_lines({"workers": {"light": 1}}) == []


def test_what_another_release_says_is_no_error() -> None:
    assert len(engine_lines({"roster": [_worker({"version": "m-1", "temperature_c": 71})]})) == 1
