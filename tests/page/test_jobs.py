"""The list of jobs: by status, opened, cancelled, asked again, and page after page."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from core.database import Database
from core.messages import TaskType
from tests.harness import Installation, eventually
from tests.page.conftest import Visitor
from tests.page.scenery import answered


def row_of(page: Page, prompt: str) -> Locator:
    return page.get_by_role("row").filter(has_text=prompt)


def test_a_job_is_cancelled_from_the_list_and_asked_again(guest: Visitor, live: Installation) -> None:
    job_id = live.submit("Prove the Riemann hypothesis")
    page = guest.open("#/jobs")
    row = row_of(page, "Prove the Riemann hypothesis")
    expect(row.get_by_text("running")).to_be_visible()
    row.get_by_role("button", name="Cancel").click()
    expect(row.get_by_text("cancelled")).to_be_visible()
    assert live.status(job_id) == "cancelled"
    row.get_by_role("button", name="Ask again").click()
    expect(page.get_by_role("heading", name="Prove the Riemann hypothesis")).to_be_visible()
    again = page.evaluate("location.hash").rpartition("/")[2]
    assert again != job_id
    expect(page.get_by_text("succeeded")).to_be_visible()
    assert live.status(again) == "succeeded"


def test_the_list_is_filtered_by_status_and_a_job_is_opened(guest: Visitor, live: Installation) -> None:
    done = live.ask("Prove that 5 is prime", max_tokens=4)
    stopped = live.submit("Prove that 6 is prime")
    live.post(f"/v1/jobs/{stopped}/cancel")
    live.finished(stopped)
    page = guest.open("#/jobs")
    for prompt in ("Prove that 5 is prime", "Prove that 6 is prime"):
        expect(row_of(page, prompt)).to_be_visible()
    page.get_by_role("navigation", name="Status").get_by_role("link", name="cancelled").click()
    expect(row_of(page, "Prove that 6 is prime")).to_be_visible()
    expect(row_of(page, "Prove that 5 is prime")).to_have_count(0)
    page.get_by_role("link", name="dead").click()
    expect(page.get_by_text("No job is dead.")).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="succeeded").click()
    page.get_by_role("link", name="Prove that 5 is prime").click()
    expect(page.get_by_text(str(done["id"]))).to_be_visible()
    expect(page.get_by_text("temperature 0")).to_be_visible()
    expect(page.locator(".prose")).to_have_text(done["answer"]["response"])


def test_a_new_job_appears_by_itself(guest: Visitor, live: Installation) -> None:
    page = guest.open("#/jobs")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    live.submit("Prove that 7 is prime", max_tokens=4)
    expect(row_of(page, "Prove that 7 is prime").get_by_text("succeeded")).to_be_visible()


def test_older_jobs_come_when_asked_for(keyholder: Visitor, ledger: Database, operator: tuple[str, str]) -> None:
    for number in range(30):
        answered(ledger, f"Prove lemma {number:02}", TaskType.MATH, "So.", key_id=operator[0])
    page = keyholder.open("#/jobs")
    expect(page.get_by_role("row")).to_have_count(1 + 25)
    page.get_by_role("button", name="Show older ones").click()
    expect(page.get_by_role("row")).to_have_count(1 + 30)
    expect(row_of(page, "Prove lemma 00")).to_be_visible()
    expect(page.get_by_role("button", name="Show older ones")).to_have_count(0)


def test_without_a_key_it_asks_for_one_and_then_shows_the_jobs_of_that_key(
    stranger: Visitor, ledger: Database, operator: tuple[str, str]
) -> None:
    answered(ledger, "Prove a secret", TaskType.MATH, "So.", key_id=operator[0])
    page = stranger.open("#/jobs")
    dialog = page.get_by_role("dialog", name="API key")
    expect(dialog.get_by_label("Key")).to_be_focused()
    dialog.get_by_label("Key").fill("mk_wrong")
    dialog.get_by_role("button", name="Use it").click()
    expect(page.get_by_text("The server refused the key that is set.")).to_be_visible()
    dialog.get_by_label("Key").fill(operator[1])
    dialog.get_by_role("button", name="Use it").click()
    expect(row_of(page, "Prove a secret")).to_be_visible()
    page.get_by_role("button", name="API key set").click()
    page.get_by_role("button", name="Forget it").click()
    eventually(lambda: page.evaluate("sessionStorage.getItem('mathcode-key')") is None)
