"""Figures as families of Prometheus, named by its conventions: base units, `_total` for what only grows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from pydantic import ValidationError

from core.observing.endings import Endings
from core.observing.gpus import Gpu
from core.observing.histograms import Histogram, Tally
from core.observing.ledger import Snapshot, Trainings
from core.roster import Worker

Labelled = Iterable[tuple[tuple[str, ...], float]]
Messages = Mapping[tuple[str, str], int]
"""How many messages stand in a queue, by (queue, priority)."""


def parts(states: Mapping[str, bool]) -> Iterator[Metric]:
    values = [((part,), float(is_up)) for part, is_up in states.items()]
    yield _gauge("mathcode_up", "Whether a part answers.", ("part",), values)


def queues(snapshot: Snapshot, messages: Messages) -> Iterator[Metric]:
    depths = [((depth.model, depth.priority), float(depth.waiting)) for depth in snapshot.depths]
    yield _gauge(
        "mathcode_queue_depth", "Completions that nobody has begun, in the ledger.", ("queue", "priority"), depths
    )
    yield _gauge(
        "mathcode_queue_messages",
        "Messages in Redis.",
        ("queue", "priority"),
        [(names, float(count)) for names, count in messages.items()],
    )
    states = {"queued": snapshot.jobs_queued - snapshot.jobs_held, "held": snapshot.jobs_held}
    open_jobs = {**states, "running": snapshot.jobs_running}
    yield _gauge("mathcode_jobs_open", "Jobs that have not ended.", ("state",), _by_name(open_jobs))
    yield _single(
        "mathcode_oldest_queued_job_seconds",
        "Age of the oldest job that nobody has begun.",
        snapshot.oldest_queued_s,
    )


def endings(ended: Endings) -> Iterator[Metric]:
    yield _counter("mathcode_jobs", "Jobs that ended.", ("state", "route"), ended.jobs.items())
    yield _counter("mathcode_degraded_answers", "Answers that lack a model.", ("route",), _by_name(ended.degraded))
    yield _counter("mathcode_tokens", "Tokens of ended jobs.", ("model", "kind"), ended.tokens.items())
    yield _counter("mathcode_attempts", "Attempts at completions.", ("model",), _by_name(ended.attempts))
    yield _counter(
        "mathcode_retried_completions",
        "Those of several attempts.",
        ("model",),
        _by_name(ended.retried),
    )
    yield _counter("mathcode_failures", "Completions that failed.", ("model", "code"), ended.failures.items())
    yield _tallies(
        "mathcode_route_confidence_ratio", "The router's confidence, of ended jobs.", "route", ended.confidence
    )
    yield _tallies("mathcode_job_wait_seconds", "From submission to the first worker.", "route", ended.job_wait_s)
    yield _tallies(
        "mathcode_queue_wait_seconds", "From announcement to a worker, of one model.", "queue", ended.queue_wait_s
    )


def fleet(workers: Iterable[Worker]) -> Iterator[Metric]:
    listed = list(workers)
    counts: dict[tuple[str, str], float] = {}
    for worker in listed:
        key = (worker.queue, worker.state.value)
        counts[key] = counts.get(key, 0) + 1
    yield _gauge("mathcode_workers", "Workers that live.", ("queue", "state"), counts.items())
    served = [worker for worker in listed if worker.metrics is not None]
    slots = [((worker.queue, worker.name), float(worker.slots)) for worker in served]
    yield _gauge("mathcode_slots", "Requests that a worker answers at once.", _WORKER, slots)
    for name, field, meaning in _ENGINE_GAUGES:
        yield _gauge(name, meaning, _WORKER, _figures(served, field))
    for name, field, meaning in _ENGINE_COUNTERS:
        yield _counter(name, meaning, _WORKER, _figures(served, field))
    for name, field, meaning in _ENGINE_HISTOGRAMS:
        yield _engine_histogram(name, field, meaning, served)
    versions = [((worker.queue, worker.name, worker.version or ""), 1.0) for worker in served]
    yield _gauge("mathcode_engine_version_info", "What a worker answers with.", (*_WORKER, "version"), versions)


def training(snapshot: Snapshot) -> Iterator[Metric]:
    yield _single("mathcode_model_version", "Version in service, 0 for the base model.", float(snapshot.version))
    yield _single("mathcode_alarms", "What an operator should see to.", float(len(snapshot.alarms)))
    yield _single("mathcode_training_in_progress", "Whether a run is open.", float(snapshot.training))
    yield _single("mathcode_corpus_new_files", "Files to train on.", float(snapshot.new_files))
    yield _gauge("mathcode_training_runs", "Runs in the ledger.", ("state",), _by_name(snapshot.runs))
    for name, field, meaning in _PROGRESS:
        value = snapshot.progress.get(field)
        if isinstance(value, int | float):
            yield _single(name, meaning, float(value))


def trained(totals: Trainings) -> Iterator[Metric]:
    yield _counter("mathcode_trained_files", "Files trained on, in runs with a verdict.", (), [
        ((), float(totals.files))
    ])  # fmt: skip


def cards(seen: Mapping[str, Iterable[Gpu]]) -> Iterator[Metric]:
    """`seen` by host; a card that several processes see is shown once, also where each is in a container."""
    by_uuid = {gpu.uuid: (host, gpu) for host, gpus in seen.items() for gpu in gpus}
    known = {(host, uuid): gpu for uuid, (host, gpu) in by_uuid.items()}
    used = [((*key, gpu.name), float(gpu.memory_used_bytes)) for key, gpu in known.items()]
    total = [((*key, gpu.name), float(gpu.memory_total_bytes)) for key, gpu in known.items()]
    busy = [((*key, gpu.name), gpu.utilization) for key, gpu in known.items() if gpu.utilization is not None]
    yield _gauge("mathcode_gpu_memory_used_bytes", "Memory in use, by all programs.", _CARD, used)
    yield _gauge("mathcode_gpu_memory_total_bytes", "Memory of the card.", _CARD, total)
    yield _gauge("mathcode_gpu_utilization_ratio", "Part of the time that a kernel ran.", _CARD, busy)


def _figures(workers: Iterable[Worker], field: str) -> Iterator[tuple[tuple[str, str], float]]:
    for worker in workers:
        value = (worker.metrics or {}).get(field)
        if isinstance(value, int | float):
            yield (worker.queue, worker.name), float(value)


def _engine_histogram(name: str, field: str, meaning: str, workers: Iterable[Worker]) -> Metric:
    family = HistogramMetricFamily(name, meaning, labels=_WORKER)
    for worker in workers:
        try:
            found = Histogram.model_validate((worker.metrics or {}).get(field))
        except ValidationError:  # a worker of another release
            continue
        family.add_metric((worker.queue, worker.name), list(found.cumulative()), found.total)
    return family


def _tallies(name: str, meaning: str, label: str, tallies: Mapping[str, Tally]) -> Metric:
    family = HistogramMetricFamily(name, meaning, labels=(label,))
    for value, tally in tallies.items():
        found = tally.snapshot()
        family.add_metric((value,), list(found.cumulative()), found.total)
    return family


def _by_name(values: Mapping[str, float]) -> Labelled:
    return [((name,), float(value)) for name, value in values.items()]


def _gauge(name: str, meaning: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    return _filled(GaugeMetricFamily(name, meaning, labels=labels), values)


def _single(name: str, meaning: str, value: float) -> Metric:
    return _gauge(name, meaning, (), [((), value)])


def _counter(name: str, meaning: str, labels: tuple[str, ...], values: Labelled) -> Metric:
    return _filled(CounterMetricFamily(name, meaning, labels=labels), values)


def _filled(family: Any, values: Labelled) -> Metric:
    for labels, value in values:
        family.add_metric(labels, value)
    filled: Metric = family
    return filled


_WORKER = ("model", "worker")
_CARD = ("host", "uuid", "card")
_ENGINE_GAUGES = (
    ("mathcode_engine_running", "running", "Requests that hold a slot."),
    ("mathcode_engine_waiting", "waiting", "Requests in the engine that wait for a slot."),
    ("mathcode_slots_free", "free_slots", "Slots that nobody holds."),
    ("mathcode_engine_asleep", "is_asleep", "Whether the engine's memory is given back."),
    ("mathcode_engine_memory_bytes", "memory_bytes", "Reserved for keys and values or recurrent state."),
    ("mathcode_engine_memory_used_bytes", "memory_used_bytes", "Of these, held by open requests."),
)
_ENGINE_COUNTERS = (
    ("mathcode_engine_tokens", "tokens", "Tokens generated since the engine started."),
    ("mathcode_engine_preemptions", "preemptions", "Requests that lost their slot."),
)
_ENGINE_HISTOGRAMS = (
    (
        "mathcode_first_token_seconds",
        "first_token_s",
        "From arrival at the engine to the first token.",
    ),
    ("mathcode_token_seconds", "token_s", "Between two tokens of a request, on its average."),
)
_PROGRESS = (
    ("mathcode_training_step", "step", "Optimizer step of the open run."),
    ("mathcode_training_steps", "steps", "Steps that the open run will take."),
    ("mathcode_training_loss", "loss", "Training loss at that step."),
    ("mathcode_training_heldout_loss", "heldout_loss", "Loss on held-out files, last measured."),
    ("mathcode_training_tokens_per_second", "tokens_per_s", "Tokens trained on per second."),
    ("mathcode_training_remaining_seconds", "eta_s", "Time left of the open run's training."),
)
