"""The settings of routing; a part of `core.settings.Settings`, which reads them."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, field_validator

from core.messages import ModelName, Strategy, TaskType
from core.options import RouterKind
from core.variables import Words, env, split_words

MOST_KEYWORDS = 1_000
LONGEST_KEYWORD = 100


class RoutingSettings(BaseModel):
    """Which models answer a prompt."""

    router: RouterKind = env(
        "ROUTER", RouterKind.LEARNED, "What decides who answers a prompt; see docs/routing.md."
    )
    router_threshold: float = env(
        "MATHCODE_ROUTER_THRESHOLD",
        0.75,
        "Learned router: both models answer where the likelier one alone is enough with less than this "
        "probability. `mathcode router calibrate` chooses it on your prompts.",
        ge=0,
        le=1,
    )
    general_model: ModelName = env(
        "MATHCODE_GENERAL_MODEL",
        ModelName.MATHSTRAL,
        "Learned router: the one model that answers what is neither mathematics nor code.",
    )
    router_weights: Path | None = env(
        "MATHCODE_ROUTER_WEIGHTS",
        None,
        "Learned router: its weights. Default: those promoted by `mathcode router train`, else those shipped.",
    )
    default_task_type: TaskType = env(
        "MATHCODE_DEFAULT_TASK_TYPE", TaskType.MATH, "Route of a prompt in which no keyword is found."
    )
    strategy: Strategy = env(
        "MATHCODE_HYBRID_STRATEGY",
        Strategy.PARALLEL,
        "Default strategy of hybrid jobs: `parallel` or `sequential`.",
    )
    has_built_in_keywords: bool = env(
        "MATHCODE_BUILT_IN_KEYWORDS",
        True,
        "Whether the built-in keywords count beside yours; `false` leaves your sets alone.",
    )
    math_keywords: Words = env("MATHCODE_MATH_KEYWORDS", (), "Your math keywords, separated by commas.")
    code_keywords: Words = env("MATHCODE_CODE_KEYWORDS", (), "Your code keywords, separated by commas.")
    hybrid_keywords: Words = env("MATHCODE_HYBRID_KEYWORDS", (), "Your hybrid keywords, separated by commas.")

    @field_validator("math_keywords", "code_keywords", "hybrid_keywords", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return tuple(word.lower() for word in split_words(value)) if isinstance(value, str) else value

    @field_validator("math_keywords", "code_keywords", "hybrid_keywords")
    @classmethod
    def _bounded(cls, words: Words) -> Words:
        if len(words) > MOST_KEYWORDS:
            raise ValueError(f"holds {len(words)} keywords: give at most {MOST_KEYWORDS}")
        if any(len(word) > LONGEST_KEYWORD or not word.isprintable() for word in words):
            raise ValueError(f"a keyword has at most {LONGEST_KEYWORD} printable characters: shorten it")
        return words
