"""The fleet as it is and as it was: workers, slots, speed, cards, queues, and the way to Flower."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event, Thread

import pytest
from playwright.sync_api import expect

from core.database import Database
from core.observing.gpus import GIB, Gpu
from core.roster import Roster, Standing
from tests.harness import Installation
from tests.page.conftest import Visitor

CARD = Gpu(
    uuid="GPU-1", name="NVIDIA H100", utilization=0.91, memory_used_bytes=57 * GIB, memory_total_bytes=80 * GIB
)


@dataclass
class Signer:
    """A worker on a card that signs the quiet installation's roster until it is told to stop."""

    database: Database
    gpu: Gpu
    name: str = "codestral@host:1"
    is_gone: Event = field(default_factory=Event)

    def __call__(self) -> None:
        roster = Roster(self.database, beat_s=1)
        while not self.is_gone.wait(0.2):
            standing = Standing(card="host:0", gpus=(self.gpu,))
            version = "codestral-7b@v2"
            roster.sign(
                name=self.name, queue="codestral", version=version, slots=32, metrics=None, standing=standing
            )
        roster.leave(self.name)


@pytest.fixture
def signer(ledger: Database) -> Iterator[Signer]:
    made = Signer(ledger, CARD)
    thread = Thread(target=made)
    thread.start()
    yield made
    made.is_gone.set()
    thread.join()


def test_workers_slots_and_speed_are_those_of_the_moment(guest: Visitor, live: Installation) -> None:
    page = guest.open("#/fleet")
    for model in ("mathstral", "codestral", "light"):
        row = page.get_by_role("row").filter(has_text=f"{model}@")
        expect(row).to_contain_text("serving")
    busy = [live.submit(f"Prove theorem {number} of Euclid") for number in range(24)]
    tile = page.get_by_label("Now").locator(".tile").filter(has_text="Mathstral")
    expect(tile.get_by_text(re.compile(r"^[1-9]\d* of \d+ slots busy"))).to_be_visible()
    expect(tile.get_by_text(re.compile(r"· [1-9]\d* tokens/s"))).to_be_visible()
    for job_id in busy:
        live.finished(job_id)
    expect(tile.get_by_text(re.compile(r"^0 of \d+ slots busy"))).to_be_visible()


def test_queues_and_speed_are_drawn_over_time(guest: Visitor) -> None:
    page = guest.open("#/fleet")
    waiting = page.get_by_role("img", name="Waiting completions")
    expect(waiting).to_have_accessible_name(re.compile("Mathstral from 0 to 0, Codestral from 0 to 0"))
    expect(page.get_by_role("img", name="Tokens per second")).to_be_visible()
    expect(waiting.locator("polyline")).to_have_count(2)


def test_what_waits_is_counted_and_a_missing_worker_is_an_alarm(
    keyholder: Visitor, ledger: Database, quiet: Installation, operator: tuple[str, str]
) -> None:
    page = keyholder.open("#/fleet")
    expect(page.get_by_role("alert")).to_contain_text("No worker serves Mathstral: its jobs wait.")
    expect(page.get_by_text("No worker is alive.")).to_be_visible()
    tile = page.get_by_label("Now").locator(".tile").filter(has_text="Mathstral")
    expect(tile).to_contain_text("0 waiting")
    headers = {"Authorization": f"Bearer {operator[1]}"}
    assert quiet.post("/v1/jobs", {"prompt": "Prove it"}, headers=headers).status_code == 202
    expect(tile).to_contain_text("1 waiting")


def test_cards_are_shown_with_their_memory_over_time(keyholder: Visitor, signer: Signer) -> None:
    page = keyholder.open("#/fleet")
    expect(page.get_by_role("row").filter(has_text="codestral@host:1")).to_contain_text("card host:0")
    expect(page.get_by_text("91 % busy · 57.0 GiB of 80.0 GiB")).to_be_visible()
    expect(page.get_by_role("progressbar", name="Memory of NVIDIA H100")).to_have_js_property("value", 57 * GIB)
    expect(page.get_by_role("img", name="GPU memory in use")).to_be_visible()
    signer.gpu = CARD.model_copy(update={"memory_used_bytes": 61 * GIB})
    expect(page.get_by_text("91 % busy · 61.0 GiB of 80.0 GiB")).to_be_visible()
    curve = page.get_by_role("img", name="GPU memory in use")
    expect(curve).to_have_accessible_name(re.compile("NVIDIA H100 from 57.0 GiB to 61.0 GiB"))


def test_it_leads_to_flower_and_to_the_routes(guest: Visitor) -> None:
    page = guest.open("#/fleet")
    expect(page.get_by_role("link", name="Flower")).to_have_attribute(
        "href", re.compile(r"^http://127\.0\.0\.1:\d+/$")
    )
    page.get_by_role("link", name="The API's routes").click()
    expect(page).to_have_url(f"{guest.url}/docs")
