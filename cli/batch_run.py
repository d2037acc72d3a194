"""One run of `mathcode batch run`: begun, or taken up where it was left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol
from uuid import uuid4

from cli.batch_client import BatchClient, BatchView
from cli.batch_files import RunFiles, RunState
from core.errors import InvalidRequest, Unavailable

POLL_S = 0.5
MARK = "mathcode_run"


class Observer(Protocol):
    """Who shows how a batch stands."""

    def show(self, batch: BatchView) -> None:
        """Called again and again until it has ended."""

    def note(self, text: str) -> None:
        """Something worth a line."""


class BatchRun:
    """Asks every line once: what has an answer in the output is left out, and a batch under way is waited for.

    Before anything is sent a mark is written beside the output, and the batch carries it: so a client that is
    killed between making the batch and noting its id finds it again.
    """

    def __init__(self, files: RunFiles, client: BatchClient, *, window: str, observer: Observer) -> None:
        self._files = files
        self._client = client
        self._window = window
        self._observer = observer

    def run(self) -> dict[str, bool]:
        """Every custom_id that was asked for or taken up, and whether it was answered. Raises InvalidRequest."""
        found = dict.fromkeys(self._files.answered(), True)
        while (state := self._open_state(found)) is not None:
            added = self._collect(self._follow(self._batch(state)))
            self._files.forget()
            found |= added
        if not found:
            raise InvalidRequest(f"{self._files.source} has no line: there is nothing to ask")
        return found

    def _open_state(self, found: dict[str, bool]) -> RunState | None:
        """Of the batch under way, or of the next one; None when nothing is left to ask."""
        state, input_hash = self._files.load(), self._files.input_hash()
        if state is None:
            endpoint = self._files.write_requests(found.keys())
            if endpoint is None:
                self._files.forget()
                return None
            return self._files.save(RunState(run=uuid4().hex, input_hash=input_hash, endpoint=endpoint))
        if state.input_hash == input_hash:
            return state
        batch = state.batch_id or self._find(state)
        if batch is None:  # no batch was made then
            self._files.forget()
            return self._open_state(found)
        raise InvalidRequest(
            f"{self._files.source} has changed while {batch} was under way: "
            "put it back, or name another output file",
            param="source",
        )

    def _batch(self, state: RunState) -> str:
        batch_id = state.batch_id or self._find(state)
        if batch_id is None:
            file_id, mark = self._client.upload(self._files.requests), {MARK: state.run}
            made = self._client.create(file_id, endpoint=state.endpoint, window=self._window, metadata=mark)
            batch_id = made.id
        self._files.save(state, batch_id=batch_id)
        self._observer.note(f"{batch_id}: Ctrl-C leaves it running, the same command takes it up again")
        return batch_id

    def _find(self, state: RunState) -> str | None:
        batches = self._client.batches()
        return next((batch.id for batch in batches if (batch.metadata or {}).get(MARK) == state.run), None)

    def _follow(self, batch_id: str) -> BatchView:
        """The batch once it has ended, through restarts of the server."""
        is_away = False
        while True:
            try:
                batch = self._client.batch(batch_id)
            except Unavailable as error:
                if not is_away:
                    self._observer.note(f"waiting: {error}")
                is_away = True
            except InvalidRequest as error:
                raise self._explained(error) from None
            else:
                is_away = False
                self._observer.show(batch)
                if batch.has_ended:
                    return batch
            time.sleep(POLL_S)

    def _explained(self, error: InvalidRequest) -> InvalidRequest:
        """With what to do about a batch that this server does not have; asking again may be asking twice."""
        if error.code != "batch_not_found":
            return error
        return InvalidRequest(
            f"{error.message.partition(':')[0]} here: ask where it was made, with that key, or delete "
            f"{self._files.state} to ask anew",
            code=error.code,
        )

    def _collect(self, batch: BatchView) -> dict[str, bool]:
        if batch.status == "failed":
            self._files.forget()
            errors = batch.errors.data if batch.errors else ()
            lines = "".join(f"\n  line {error.line}: {error.message}" for error in errors)
            raise InvalidRequest(f"nothing was asked, since {self._files.source} is not in order:{lines}")
        return self._files.add(self._results(batch))

    def _results(self, batch: BatchView) -> Iterator[bytes]:
        for file_id in (batch.output_file_id, batch.error_file_id):
            if file_id is not None:
                yield from self._client.lines(file_id)
