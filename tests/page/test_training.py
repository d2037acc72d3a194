"""Training as one watches it: curves that grow, why runs ended as they did, versions in and out of service."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from core.database import Database
from core.model_versions import VersionStore
from core.training_runs import RunState
from tests.page.conftest import Visitor
from tests.page.scenery import grow, trained, training

PROMOTED = "held-out loss 1.3100 -> 1.2400 (-5.3 %), at least 0.5 % was asked"
REJECTED = "frozen loss 1.0200 -> 1.0900 (+6.9 %), at most 1.0 % is allowed"


@pytest.fixture
def history(ledger: Database) -> Database:
    """Two versions, the newer in service, and a run between them that was rejected."""
    trained(ledger, RunState.PROMOTED, heldout=(1.31, 1.24), reasons=[PROMOTED])
    trained(ledger, RunState.REJECTED, heldout=(1.24, 1.239), reasons=[REJECTED])
    trained(ledger, RunState.PROMOTED, heldout=(1.24, 1.19), reasons=["held-out loss 1.2400 -> 1.1900"])
    return ledger


def version_row(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name="Versions").get_by_role("row", name=re.compile(f"^{name} "))


def points(chart: Locator) -> int:
    """Of its first line."""
    return len((chart.locator("polyline").first.get_attribute("points") or "").split())


def serving(database: Database) -> str | None:
    version = VersionStore(database).serving()
    return version.name if version else None


def test_the_curves_of_a_run_grow_while_one_watches(keyholder: Visitor, ledger: Database) -> None:
    claim = training(ledger)
    page = keyholder.open("#/training")
    chart = page.get_by_role("img", name="Losses of run")
    expect(chart).to_have_accessible_name(re.compile("training loss from .* held-out loss from"))
    expect(page.get_by_text("step 24 of 60 · 9,100 tokens/s · 3 min 36 s left")).to_be_visible()
    page.get_by_text("1 note").click()
    expect(page.get_by_text("checkpoint-12 is torn")).to_be_visible()
    assert points(chart) == 24
    grow(ledger, claim, steps=40)
    expect(page.get_by_text("step 40 of 60")).to_be_visible()
    assert points(chart) == 40
    assert chart.locator("circle").count() == 6  # held-out losses: at the first step and at every eighth


def test_what_was_rejected_says_why(keyholder: Visitor, history: Database) -> None:
    page = keyholder.open("#/training")
    row = page.get_by_role("row").filter(has_text="rejected")
    expect(row).to_contain_text(REJECTED)
    row.get_by_role("link").click()
    notice = page.get_by_role("region", name="Run 2").locator(".notice.bad")
    expect(notice).to_contain_text("Rejected, because")
    expect(notice).to_contain_text(REJECTED)
    scores = page.get_by_role("table", name="Losses, lower is better")
    expect(scores.get_by_role("row").filter(has_text="heldout")).to_contain_text("1.24001.2390-0.1 %")


def test_versions_have_their_scores(keyholder: Visitor, history: Database) -> None:
    page = keyholder.open("#/training")
    expect(version_row(page, "v2")).to_contain_text("serving")
    expect(version_row(page, "v2")).to_contain_text("1.240 → 1.190")
    expect(version_row(page, "v1")).to_contain_text("14 of 20")
    expect(page.get_by_text("In service").locator("..")).to_contain_text("v2")


def test_a_version_is_promoted_and_rolled_back_behind_a_key(
    keyholder: Visitor, history: Database, operator: tuple[str, str]
) -> None:
    page = keyholder.open("#/training")
    version_row(page, "v1").get_by_role("button", name="Promote v1").click()
    dialog = page.get_by_role("dialog", name="Promote v1")
    dialog.get_by_label("Operator's key").fill("mk_wrong")
    dialog.get_by_role("button", name="Promote v1").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    assert serving(history) == "v2"
    dialog.get_by_label("Operator's key").fill(operator[1])
    dialog.get_by_role("button", name="Promote v1").click()
    expect(version_row(page, "v1")).to_contain_text("serving")
    assert serving(history) == "v1"
    page.get_by_role("button", name="Roll back").click()
    dialog = page.get_by_role("dialog", name="Roll back")
    expect(dialog).to_contain_text("v1 is taken out of service")
    dialog.get_by_label("Operator's key").fill(operator[1])
    dialog.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text("In service").locator("..")).to_contain_text("base model")
    assert serving(history) is None


def test_before_the_first_run_it_says_how_to_begin(keyholder: Visitor, ledger: Database) -> None:
    page = keyholder.open("#/training")
    expect(page.get_by_text("No run yet.")).to_contain_text("mathcode ingest")
    expect(page.get_by_text("No version yet: the base model serves.")).to_be_visible()
