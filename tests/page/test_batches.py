"""Batches by hand: a file is uploaded, followed to its end, and its answers are fetched."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import Download, FilePayload, Page, expect

from tests.harness import Installation
from tests.page.conftest import Visitor


def choose(page: Page, name: str, *lines: object) -> None:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    page.get_by_label("File of prompts").set_input_files(
        FilePayload(name=name, mimeType="application/jsonl", buffer=text.encode())
    )


def lines_of(download: Download, folder: Path) -> list[dict[str, object]]:
    path = folder / download.suggested_filename
    download.save_as(path)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_file_is_uploaded_followed_and_its_answers_are_fetched(guest: Visitor, tmp_path: Path) -> None:
    page = guest.open("#/batches")
    expect(page.get_by_role("button", name="Start")).to_be_disabled()
    prompts = [{"custom_id": f"p{n}", "prompt": f"Prove that {n} is odd", "max_tokens": 30} for n in range(40)]
    choose(page, "odd numbers.jsonl", *prompts)
    page.get_by_role("button", name="Ask 40 prompts").click()
    batch = page.get_by_role("article", name="odd numbers.jsonl")
    expect(batch.get_by_text("in progress")).to_be_visible()
    expect(batch.get_by_role("progressbar", name="Progress of odd numbers.jsonl")).to_be_visible()
    expect(batch.get_by_text("completed")).to_be_visible(timeout=60_000)
    expect(batch.get_by_text("40 answered of 40")).to_be_visible()
    expect(batch.get_by_role("progressbar")).to_have_js_property("value", 40)
    with page.expect_download() as fetched:
        batch.get_by_role("button", name="Download answers").click()
    assert fetched.value.suggested_filename == "odd numbers.answers.jsonl"
    assert {line["custom_id"] for line in lines_of(fetched.value, tmp_path)} == {f"p{n}" for n in range(40)}


def test_a_cancelled_batch_says_which_lines_were_not_answered(
    guest: Visitor, live: Installation, tmp_path: Path
) -> None:
    page = guest.open("#/batches")
    choose(page, "long.jsonl", *({"custom_id": str(n), "prompt": f"Prove theorem {n}"} for n in range(60)))
    page.get_by_role("button", name="Ask 60 prompts").click()
    batch = page.get_by_role("article", name="long.jsonl")
    batch.get_by_role("button", name="Cancel").click()
    expect(batch.get_by_text("cancelled", exact=True)).to_be_visible(timeout=60_000)
    newest = live.get("/v1/batches?limit=1").json()["data"][0]
    assert (newest["metadata"]["name"], newest["status"]) == ("long.jsonl", "cancelled")
    with page.expect_download() as fetched:
        batch.get_by_role("button", name="Download errors").click()
    errors = lines_of(fetched.value, tmp_path)
    assert 0 < len(errors) <= 60
    assert all(error["error"] for error in errors)


def test_a_file_that_is_not_in_order_is_refused_by_its_line(guest: Visitor) -> None:
    page = guest.open("#/batches")
    choose(page, "broken.jsonl", {"custom_id": "a", "prompt": "Prove it"}, "{not JSON")
    expect(page.get_by_role("alert")).to_contain_text("Line 2 is no JSON")
    expect(page.get_by_role("button", name="Start")).to_be_disabled()
    choose(page, "twice.jsonl", *[{"custom_id": "a", "prompt": "Prove it"}] * 2)
    page.get_by_role("button", name="Ask 2 prompts").click()
    batch = page.get_by_role("article", name="twice.jsonl")
    expect(batch.get_by_text("1 line not in order; nothing was asked")).to_be_visible()
    expect(batch.get_by_role("listitem")).to_contain_text("Line 2")
