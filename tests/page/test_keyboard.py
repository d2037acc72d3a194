"""Everything by the keyboard alone: no click, no touch."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from core.database import Database
from core.messages import TaskType
from core.model_versions import VersionStore
from core.training_runs import RunState
from tests.harness import Installation
from tests.page.conftest import Visitor
from tests.page.scenery import answered, trained

MOST_TABS = 60
OUTLINE = "getComputedStyle(document.activeElement).outlineStyle"
FOCUSED = """() => { const it = document.activeElement;
    const name = it.getAttribute('aria-label') ?? it.labels?.[0]?.textContent ?? it.textContent;
    return name.replace(/\\s+/g, ' ').trim(); }"""


def tab_to(page: Page, name: str) -> None:
    """Until what is called so has the focus, and shows it."""
    seen = []
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
        if seen[-1].startswith(name):
            assert page.evaluate(OUTLINE) != "none", f"{name} has the focus and does not show it"
            return
    raise AssertionError(f"{name} is not reached by Tab: {seen}")


def test_the_first_key_skips_to_the_content(keyholder: Visitor, ledger: Database) -> None:
    page = keyholder.open("#/jobs")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    tab_to(page, "Skip to content")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    tab_to(page, "all")  # the first filter, not the first view


def test_from_view_to_view_and_the_focus_goes_along(guest: Visitor) -> None:
    page = guest.open("#/jobs")
    for name in ("Batches", "Training", "Fleet"):
        tab_to(page, "Skip to content") if page.evaluate("document.activeElement === document.body") else None
        page.keyboard.press("Shift+Tab")
        while not page.evaluate(FOCUSED).startswith(name):
            page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
        expect(page.locator("main")).to_be_focused()
        expect(page).to_have_title(f"{name} · mathcode")


def test_a_job_is_filtered_opened_and_asked_again(guest: Visitor, live: Installation) -> None:
    live.ask("Prove that 9 is square", max_tokens=4)
    page = guest.open("#/jobs")
    expect(page.get_by_role("link", name="Prove that 9 is square")).to_be_visible()
    tab_to(page, "succeeded")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="succeeded")).to_have_attribute("aria-current", "true")
    tab_to(page, "Prove that 9 is square")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article")).to_be_visible()
    tab_to(page, "Ask again")
    before = page.url
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url != before)


def test_who_answers_is_chosen_by_arrows(guest: Visitor) -> None:
    page = guest.open()
    expect(page.get_by_label("Your question")).to_be_focused()
    page.keyboard.type("What is 3 + 3?")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Code")).to_be_checked()
    tab_to(page, "Ask")
    page.keyboard.press("Enter")
    answer = page.get_by_role("article").first
    expect(answer.get_by_role("region", name="Codestral")).to_be_visible()


def test_an_answer_is_rated(keyholder: Visitor, ledger: Database, operator: tuple[str, str]) -> None:
    job_id = answered(ledger, "Prove it", TaskType.MATH, "So.", key_id=operator[0])
    page = keyholder.open(f"#/jobs/{job_id}")
    expect(page.get_by_role("button", name="Good answer")).to_be_visible()
    tab_to(page, "Bad answer")
    page.keyboard.press("Enter")
    tab_to(page, "Code")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Code", exact=True)).to_have_attribute("aria-pressed", "true")


def test_a_dialog_takes_the_focus_and_gives_it_back(
    keyholder: Visitor, ledger: Database, operator: tuple[str, str]
) -> None:
    trained(ledger, RunState.PROMOTED, heldout=(1.31, 1.24), reasons=["better"])
    page = keyholder.open("#/training")
    expect(page.get_by_role("button", name="Roll back")).to_be_visible()
    tab_to(page, "Roll back")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Operator's key")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Roll back")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type(operator[1])
    page.keyboard.press("Enter")
    expect(page.get_by_text("In service").locator("..")).to_contain_text("base model")
    assert VersionStore(ledger).serving() is None
