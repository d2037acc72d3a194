"""What an operator sees of a live installation: `/health`, `/metrics`, traces, logs; its dashboard and alerts."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families

from stack.servers import ServerUrls
from tests.harness import ROOT, Installation, eventually, free_port, installation
from tests.receivers import Receiver, receiver

DEPLOY = ROOT / "deploy"
PROMETHEUS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
SECRET_PROMPT = "Solve the equation zanzibar = 2"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt-get install prometheus")

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


@pytest.fixture(scope="module")
def collector() -> Iterator[Receiver]:
    """Of traces: OTLP over HTTP."""
    with receiver(200) as listening:
        yield listening


@pytest.fixture(scope="module")
def seen(
    new_urls: Callable[[], ServerUrls], tmp_path_factory: pytest.TempPathFactory, collector: Receiver
) -> Iterator[tuple[Installation, str]]:
    """An installation that trains as well, and the URL of its trainer's port."""
    urls, directory, port = new_urls(), tmp_path_factory.mktemp("installation"), free_port()
    with installation(database_url=urls.database_url, redis_url=urls.redis_url, data_dir=directory) as made:
        made.settings["MATHCODE_TRAINER_PORT"] = str(port)
        made.settings["MATHCODE_TRACES_URL"] = collector.url
        made.start("api", "mathstral", "codestral", "light", "training", "beat")
        yield made, f"http://127.0.0.1:{port}"


@pytest.fixture
def urls_of(seen: tuple[Installation, str]) -> dict[str, str]:
    return {"api": seen[0].url, "trainer": seen[1]}


def samples_of(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def scraped(url: str) -> Samples:
    return samples_of(requests.get(f"{url}/metrics/prometheus", timeout=10).text)


def total(samples: Samples, name: str, **labels: str) -> float:
    return sum(v for names, v in samples.get(name, {}).items() if labels.items() <= dict(names).items())


@pytest.mark.parametrize("place", ["api", "trainer"])
def test_a_healthy_installation_says_what_the_seed_says(urls_of: dict[str, str], place: str) -> None:
    response = requests.get(f"{urls_of[place]}/health", timeout=10)
    assert (response.status_code, response.json()) == (200, {"status": "healthy", "model": "mamba-codestral"})


@pytest.mark.parametrize("place", ["api", "trainer"])
def test_metrics_have_the_fields_of_the_seed_and_no_others(urls_of: dict[str, str], place: str) -> None:
    """Nothing was trained and no card is here: zeros, and nulls where zero would be a lie."""
    assert requests.get(f"{urls_of[place]}/metrics", timeout=10).json() == {
        "training_in_progress": False,
        "last_training_id": 0,
        "current_max_id": 0,
        "metrics": {
            "total_trainings": 0,
            "total_files_trained": 0,
            "last_training_time": None,
            "avg_training_time": None,
            "model_version": 0,
        },
        "gpu_utilization": None,
        "gpu_memory_used": None,
        "gpu_memory_total": None,
        "model": "Mamba-Codestral-7B-v0.1",
    }


@pytest.mark.parametrize("place", ["api", "trainer"])
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/plain", "text/plain"),
        (PROMETHEUS, "application/openmetrics-text"),
    ],
)
def test_who_asks_for_text_gets_prometheus(urls_of: dict[str, str], place: str, accept: str, kind: str) -> None:
    response = requests.get(f"{urls_of[place]}/metrics", headers={"Accept": accept}, timeout=10)
    assert response.headers["Content-Type"].startswith(kind)


def test_what_happens_to_jobs_is_counted(seen: tuple[Installation, str]) -> None:
    installed, _ = seen
    before = scraped(installed.url)
    for task_type in ("math", "code", "hybrid"):
        assert installed.ask(SECRET_PROMPT, force_task_type=task_type, max_tokens=4)["status"] == "succeeded"

    def counted() -> Samples | None:
        after = scraped(installed.url)
        rose = total(after, "mathcode_jobs_total", state="succeeded") - total(
            before, "mathcode_jobs_total", state="succeeded"
        )
        engine = total(after, "mathcode_first_token_seconds_count")
        return after if rose == 3 and engine >= 4 else None

    after = eventually(counted)
    assert total(after, "mathcode_jobs_total", state="succeeded", route="hybrid") == 1
    for model in ("mathstral", "codestral"):
        assert total(after, "mathcode_attempts_total", model=model) == 2
        assert total(after, "mathcode_queue_wait_seconds_count", queue=model) == 2
        assert total(after, "mathcode_tokens_total", model=model, kind="answer") > 0
        assert total(after, "mathcode_engine_tokens_total", model=model) > 0
        assert total(after, "mathcode_workers", queue=model, state="serving") == 1
        assert total(after, "mathcode_slots", model=model) == 8
    assert total(after, "mathcode_route_confidence_ratio_bucket", route="math", le="1.0") == 1
    assert total(after, "mathcode_job_wait_seconds_bucket", le="+Inf") == 3
    assert after["mathcode_queue_messages"][("priority", "normal"), ("queue", "training")] == 0
    assert after["mathcode_up"] == {(("part", "database"),): 1, (("part", "redis"),): 1}
    text = installed.get("/metrics/prometheus").text
    assert "zanzibar" not in text


def test_scrapes_at_once_cost_one_look(seen: tuple[Installation, str]) -> None:
    installed, _ = seen
    texts = [installed.get("/metrics/prometheus").text for _ in range(20)]
    assert len(set(texts)) < 20


def test_histograms_grow_towards_their_count(seen: tuple[Installation, str]) -> None:
    samples = scraped(seen[0].url)
    for name in [name for name in samples if name.endswith("_bucket")]:
        by_series: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
        for labels, value in samples[name].items():
            rest = frozenset(pair for pair in labels if pair[0] != "le")
            by_series.setdefault(rest, []).append((float(dict(labels)["le"]), value))
        for rest, buckets in by_series.items():
            values = [value for _, value in sorted(buckets)]
            assert values == sorted(values)
            assert values[-1] == samples[name.replace("_bucket", "_count")][tuple(sorted(rest))]


@needs_promtool
@pytest.mark.parametrize("place", ["api", "trainer"])
def test_promtool_finds_nothing_to_say_about_the_text(urls_of: dict[str, str], place: str) -> None:
    text = requests.get(f"{urls_of[place]}/metrics/prometheus", timeout=10).content
    finished = subprocess.run([str(PROMTOOL), "check", "metrics"], input=text, capture_output=True, check=False)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, b"", b"")


@needs_promtool
@pytest.mark.parametrize(
    "words", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts.test.yml")], ids=" ".join
)
def test_promtool_accepts_what_is_deployed(words: tuple[str, ...]) -> None:
    finished = subprocess.run(
        [str(PROMTOOL), *words], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("file", ["prometheus/alerts.yml", "grafana/mathcode.json"])
def test_alerts_and_dashboard_name_only_figures_that_exist(seen: tuple[Installation, str], file: str) -> None:
    named = set(re.findall(r"\bmathcode_[a-z_]+", (DEPLOY / file).read_text(encoding="utf-8")))
    samples = set(scraped(seen[0].url)) | families_without_samples(seen[0].url)
    of_a_run = {"step", "steps", "loss", "heldout_loss", "tokens_per_second", "remaining_seconds"}
    assert named - samples - {f"mathcode_training_{name}" for name in of_a_run} == set()


def families_without_samples(url: str) -> set[str]:
    text = requests.get(f"{url}/metrics/prometheus", timeout=10).text
    return set(re.findall(r"^# TYPE (\S+)", text, flags=re.MULTILINE))


def test_every_alert_is_explained() -> None:
    alerts = re.findall(r"- alert: (\w+)", (DEPLOY / "prometheus/alerts.yml").read_text(encoding="utf-8"))
    page = (ROOT / "docs/production.md").read_text(encoding="utf-8")
    assert alerts
    assert [alert for alert in alerts if f"`{alert}`" not in page] == []


def test_every_panel_of_the_dashboard_asks_something() -> None:
    panels = json.loads((DEPLOY / "grafana/mathcode.json").read_text(encoding="utf-8"))["panels"]
    assert [p["title"] for p in panels if p["type"] != "row" and not all(t["expr"] for t in p["targets"])] == []
    assert len({panel["id"] for panel in panels}) == len(panels)


def spans_of(collector: Receiver, job_id: str) -> dict[str, Span]:
    """By name; a job's trace has its id."""
    sent = [ExportTraceServiceRequest.FromString(plain(body)) for _, body in list(collector.received)]
    spans = [
        s for r in sent for resource in r.resource_spans for scope in resource.scope_spans for s in scope.spans
    ]
    return {span.name: span for span in spans if span.trace_id.hex() == job_id.replace("-", "")}


def plain(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def test_a_job_is_traced_from_http_to_its_tokens(seen: tuple[Installation, str], collector: Receiver) -> None:
    installed, _ = seen
    caller = "0af7651916cd43dd8448eb211c80319c"
    body = {"prompt": SECRET_PROMPT, "force_task_type": "math", "max_tokens": 4}
    sent = installed.post("/v1/jobs", body, headers={"traceparent": f"00-{caller}-b7ad6b7169203331-01"}).json()
    wanted = {"POST /v1/jobs", "wait", "generate", "first token", "further tokens"}
    eventually(lambda: wanted <= set(spans_of(collector, sent["id"])))
    spans = spans_of(collector, sent["id"])
    first = spans["POST /v1/jobs"]
    assert (first.parent_span_id, first.links[0].trace_id.hex()) == (b"", caller)
    assert {spans[name].parent_span_id for name in wanted - {"POST /v1/jobs"}} == {first.span_id}
    times = [spans[name].end_time_unix_nano for name in ("wait", "first token", "further tokens")]
    assert first.start_time_unix_nano < times[0] < times[1] <= times[2] == spans["generate"].end_time_unix_nano
    attributes = {a.key: a.value for a in spans["generate"].attributes}
    assert attributes["mathcode.completion_tokens"].int_value == 4
    assert not any(b"zanzibar" in plain(body) for _, body in collector.received)


def test_every_line_of_the_logs_is_an_event_in_json_without_a_prompt(seen: tuple[Installation, str]) -> None:
    installed, _ = seen
    job = installed.ask(SECRET_PROMPT, force_task_type="hybrid", max_tokens=4)
    told: list[tuple[str, dict[str, Any]]] = []
    for name in installed.processes:
        lines = installed.log(name).read_text(encoding="utf-8").splitlines()
        told += [(name, json.loads(line)) for line in lines]
    assert "zanzibar" not in json.dumps(told)
    assert all({"time", "level", "logger", "message"} <= line.keys() for _, line in told)
    mine = [(name, line) for name, line in told if line.get("job_id") == job["id"]]
    assert {line["trace_id"] for _, line in mine} == {job["id"].replace("-", "")}
    messages = [(name, line["message"].removeprefix(f"job {job['id']} ").split(" ")[0]) for name, line in mine]
    assert sorted(messages) == [
        ("api", "accepted:"),
        ("codestral", "codestral"),
        ("light", "ended:"),
        ("mathstral", "mathstral"),
    ]
    (accepted,) = [line for name, line in mine if name == "api"]
    requests_told = [line for name, line in told if line.get("request_id") == accepted["request_id"]]
    assert [line["message"].split(" in ")[0] for line in requests_told][-1] == "POST /v1/jobs 202"


# These break the installation and come last.


def test_an_unhealthy_part_is_named(seen: tuple[Installation, str]) -> None:
    installed, trainer = seen
    installed.terminate("codestral")
    eventually(lambda: installed.get("/health").status_code == 503)
    response = installed.get("/health")
    assert response.json() == {
        "status": "unhealthy",
        "model": "mamba-codestral",
        "unhealthy": ["worker-codestral"],
    }
    assert requests.get(f"{trainer}/health", timeout=10).status_code == 200
