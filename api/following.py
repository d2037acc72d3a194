"""Several jobs followed at once by one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from threading import Event as Flag
from threading import Thread

from core.events import Done, Piece, Restarted

Event = Piece | Restarted | Done
Followed = Iterator[tuple[str | None, Event] | None]


class _End:
    """One follower has nothing more."""


_Item = tuple[int, Event] | Exception | _End | None


def follow_all(job_ids: Sequence[str], follow: Callable[[str], Followed]) -> Iterator[tuple[int, Event] | None]:
    """Yield (position of the job, event) as events appear, None now and then; end when every `follow` has."""
    if len(job_ids) == 1:
        for item in follow(job_ids[0]):
            yield (0, item[1]) if item else None
        return
    items: SimpleQueue[_Item] = SimpleQueue()
    stopped = Flag()
    for index, job_id in enumerate(job_ids):
        Thread(target=_pass_on, args=(index, follow(job_id), items, stopped), daemon=True).start()
    try:
        yield from _until_the_end(items, len(job_ids))
    finally:
        stopped.set()


def _pass_on(index: int, followed: Followed, items: SimpleQueue[_Item], stopped: Flag) -> None:
    try:
        for item in followed:
            if stopped.is_set():
                return
            items.put((index, item[1]) if item else None)
    except Exception as error:  # noqa: BLE001 - raised by who waits for the items
        items.put(error)
    finally:
        items.put(_End())


def _until_the_end(items: SimpleQueue[_Item], number: int) -> Iterator[tuple[int, Event] | None]:
    while number:
        item = items.get()
        if isinstance(item, Exception):
            raise item
        if isinstance(item, _End):
            number -= 1
        else:
            yield item
