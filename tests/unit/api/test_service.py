"""What the service says of its workers."""

from __future__ import annotations

from datetime import UTC, datetime

from api.formats.schemas import ServiceBody
from api.formats.service import render_service
from core.observing.gpus import GIB, Gpu
from core.options import Profile
from core.roster import Worker

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_worker_names_the_cards_that_it_sees() -> None:
    card = Gpu(uuid="1", name="H100", utilization=None, memory_used_bytes=GIB, memory_total_bytes=80 * GIB)
    names = ("codestral@a:1", "light@a:2")
    workers = [
        Worker(
            name=name,
            queue=name.partition("@")[0],
            version=None,
            slots=8,
            started_at=NOW,
            seen_at=NOW,
            metrics=None,
            gpus=(card,) if name.startswith("codestral") else (),
        )
        for name in names
    ]
    view = render_service(profile=Profile.FULL, router="r", database="ok", broker="ok", workers=workers, alarms=())
    assert [worker["gpus"] for worker in view["roster"]] == [[card.model_dump()], []]
    assert ServiceBody.model_validate(view).roster[0].gpus == [card]
