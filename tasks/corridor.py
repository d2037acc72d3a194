"""What every door's requests pass before they become jobs, as the settings have it."""

from __future__ import annotations

from functools import cache

from core.keys import KeyRing
from core.limits import LimitStore
from core.messages import ModelName
from core.settings import Settings
from ensemble.engine.tokenizer import Tokenizer, load_tokenizer
from ensemble.models import describe_model
from tasks.admission import Admission
from tasks.gate import Gate


def build_admission(settings: Settings) -> Admission:
    specs = {model: describe_model(model, settings) for model in ModelName}

    @cache  # loaded when the first long prompt arrives: short ones are admitted without counting
    def tokenizer_of(model: ModelName) -> Tokenizer:
        return load_tokenizer(specs[model].tokenizer_directory)

    context_tokens = {model: spec.context_tokens for model, spec in specs.items()}
    return Admission(context_tokens=context_tokens, tokenizer_of=tokenizer_of)


def build_gate(settings: Settings, keys: KeyRing, limits: LimitStore) -> Gate:
    return Gate(
        keys=keys, limits=limits, max_queued=settings.max_queued, default_max_tokens=settings.default_max_tokens
    )
