"""The router's decision at every door, what is learned from use, and what happens without weights."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from core.database import Database
from core.feedback import FeedbackStore, LabelKind
from tests.harness import ROOT, Installation, eventually

MATH, CODE = "Solve the equation x = 1", "Debug this Python program"
CHAT = "/v1/chat/completions"


def said(headers: Any) -> tuple[str, ...]:
    return tuple(headers[f"x-mathcode-{name}"] for name in ("route", "router", "route-fallback"))


def chat(prompt: str, **fields: Any) -> dict[str, Any]:
    return {"model": "mathcode", "messages": [{"role": "user", "content": prompt}], "max_tokens": 2, **fields}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/jobs", {"prompt": CODE, "max_tokens": 2}),
        ("/v1/route", {"prompt": CODE}),
        (CHAT, chat(CODE)),
        (CHAT, chat(CODE, stream=True)),
        ("/v1/completions", {"model": "mathcode", "prompt": CODE, "max_tokens": 2}),
    ],
    ids=["job", "route", "chat", "stream", "text"],
)
def test_the_decision_is_in_the_headers_of_every_door(running: Installation, path: str, body: Any) -> None:
    with running.post(path, body) as response:
        assert response.ok, response.text
        assert said(response.headers) == ("code", "keywords", "false")
        assert 0 < float(response.headers["x-mathcode-route-confidence"]) <= 1


def test_the_decision_is_in_the_lines_of_a_batch(running: Installation) -> None:
    line = {"custom_id": "a", "method": "POST", "url": CHAT, "body": chat(CODE)}
    form: dict[str, Any] = {"data": {"purpose": "batch"}, "files": {"file": ("in.jsonl", json.dumps(line))}}
    upload = requests.post(f"{running.url}/v1/files", timeout=30, **form)
    asked = {"input_file_id": upload.json()["id"], "endpoint": CHAT, "completion_window": "24h"}
    batch = running.post("/v1/batches", asked).json()
    done = eventually(lambda: _completed(running, batch["id"]))
    (answer,) = running.get(f"/v1/files/{done['output_file_id']}/content").text.splitlines()
    (origin,) = json.loads(answer)["response"]["body"]["mathcode"]["jobs"]
    assert (origin["task_type"], origin["router"]) == ("code", "keywords")
    assert 0 < origin["confidence"] <= 1


def _completed(running: Installation, batch_id: str) -> dict[str, Any] | None:
    batch: dict[str, Any] = running.get(f"/v1/batches/{batch_id}").json()
    return batch if batch["status"] == "completed" else None


def test_the_question_alone_makes_no_job_and_says_why(running: Installation) -> None:
    before = running.get("/v1/jobs", params={"limit": 1}).json()["data"][0]["id"]
    decision = running.post("/v1/route", {"prompt": CODE}).json()
    assert (decision["task_type"], decision["models"]) == ("code", ["codestral"])
    assert "code keyword 'debug'" in decision["reasons"]
    forced = running.post("/v1/route", {"prompt": CODE, "force_task_type": "math"}).json()
    assert forced["reasons"] == ["math was forced by the caller"]
    assert running.get("/v1/jobs", params={"limit": 1}).json()["data"][0]["id"] == before


@pytest.mark.parametrize("prompt", [None, "", " \n", 7, ["a"]])
def test_a_question_without_a_prompt_is_refused(running: Installation, prompt: Any) -> None:
    response = running.post("/v1/route", {"prompt": prompt})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "prompt")


def test_use_becomes_labels_the_most_trusted_for_each_prompt(running: Installation) -> None:
    """Said by the caller, forced after the router chose another, forced at once, and a thumb up."""
    rated, told, disliked = (running.submit(f"{MATH} for {name}") for name in ("a", "b", "c"))
    for job, given in ((rated, {"rating": "up"}), (told, {"label": "other"}), (disliked, {"rating": "down"})):
        assert running.post(f"/v1/jobs/{job}/feedback", given).status_code == 200
    running.submit(f"{MATH} again")
    running.submit(f"{MATH} again", force_task_type="code")
    running.submit(f"{MATH} at once", force_task_type="hybrid")
    with closing(Database(running.database_url)) as database:
        labels = {each.prompt: (each.label, each.kind) for each in FeedbackStore(database).labels()}
    assert {prompt.removeprefix(MATH): label for prompt, label in labels.items() if MATH in prompt} == {
        " for a": ("math", LabelKind.RATED),
        " for b": ("other", LabelKind.SAID),
        " again": ("code", LabelKind.RETRY),
        " at once": ("hybrid", LabelKind.FORCED),
    }


def test_what_was_said_of_a_job_is_replaced_and_goes_with_it(running: Installation) -> None:
    job = running.finished(running.submit(f"{MATH} once"))["id"]
    path = f"/v1/jobs/{job}/feedback"
    running.post(path, {"rating": "up"})
    assert running.post(path, {"label": "code"}).json()["rating"] is None
    with closing(Database(running.database_url)) as database:
        labels = FeedbackStore(database).labels
        assert [each.label for each in labels() if each.prompt == f"{MATH} once"] == ["code"]
        assert requests.delete(f"{running.url}/v1/jobs/{job}", timeout=30).ok
        assert [each for each in labels() if each.prompt == f"{MATH} once"] == []
    assert running.post(path, {"rating": "up"}).status_code == 404


def test_too_little_use_promotes_nothing(running: Installation, tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Prove it", "label": "MATH"}\n', encoding="utf-8")
    finished = subprocess.run(
        [sys.executable, "-m", "cli.main", "router", "train", str(tmp_path / "prompts.jsonl"), "--with-feedback"],
        cwd=ROOT, env=running.environment, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert re.match(r"not promoted: there are \d+ labels from use: at least 30 are needed\n$", finished.stdout)
    assert not (running.data_dir / "router").exists()


@pytest.mark.parametrize("body", [{}, {"rating": "sideways"}, {"label": "poetry"}, {"stars": 5}, []])
def test_feedback_that_says_nothing_is_refused(running: Installation, body: Any) -> None:
    job = running.submit(MATH)
    assert running.post(f"/v1/jobs/{job}/feedback", body).status_code == 400


def test_without_weights_keywords_answer_and_the_health_page_says_so(fresh: Installation, tmp_path: Path) -> None:
    """No request fails; once the file is good again the running process takes it."""
    own = tmp_path / "router" / "router.safetensors"
    own.parent.mkdir()
    own.write_bytes(b"torn")
    fresh.start("api", ROUTER="learned")
    health = fresh.get("/healthz").json()
    assert (health["status"], health["router"]["version"]) == ("ok", "keywords")
    assert "damaged" in health["router"]["alarm"]
    assert fresh.get("/v1/status").json()["alarms"] == [health["router"]["alarm"]]
    response = fresh.post("/v1/jobs", {"prompt": CODE})
    assert response.status_code == 202
    assert said(response.headers) == ("code", "keywords", "true")
    own.unlink()
    eventually(lambda: fresh.get("/healthz").json()["router"]["alarm"] is None)
    assert fresh.post("/v1/route", {"prompt": CODE}).json()["version"].startswith("router-")


def test_the_learned_router_routes_what_nobody_would_type(fresh: Installation) -> None:
    fresh.start("api", ROUTER="learned")
    for prompt in ("\x01\x02\ufffd" * 300, "😀" * 300, "用Python实现 сортировку مع אבג", "hello there"):
        response = fresh.post("/v1/jobs", {"prompt": prompt})
        assert response.status_code == 202, response.text
        assert said(response.headers)[2] == "false"
    assert said(response.headers)[0] == "math"
    assert response.headers["x-mathcode-route-label"] == "other"
    assert fresh.post("/v1/route", {"prompt": "x" * 1_000_000}).json()["reasons"]
