"""The router that the settings ask for."""

from __future__ import annotations

from core.settings import Settings
from ensemble.learned_routing import LearnedRouter
from ensemble.router_weights import load_weights
from ensemble.routing import Router


def build_router(settings: Settings) -> Router:
    """Reads the weights unless keywords are asked for; never raises."""
    keywords = Router(
        math_keywords=settings.math_keywords,
        code_keywords=settings.code_keywords,
        hybrid_keywords=settings.hybrid_keywords,
        default=settings.default_task_type,
    )
    if settings.router == "keywords":
        return keywords
    return LearnedRouter(
        keywords,
        load_weights(),
        custom=Router(
            settings.math_keywords, settings.code_keywords, settings.hybrid_keywords, has_built_in=False
        ),
        threshold=settings.router_threshold,
        other=settings.other_task_type,
    )
