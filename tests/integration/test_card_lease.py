"""Laws of the lease of a card, on a real PostgreSQL."""

from __future__ import annotations

from datetime import datetime

import pytest

from core.card import CardStore
from core.database import Database
from core.errors import CardBusy
from core.roster import Roster, Standing
from tests.harness import eventually
from training.card import lent_card

CARD, WORKER = "host:0", "codestral@host:1"


@pytest.fixture
def cards(database: Database) -> CardStore:
    return CardStore(database)


@pytest.fixture
def roster(database: Database) -> Roster:
    return Roster(database, beat_s=60)


@pytest.fixture
def runs(database: Database) -> list[int]:
    """Two training runs, the first one over."""
    sql = """INSERT INTO training_run (trigger, options, state, finished_at)
    VALUES ('operator', '{}', 'failed', now()), ('operator', '{}', 'queued', NULL) RETURNING id"""
    return [row["id"] for row in database.fetch(sql)]


def test_a_card_is_lent_to_one_run_and_again_to_the_same(cards: CardStore, runs: list[int]) -> None:
    assert [cards.request(CARD, run_id, lease_s=60) for run_id in (runs[0], runs[0], runs[1])] == [
        True,
        True,
        False,
    ]
    assert cards.request("host:1", runs[1], lease_s=60)
    assert (cards.wanted(CARD), cards.wanted("host:1"), cards.wanted("host:2")) == (runs[0], runs[1], None)


def test_only_its_run_renews_and_releases_a_card(cards: CardStore, runs: list[int]) -> None:
    cards.request(CARD, runs[0], lease_s=60)
    cards.release(CARD, runs[1])
    assert [cards.renew(CARD, run_id, lease_s=60) for run_id in runs] == [True, False]
    for _ in range(2):
        cards.release(CARD, runs[0])
        assert cards.wanted(CARD) is None


def test_a_lease_that_has_run_out_can_be_renewed_until_a_worker_has_looked(
    cards: CardStore, runs: list[int]
) -> None:
    cards.request(CARD, runs[0], lease_s=0)
    assert cards.renew(CARD, runs[0], lease_s=0)
    assert cards.wanted(CARD) is None
    assert not cards.renew(CARD, runs[0], lease_s=60)
    assert cards.wanted(CARD) is None


def test_a_lease_that_has_run_out_passes_to_another_run_with_what_was_ceded(
    cards: CardStore, runs: list[int]
) -> None:
    cards.request(CARD, runs[0], lease_s=0)
    cards.cede(CARD, WORKER)
    assert cards.request(CARD, runs[1], lease_s=60)
    assert (cards.wanted(CARD), cards.has_ceded(CARD, [WORKER])) == (runs[1], True)


def test_what_was_ceded_ends_with_its_lease(cards: CardStore, runs: list[int]) -> None:
    assert not cards.cede(CARD, WORKER)
    cards.request(CARD, runs[0], lease_s=0)
    assert [cards.cede(CARD, WORKER) for _ in range(2)] == [True, True]
    assert cards.has_ceded(CARD, [WORKER])
    assert not cards.has_ceded(CARD, [WORKER, "another"])
    cards.wanted(CARD)
    cards.request(CARD, runs[0], lease_s=60)
    assert not cards.has_ceded(CARD, [WORKER])


def test_a_training_waits_for_the_workers_of_its_card_and_the_paused_models_alone(
    cards: CardStore, roster: Roster, runs: list[int]
) -> None:
    for name, queue, card in (("a", "mathstral", CARD), ("b", "codestral", "host:1"), ("c", "light", None)):
        roster.sign(name=name, queue=queue, version=None, slots=1, metrics=None, standing=Standing(card=card))
    options = {"card": CARD, "roster": roster, "lease_s": 60.0, "patience_s": 0.0}
    with lent_card(cards, runs[1], pauses=("codestral",), **options):  # type: ignore[arg-type]
        assert cards.wanted(CARD) == runs[1]
    with (
        pytest.raises(CardBusy, match="a did not give"),
        lent_card(cards, runs[1], pauses=("codestral", "mathstral"), **options),  # type: ignore[arg-type]
    ):
        pass
    assert cards.wanted(CARD) is None


def test_a_training_whose_card_was_taken_back_is_told(cards: CardStore, roster: Roster, runs: list[int]) -> None:
    with lent_card(
        cards, runs[1], card=CARD, roster=roster, pauses=("codestral",), lease_s=0.3, patience_s=1
    ) as lent:
        assert not lent.is_lost
        cards.release(CARD, runs[1])
        eventually(lambda: lent.is_lost, within_s=5)


def test_a_card_that_is_not_shared_is_never_asked_for(cards: CardStore, roster: Roster, runs: list[int]) -> None:
    assert cards.request(CARD, runs[0], lease_s=60)
    with lent_card(cards, runs[1], card=CARD, roster=roster, pauses=(), lease_s=60, patience_s=0) as lent:
        assert not lent.is_lost
    assert cards.wanted(CARD) == runs[0]


def test_a_card_that_another_training_has_is_refused_and_stays_with_it(
    cards: CardStore, roster: Roster, runs: list[int]
) -> None:
    assert cards.request(CARD, runs[0], lease_s=60)
    with (
        pytest.raises(CardBusy, match="is lent to another training"),
        lent_card(cards, runs[1], card=CARD, roster=roster, pauses=("codestral",), lease_s=60, patience_s=0),
    ):
        pass
    assert cards.wanted(CARD) == runs[0]


def test_a_card_is_given_back_when_its_training_breaks(cards: CardStore, roster: Roster, runs: list[int]) -> None:
    with (
        pytest.raises(ValueError, match="broke"),
        lent_card(cards, runs[1], card=CARD, roster=roster, pauses=("codestral",), lease_s=60, patience_s=0),
    ):
        raise ValueError("broke")
    assert cards.wanted(CARD) is None


def test_a_lease_is_renewed_for_as_long_as_the_training_lasts_and_on_loss_it_is_told_once(
    cards: CardStore, roster: Roster, runs: list[int], database: Database
) -> None:
    lost: list[str] = []
    options = {"card": CARD, "roster": roster, "pauses": ("codestral",), "lease_s": 0.3, "patience_s": 1.0}
    with lent_card(cards, runs[1], on_lost=lambda: lost.append("lost"), **options):  # type: ignore[arg-type]
        first = _until(database)
        eventually(lambda: _until(database) > first, within_s=5)
        assert cards.wanted(CARD) == runs[1]
        assert lost == []
        cards.release(CARD, runs[1])
        eventually(lambda: lost, within_s=5)
    assert lost == ["lost"]


def test_a_renewal_that_fails_in_an_unforeseen_way_is_tried_again(
    cards: CardStore, roster: Roster, runs: list[int], database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with lent_card(
        cards, runs[1], card=CARD, roster=roster, pauses=("codestral",), lease_s=0.6, patience_s=1
    ) as lent:
        database.execute("REVOKE UPDATE ON card_lease FROM CURRENT_USER")
        eventually(lambda: "could not be renewed" in caplog.text, within_s=5)
        database.execute("GRANT UPDATE ON card_lease TO CURRENT_USER")
        denied = _until(database)
        eventually(lambda: _until(database) > denied, within_s=5)
        assert not lent.is_lost


def _until(database: Database) -> datetime:
    (row,) = database.fetch("SELECT lease_until FROM card_lease WHERE card = %(card)s", {"card": CARD})
    until: datetime = row["lease_until"]
    return until
