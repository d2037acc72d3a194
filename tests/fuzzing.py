"""Random requests against a running API: `python -m tests.fuzzing --requests 10000` (`make fuzz`).

Up to half are made by schemathesis from /openapi.json, valid and not, and held to it; the others are bytes that no
HTTP client would send. No answer may be a 5xx, and every error has the one shape.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import ArgumentParser
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    ensure_resource_availability,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    use_after_free,
)

from core.dialects.openai_models import FAMILIES
from stack.servers import EmbeddedServers, scratch_data_dir
from tests.harness import Installation, create_schema, installation
from tests.raw_http import check_shape, send_mangled

CHECKS = [
    content_type_conformance,
    ensure_resource_availability,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    use_after_free,
]
SUITE_SEED = 20_261_125
CONFLICTING = {
    "stream_options", "force_task_type", "best_of", "top_logprobs", "max_completion_tokens", "stop",
}  # fmt: skip
ANSWERABLE: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "mathcode", "messages": [{"role": "user", "content": "Prove it"}], "max_tokens": 2,
    },
    "/v1/completions": {"model": "codestral", "prompt": ["def f(x):"], "max_tokens": 2},
}  # fmt: skip
LINE = (
    b'{"custom_id": "a", "method": "POST", "url": "/v1/completions",'
    b' "body": {"model": "codestral", "prompt": "x", "max_tokens": 1}}\n'
)
KINDS = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


def operations(running: Installation) -> list[Any]:
    """Those of the served document, deleting last; every second id exists until then."""
    document = running.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    known, numbers = _known(running), count()

    @schema.hook("map_path_parameters")
    def with_real_ids(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        for name in sorted(known.keys() & (path_parameters or {}).keys()):
            if (number := next(numbers)) % 2:
                return {**(path_parameters or {}), name: known[name][number // 2 % len(known[name])]}
        return path_parameters

    found = [result.ok() for result in schema.get_all_operations()]
    return sorted(found, key=lambda operation: operation.method == "delete")


def _known(running: Installation) -> dict[str, list[str]]:
    """What exists, by the name of the path's parameter."""
    files, batches = [], []
    for content in (LINE, b"{", LINE + b"{"):
        files += [_upload(running, content)]
        asked = {"input_file_id": files[-1], "endpoint": "/v1/completions", "completion_window": "24h"}
        batches += [running.post("/v1/batches", asked).json()["id"]]
    return {
        "job_id": [running.submit("Solve x = 1", max_tokens=1) for _ in range(4)],
        "file_id": [*files, _upload(running, b"0")],
        "batch_id": batches,
        "name": list(FAMILIES),
    }


def _upload(running: Installation, content: bytes) -> str:
    response = requests.post(
        f"{running.url}/v1/files", files={"file": ("a.jsonl", content)}, data={"purpose": "batch"}, timeout=10
    )
    return str(response.json()["id"])


def hold_to_the_document(
    running: Installation, operation: Any, *, kind: GenerationMode, examples: int
) -> Counter[int]:
    """Send so many requests of one operation and check the answers; how often each status came back."""
    statuses = Counter[int]()

    @seed(SUITE_SEED)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=kind))
    def send(case: Any) -> None:
        if kind is GenerationMode.POSITIVE and isinstance(case.body, dict) and operation.path in ANSWERABLE:
            case.body = _tamed(case.body, ANSWERABLE[operation.path] if statuses.total() % 2 else {})
        checks = [check for check in CHECKS if check is not negative_data_rejection or not _is_form(case)]
        response = case.call_and_validate(base_url=running.url, checks=checks, timeout=30)
        statuses[response.status_code] += 1
        if response.status_code >= 400:
            check_shape(response.content, operation.path)

    try:
        send()
    except Unsatisfiable:
        assert kind is GenerationMode.NEGATIVE  # nothing in it can be wrong
    return statuses


def _is_form(case: Any) -> bool:
    """On the wire all fields of a form are bytes, so that a wrong type may be a right value."""
    return case.media_type == "multipart/form-data"


def _tamed(body: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Patient, since a 504 would be right otherwise. With what is `known` to be answered: no schema says which
    parameters do not go together.
    """
    kept = {name: value for name, value in body.items() if not known or name not in CONFLICTING}
    return {**kept, **known, "deadline_s": 60}


def _everything(running: Installation, total: int) -> None:
    made = operations(running)
    sent = 0
    for operation in made:
        statuses = Counter[int]()
        for kind in KINDS:
            statuses += hold_to_the_document(running, operation, kind=kind, examples=total // 2 // len(made))
        sent += statuses.total()
        print(f"{operation.label}: {dict(sorted(statuses.items()))}", flush=True)
    statuses = send_mangled(running, number=max(0, total - sent), seed_=SUITE_SEED)
    assert requests.get(f"{running.url}/healthz", timeout=5).ok
    print(f"{sent} from the document, {statuses.total()} mangled: {dict(sorted(statuses.items()))}")


def main() -> int:
    parser = ArgumentParser()
    parser.add_argument("--requests", type=int, default=10_000)
    total = parser.parse_args().requests
    with (
        scratch_data_dir() as directory,
        EmbeddedServers(directory) as servers,
        tempfile.TemporaryDirectory() as logs,
    ):
        url = create_schema(servers.urls.database_url, "fuzzing")
        arguments = {"database_url": url, "redis_url": servers.urls.redis_url, "data_dir": Path(logs)}
        with installation(**arguments) as running:
            running.start("api", "mathstral", "codestral", "light", "beat")
            _everything(running, total)
    return 0


if __name__ == "__main__":
    sys.exit(main())
