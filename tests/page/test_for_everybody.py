"""Every view, light and dark, on a phone and at a desk: nothing for axe to find, nothing to scroll sideways."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.database import Database
from core.messages import TaskType
from core.observing.gpus import GIB, Gpu
from core.roster import Roster, Standing
from core.training_runs import RunState
from tests.harness import eventually
from tests.page.conftest import Visitor
from tests.page.scenery import answered, insert_job, trained, training
from tests.page.test_asking import FORMULAS

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
FOUND = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations.flatMap(rule =>
    rule.nodes.map(node => `${rule.id}: ${node.target} ${node.failureSummary}`))"""
SIZES = {"phone": (390, 844), "desk": (1280, 800)}
WIDE = """() => [document.documentElement.scrollWidth - innerWidth, [...document.querySelectorAll('main *')]
    .filter(each => each.getBoundingClientRect().right > innerWidth + 1)
    .filter(each => !each.closest('pre, .scroll, .formula, .hidden, thead'))
    .map(each => each.outerHTML.slice(0, 80))]"""
LONG = "Prove that 123456789012345678901234567890123456789012345678901234567890 is " + "very " * 80 + "odd"


@pytest.fixture
def busy(ledger: Database, operator: tuple[str, str]) -> str:
    """Something for every view; the id of an answered job."""
    key = operator[0]
    trained(ledger, RunState.PROMOTED, heldout=(1.31, 1.24), reasons=["held-out loss 1.3100 -> 1.2400"])
    trained(ledger, RunState.REJECTED, heldout=(1.24, 1.239), reasons=["frozen loss 1.02 -> 1.09 (+6.9 %)"])
    training(ledger)
    insert_job(ledger, LONG, TaskType.CODE, key_id=key)
    return answered(ledger, LONG, TaskType.HYBRID, FORMULAS, FORMULAS, reasons=("word 'prove'",), key_id=key)


@pytest.fixture
def roster(ledger: Database) -> Roster:
    made = Roster(ledger, beat_s=60)
    gpu = Gpu(uuid="1", name="H100", utilization=None, memory_used_bytes=GIB, memory_total_bytes=80 * GIB)
    name = "codestral@a-host-with-quite-a-long-name.example:123456-abcdef"
    made.sign(name=name, queue="codestral", version="v1", slots=8, metrics=None, standing=Standing(gpus=(gpu,)))
    return made


def poll(probe: Callable[[], object], wanted: object) -> object:
    """What `probe` gives once it is what is wanted, or last."""
    with suppress(AssertionError):
        eventually(lambda: probe() == wanted, within_s=5)
    return probe()


def must_suit_everybody(page: Page) -> None:
    """In each colour and at each width, as it stands now."""
    page.evaluate(f"{AXE}; undefined")
    for size in SIZES.values():
        page.set_viewport_size({"width": size[0], "height": size[1]})
        narrowed = poll(lambda: page.evaluate(WIDE), [0, []])  # charts follow a frame later
        assert narrowed == [0, []], size
        for colours in ("light", "dark"):
            page.emulate_media(color_scheme=colours, reduced_motion="reduce")  # type: ignore[arg-type]
            assert page.evaluate(FOUND) == [], (size, colours)


def jobs(page: Page) -> None:
    expect(page.get_by_role("row")).to_have_count(3)


def job(page: Page) -> None:
    page.locator(".route summary").click()
    page.get_by_role("button", name="Bad answer").click()
    expect(page.get_by_text("It was a question of")).to_be_visible()


def training_view(page: Page) -> None:
    expect(page.get_by_role("img", name="Losses of run")).to_be_visible()


def fleet(page: Page) -> None:
    expect(page.get_by_role("img", name="Waiting completions")).to_be_visible()


def batches(page: Page) -> None:
    expect(page.get_by_text("No batch yet.")).to_be_visible()


def ask(page: Page) -> None:
    page.get_by_text("Options").click()


def asking_key(page: Page) -> None:
    page.get_by_role("button", name="API key set").click()


def promoting(page: Page) -> None:
    page.get_by_role("button", name="Roll back").click()


VIEWS: dict[str, tuple[str, Callable[[Page], None]]] = {
    "ask": ("#/ask", ask),
    "key": ("#/ask", asking_key),
    "jobs": ("#/jobs", jobs),
    "job": ("#/jobs/{job}", job),
    "batches": ("#/batches", batches),
    "training": ("#/training", training_view),
    "rejected run": ("#/training/2", training_view),
    "promoting": ("#/training", promoting),
    "fleet": ("#/fleet", fleet),
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_suits_everybody(keyholder: Visitor, busy: str, roster: Roster, view: str) -> None:
    place, prepare = VIEWS[view]
    page = keyholder.open(place.format(job=busy))
    prepare(page)
    must_suit_everybody(page)


@pytest.mark.parametrize(
    "place", ["#/jobs", "#/training", "#/fleet", "#/jobs/00000000-0000-7000-8000-000000000000"]
)
def test_an_empty_view_suits_everybody(keyholder: Visitor, ledger: Database, place: str) -> None:
    page = keyholder.open(place)
    expect(page.get_by_text("Loading…")).to_have_count(0)
    must_suit_everybody(page)


def test_an_answer_that_is_written_suits_everybody(guest: Visitor) -> None:
    page = guest.open()
    page.get_by_label("Your question").fill("Implement Newton's method in Python and prove that it converges")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("writing…").first).to_be_visible()
    must_suit_everybody(page)


def test_colours_follow_the_system_until_they_are_chosen(guest: Visitor) -> None:
    page = guest.open()
    ground = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(ground)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(ground)
    assert light != dark
    page.get_by_role("button", name="Theme: auto").click()
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(ground) == dark
    page.reload()
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert page.evaluate(ground) == dark
