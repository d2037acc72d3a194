"""Stands in for a training in tests: borrows a card as one does, and holds it until its input ends.

    python -m tests.borrower RUN_ID

Says `has it` once serving has given way, `busy` where it has not, `lost` if the lease is taken back. Its settings
are those of any process of an installation.
"""

from __future__ import annotations

import sys
from contextlib import closing
from threading import Event, Thread

from core.card import CardStore
from core.database import Database
from core.errors import CardBusy
from core.roster import Roster
from core.settings import load_settings
from training.card import LentCard, lent_card


def main(run_id: int) -> None:
    settings = load_settings()
    with closing(Database(settings.require_database_url())) as database:
        try:
            with lent_card(
                CardStore(database),
                run_id,
                card=settings.card,
                roster=Roster(database, beat_s=settings.beat_s),
                pauses=settings.training_pauses,
                lease_s=settings.card_lease_s,
                patience_s=settings.card_patience_s,
            ) as lent:
                print("has it", flush=True)
                Thread(target=_tell_loss, args=(lent,), daemon=True).start()
                sys.stdin.read()
        except CardBusy as error:
            print(f"busy: {error}", flush=True)


def _tell_loss(lent: LentCard) -> None:
    while not lent.is_lost:
        Event().wait(0.05)
    print("lost", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
