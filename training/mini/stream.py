"""Worker processes that make examples without end, as padded rows sorted into widths."""

from __future__ import annotations

import multiprocessing
import random
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import Empty
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.messages import ModelName
from training.mini.encoding import BOS, EOS, Encoder
from training.mini.mixture import Maker, maker_of
from training.mini.sources import source_texts
from training.mini.wording import Split

WIDTHS = (48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 512, 640, 1024)
SOURCE_WIDTH = 512
SOURCE_WEIGHT = 0.3
"""Of a token of plain source, against 1 of an answer."""
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Rows:
    """Examples of one width: tokens (n, width), where answers begin and examples end, and weights; (n,)."""

    tokens: NDArray[np.int16]
    begins: NDArray[np.int16]
    ends: NDArray[np.int16]
    weights: NDArray[np.float32]

    @property
    def width(self) -> int:
        return int(self.tokens.shape[1])


@dataclass
class _Collected:
    rows: dict[int, list[tuple[list[int], int, float]]] = field(default_factory=dict)

    def add(self, tokens: list[int], begin: int, weight: float) -> None:
        if len(tokens) <= WIDTHS[-1]:
            self.rows.setdefault(WIDTHS[bisect_left(WIDTHS, len(tokens))], []).append((tokens, begin, weight))

    def pack(self) -> list[Rows]:
        return [_padded(rows, width) for width, rows in self.rows.items()]


def _padded(rows: list[tuple[list[int], int, float]], width: int) -> Rows:
    tokens = np.full((len(rows), width), EOS, dtype=np.int16)
    for at, (row, _, _) in enumerate(rows):
        tokens[at, : len(row)] = row
    return Rows(
        tokens,
        np.array([begin for _, begin, _ in rows], dtype=np.int16),
        np.array([len(row) for row, _, _ in rows], dtype=np.int16),
        np.array([weight for _, _, weight in rows], dtype=np.float32),
    )


def make_rows(maker: Maker, rng: random.Random, encoder: Encoder, *, count: int, split: Split) -> list[Rows]:
    """`count` examples."""
    collected = _Collected()
    for _ in range(count):
        prompt, answer = encoder.both(maker(rng, split))
        collected.add([*prompt, *answer], len(prompt), 1.0)
    return collected.pack()


def source_rows(encoder: Encoder) -> Iterator[Rows]:
    """All plain source there is, in rows of `SOURCE_WIDTH`."""
    pieces: list[tuple[list[int], int, float]] = []
    for text in source_texts():
        tokens = encoder.text(text)
        for at in range(0, len(tokens) - 32, SOURCE_WIDTH - 1):
            pieces.append(([BOS, *tokens[at : at + SOURCE_WIDTH - 1]], 1, SOURCE_WEIGHT))
        if len(pieces) > _BATCH:
            yield _padded(pieces, SOURCE_WIDTH)
            pieces = []
    if pieces:
        yield _padded(pieces, SOURCE_WIDTH)


class Stream:
    """`workers` processes; `take` gives what they have made. Close it."""

    def __init__(self, model: ModelName, *, workers: int, seed: int, only: tuple[str, ...] = ()) -> None:
        context = multiprocessing.get_context(
            "fork"
        )  # before CUDA is touched; a spawned one would import torch again
        self._queue: Any = context.Queue(maxsize=4 * workers)
        self._workers = [
            context.Process(
                target=_work, args=(self._queue, model.value, f"{seed}/{Split.TRAIN}/{number}", only), daemon=True
            )
            for number in range(workers)
        ]
        if model is ModelName.CODESTRAL and not only:
            self._workers.append(context.Process(target=_read_sources, args=(self._queue,), daemon=True))
        for worker in self._workers:
            worker.start()

    def take(self, *, timeout_s: float) -> list[Rows]:
        """The next rows; none after `timeout_s` without any."""
        try:
            rows: list[Rows] = self._queue.get(timeout=timeout_s) if timeout_s else self._queue.get_nowait()
        except Empty:
            return []
        return rows

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.join(timeout=5.0)


def _work(queue: Any, model: str, seed: str, only: tuple[str, ...]) -> None:
    rng, encoder, maker = random.Random(seed), Encoder(), maker_of(ModelName(model), only)
    while True:
        queue.put(make_rows(maker, rng, encoder, count=_BATCH, split=Split.TRAIN))


def _read_sources(queue: Any) -> None:
    for rows in source_rows(Encoder()):
        queue.put([rows])
