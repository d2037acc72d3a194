"""The main path over HTTP: submitted, routed, answered by the right models, read back."""

from __future__ import annotations

import pytest

from tests.harness import Installation

HYBRID_PROMPT = "Implement a numerical gradient descent algorithm with mathematical proof"


@pytest.mark.parametrize(
    ("prompt", "task_type", "models"),
    [
        ("Solve the equation: 2x^2 + 5x - 3 = 0", "math", ["mathstral"]),
        ("Implement a binary search tree in Python", "code", ["codestral"]),
        (HYBRID_PROMPT, "hybrid", ["mathstral", "codestral"]),
    ],
)
def test_a_prompt_is_answered_by_the_models_of_its_route(
    running: Installation, prompt: str, task_type: str, models: list[str]
) -> None:
    job = running.ask(prompt, max_tokens=8)
    assert job["status"] == "succeeded"
    assert job["route"]["task_type"] == task_type
    assert job["route"]["reasons"]
    answer = job["answer"]
    assert [completion["model"] for completion in answer["completions"]] == models
    assert not answer["degraded"]
    for completion in answer["completions"]:
        assert completion["text"].strip() in answer["response"]
        assert completion["completion_tokens"] == 8


def test_submission_answers_202_with_links(running: Installation) -> None:
    response = running.post("/v1/jobs", {"prompt": "What is 2 + 2?"})
    view = response.json()
    assert response.status_code == 202
    assert view["status"] == "queued"
    assert response.headers["Location"] == view["links"]["self"] == f"/v1/jobs/{view['id']}"
    assert response.headers["x-request-id"]


@pytest.mark.parametrize("forced", ["math", "code", "hybrid"])
def test_force_task_type_wins(running: Installation, forced: str) -> None:
    job = running.ask("Solve the equation x = 1", force_task_type=forced, max_tokens=2)
    assert job["route"]["task_type"] == forced


def test_sequential_hybrid_hands_the_mathematics_to_the_code_model(running: Installation) -> None:
    alone = running.ask(HYBRID_PROMPT, max_tokens=8, strategy="parallel")["answer"]["completions"]
    after = running.ask(HYBRID_PROMPT, max_tokens=8, strategy="sequential")["answer"]["completions"]
    assert [completion["model"] for completion in after] == ["mathstral", "codestral"]
    assert after[0]["text"] == alone[0]["text"]
    assert after[1]["prompt_tokens"] > alone[1]["prompt_tokens"]


def test_logprobs_are_in_the_answer_only_if_asked_for(running: Installation) -> None:
    (plain,) = running.ask("Prove it", max_tokens=4, force_task_type="math")["answer"]["completions"]
    assert "logprobs" not in plain
    asked = running.ask("Prove it", max_tokens=4, force_task_type="math", logprobs=2, top_k=1, temperature=1.0)
    (completion,) = asked["answer"]["completions"]
    assert completion["text"] == plain["text"]
    assert [len(entry["top"]) for entry in completion["logprobs"]] == [2] * 4


def test_same_seed_same_text(running: Installation) -> None:
    texts = {
        running.ask("Prove it", max_tokens=12, temperature=1.0, seed=seed)["answer"]["response"]
        for seed in (7, 7, 8)
    }
    assert len(texts) == 2


def test_pages_list_every_job_once_newest_first(running: Installation) -> None:
    ids = [running.submit(f"calculate {number}", max_tokens=1) for number in range(7)]
    for job_id in ids:
        running.finished(job_id)
    seen, after = [], None
    while True:
        query = {"limit": 3, "status": "succeeded", **({"after": after} if after else {})}
        page = running.get("/v1/jobs", params=query).json()
        seen += [job["id"] for job in page["data"]]
        if not page["has_more"]:
            break
        after = seen[-1]
    assert len(seen) == len(set(seen))
    assert [job_id for job_id in seen if job_id in ids] == ids[::-1]


def test_status_counts_living_workers(running: Installation) -> None:
    status = running.get("/v1/status").json()
    assert status["database"] == status["broker"] == "ok"
    assert status["workers"] == {"mathstral": 1, "codestral": 1, "light": 1}


def test_events_carry_the_text_and_end_once(running: Installation) -> None:
    job_id = running.submit(HYBRID_PROMPT, max_tokens=20)
    events = running.events(job_id)
    assert [name for _, name, _ in events].count("done") == 1
    assert events[-1][1:] == ("done", {"status": "succeeded"})
    for completion in running.job(job_id)["answer"]["completions"]:
        pieces = [
            data["text"] for _, name, data in events if name == "piece" and data["model"] == completion["model"]
        ]
        assert "".join(pieces) == completion["text"]


def test_events_resume_after_any_id_without_loss_or_repetition(running: Installation) -> None:
    job_id = running.submit("Prove that 1 + 1 = 2", max_tokens=20)
    events = running.events(job_id)
    for position, (event_id, _, _) in enumerate(events[:-1]):
        assert running.events(job_id, after=event_id) == events[position + 1 :]
