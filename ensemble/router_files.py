"""The router that the settings ask for, with its weights read from their file."""

from __future__ import annotations

import os
import time
from pathlib import Path

from core.messages import ModelName, Route, RouteLabel, TaskType
from core.options import RouterKind
from core.settings import Settings
from ensemble.routing.classifier import BadWeights, Classifier, parse_weights
from ensemble.routing.keyword_router import KeywordRouter
from ensemble.routing.keyword_search import KeywordSet
from ensemble.routing.learned_router import LearnedRouter
from ensemble.routing.router import Router

SHIPPED = Path(__file__).with_name("router.safetensors")
OWN = "router/router.safetensors"
"""In the data directory: what `mathcode router train` promoted."""
MOST_BYTES = 3_000_000
LOOK_S = 2.0

_ALONE = {ModelName.MATHSTRAL: TaskType.MATH, ModelName.CODESTRAL: TaskType.CODE}


def build_router(settings: Settings) -> Router:
    """Never raises: without good weights the learned router lets keywords answer, and says so."""
    keywords = KeywordRouter(
        settings.math_keywords,
        settings.code_keywords,
        settings.hybrid_keywords,
        settings.default_task_type,
        has_built_in=settings.has_built_in_keywords,
    )
    if settings.router is RouterKind.KEYWORDS:
        return keywords
    return LearnedRouter(
        load_weights(find_weights(settings)),
        keywords,
        keywords={
            RouteLabel.MATH: KeywordSet(settings.math_keywords),
            RouteLabel.CODE: KeywordSet(settings.code_keywords),
            RouteLabel.HYBRID: KeywordSet(settings.hybrid_keywords),
        },
        threshold=settings.router_threshold,
        general=_ALONE[settings.general_model],
    )


class WatchedRouter:
    """The router of the settings, built anew where the file of its weights has changed; never raises."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mark = _mark(find_weights(settings))
        self._router = build_router(settings)
        self._look_at = time.monotonic() + LOOK_S

    @property
    def version(self) -> str:
        return self._current().version

    @property
    def alarm(self) -> str | None:
        return self._current().alarm

    def route(self, prompt: str, forced: TaskType | None = None) -> Route:
        return self._current().route(prompt, forced)

    def _current(self) -> Router:
        now = time.monotonic()
        if now >= self._look_at:  # two threads may both look: they build the same
            self._look_at = now + LOOK_S
            mark = _mark(find_weights(self._settings))
            if mark != self._mark:
                self._mark, self._router = mark, build_router(self._settings)
        return self._router


def _mark(path: Path) -> tuple[str, int, int, int] | None:
    """Differs where the file does; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (str(path), found.st_mtime_ns, found.st_size, found.st_ino)


def find_weights(settings: Settings) -> Path:
    """The file that this installation's router reads."""
    own = settings.data_dir / OWN
    return settings.router_weights or (own if os.path.lexists(own) else SHIPPED)


def load_weights(path: Path = SHIPPED) -> Classifier | BadWeights:
    """The classifier, or why there is none: a missing or corrupt file is an expected failure."""
    try:
        with path.open("rb") as file:
            return parse_weights(file.read(MOST_BYTES + 1))
    except BadWeights as error:
        return error
    except OSError as error:
        return BadWeights(f"the weights of the router cannot be read ({error.strerror})")
