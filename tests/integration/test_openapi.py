"""The served document is whole, its page needs no internet, and every answer is as it says (schemathesis)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from flask import Flask

from api.app import create_app
from api.error_shapes import is_openai_door
from api.openapi import COMMON_ERRORS, build
from core.settings import Settings, read_settings
from tests.fuzzing import KINDS, hold_to_the_document, operations
from tests.harness import Installation
from tests.raw_http import check_shape

EXAMPLES = 8


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """Without servers: building the application opens no connection."""
    for name in [name for name in os.environ if name.startswith("MATHCODE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MATHCODE_PROFILE", "scripted")
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    settings: Settings = read_settings()
    yield create_app(settings)


def test_every_route_and_method_is_in_the_document(app: Flask) -> None:
    paths = build(app)["paths"]
    served = {
        (re.sub(r"<(?:[^:<>]+:)?([a-z_]+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served == {(path, method) for path, methods in paths.items() for method in methods}


def test_a_route_without_a_declaration_is_named(app: Flask) -> None:
    app.add_url_rule("/v1/forgotten", "forgotten", lambda: "", methods=["PUT"])
    with pytest.raises(LookupError, match="PUT /v1/forgotten"):
        build(app)


def test_every_operation_says_its_success_and_the_shape_of_its_errors(app: Flask) -> None:
    for path, methods in build(app)["paths"].items():
        for method, operation in methods.items():
            statuses = {int(status) for status in operation["responses"]}
            assert {status for status in statuses if status < 300}, (path, method)
            assert set(COMMON_ERRORS) <= statuses, (path, method)
            for status, response in operation["responses"].items():
                if int(status) >= 400 and path != HEALTH:
                    schema = response["content"]["application/json"]["schema"]
                    name = "OpenAIErrorBody" if is_openai_door(path) else "ErrorBody"
                    assert schema == {"$ref": f"#/components/schemas/{name}"}, (path, method, status)


def test_without_a_ledger_every_route_says_so_in_its_shape_and_when_to_come_back(app: Flask) -> None:
    caller, refused = app.test_client(), 0
    for path, methods in build(app)["paths"].items():
        target = re.sub(r"{(\w+)}", lambda found: _IDS.get(found[1], "1"), path)
        for method in methods:
            body = _BODIES.get(path) if method == "post" else None
            response = caller.open(target, method=method.upper(), data=body)
            if response.status_code < 400:
                continue
            if method == "post" and path.startswith("/v1/versions/"):  # the operator's
                assert response.status_code == 403, (path, response.text)
                continue
            assert response.status_code == 503, (method, path, response.text)
            if path == HEALTH:
                continue
            check_shape(response.data, target)
            assert 1 <= int(response.headers["Retry-After"]) <= 120, (method, path)
            refused += 1
    assert refused >= 17


HEALTH = "/health"
"""In the seed's words, also when it is unhealthy."""
_IDS = {
    "asset": "start.js",
    "name": "start.js",
    "job_id": "01890000-0000-7000-8000-000000000000",
    "file_id": f"file-{'0' * 32}",
    "batch_id": f"batch_{'0' * 32}",
}
_ASK: dict[str, Any] = {"model": "mathstral", "max_tokens": 1}
_NEW_BATCH = {"input_file_id": _IDS["file_id"], "endpoint": "/v1/completions", "completion_window": "24h"}
_BODIES: dict[str, Any] = {
    "/v1/jobs": b'{"prompt": "Prove it"}',
    "/v1/jobs/{job_id}/feedback": b'{"rating": "up"}',
    "/v1/route": b'{"prompt": "Prove it"}',
    "/v1/completions": json.dumps({**_ASK, "prompt": "x"}),
    "/v1/chat/completions": json.dumps({**_ASK, "messages": [{"role": "user", "content": "x"}]}),
    "/v1/batches": json.dumps(_NEW_BATCH),
    "/v1/files": {"purpose": "batch", "file": (BytesIO(b"{}"), "in.jsonl")},
}


def test_every_reference_of_the_document_leads_somewhere(app: Flask) -> None:
    document = build(app)
    named = set(re.findall(r"'#/components/schemas/([^']+)'", repr(document)))
    assert named <= set(document["components"]["schemas"])
    assert document["openapi"] == "3.1.0"


def test_the_page_loads_only_what_this_server_has(running: Installation) -> None:
    page = running.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len([path for path in loaded if path.startswith("docs/")]) == 3
    for path in loaded:
        assert not path.startswith(("http", "//")), path
        if not path.startswith("data:"):
            assert running.get(f"/{path}").status_code == 200, path
    assert "SwaggerUIBundle" in running.get("/docs/swagger-ui-bundle.js").text
    assert running.get("/docs/..%2fplugins.py").status_code == 404


def test_every_answer_is_as_the_document_says(running: Installation) -> None:
    """Requests it allows and requests it does not; those of jobs meet ids that exist and ids that do not."""
    seen: dict[str, set[int]] = {}
    for operation in operations(running):
        for kind in KINDS:
            statuses = hold_to_the_document(running, operation, kind=kind, examples=EXAMPLES)
            seen.setdefault(operation.label, set()).update(statuses)
    assert seen["POST /v1/jobs"] >= {202, 400}
    for label in ("GET /v1/jobs/{job_id}", "POST /v1/jobs/{job_id}/cancel"):
        assert seen[label] >= {200, 404}
    assert seen["DELETE /v1/jobs/{job_id}"] & {204, 409}
    for label in ("POST /v1/chat/completions", "POST /v1/completions"):
        assert seen[label] >= {200, 400}
    assert seen["POST /v1/files"] >= {200, 400}
    for label in ("GET /v1/files/{file_id}", "GET /v1/files/{file_id}/content", "GET /v1/batches/{batch_id}"):
        assert seen[label] >= {200, 404}
    assert seen["DELETE /v1/files/{file_id}"] >= {200, 404}
    assert seen["GET /v1/models/{name}"] >= {200, 404}
