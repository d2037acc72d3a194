"""Drawing one token of one sequence in plain Python: for the scripted model, and to compare the batched draw with.

Logits are a mapping from token to number; what is not in it is impossible. Knows no torch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import accumulate
from random import Random

from core.messages import Sampling
from ensemble.engine.runner import Scored

Logits = Mapping[int, float]


def draw(
    logits: Logits, sampling: Sampling, *, prompt: Collection[int], written: Counter[int], chance: Random
) -> int:
    """The next token as `Sampling` describes it; `written` counts the tokens generated until now."""
    penalised = penalise(logits, sampling, prompt=prompt, written=written)
    if sampling.temperature == 0.0 or sampling.top_k == 1:
        return _ranked(penalised)[0]
    kept = cut({token: logit / sampling.temperature for token, logit in penalised.items()}, sampling)
    return chance.choices(list(kept), weights=[math.exp(logprob) for logprob in log_softmax(kept).values()])[0]


def penalise(
    logits: Logits, sampling: Sampling, *, prompt: Collection[int], written: Counter[int]
) -> dict[int, float]:
    """Repetition first, then frequency and presence."""
    penalised = dict(logits)
    factor = sampling.repetition_penalty
    for token in penalised.keys() & {*prompt, *written}:
        penalised[token] *= 1 / factor if penalised[token] > 0 else factor
    for token in penalised.keys() & written.keys():
        penalised[token] -= sampling.frequency_penalty * written[token] + sampling.presence_penalty
    return penalised


def cut(logits: Logits, sampling: Sampling) -> dict[int, float]:
    """What top-k, top-p and min-p leave of logits that the temperature has divided, most probable first."""
    first = {token: logits[token] for token in _ranked(logits)[: sampling.top_k]}
    shares = [math.exp(logprob) for logprob in log_softmax(first).values()]
    before = [0.0, *accumulate(shares)][:-1]
    is_whole = sampling.top_p == 1.0
    kept = [token for token, reached in zip(first, before, strict=True) if is_whole or reached < sampling.top_p]
    floor = first[kept[0]] + (math.log(sampling.min_p) if sampling.min_p > 0.0 else -math.inf)
    return {token: first[token] for token in kept if first[token] >= floor}


def score(logits: Logits, token: int, alternatives: int) -> Scored:
    """`token` and as many of the most probable ones by the model's own distribution."""
    logprobs = log_softmax(logits)
    top = tuple((each, logprobs[each]) for each in _ranked(logits)[:alternatives])
    return Scored(token, logprobs[token], top)


def log_softmax(logits: Logits) -> dict[int, float]:
    greatest = max(logits.values())
    total = greatest + math.log(sum(math.exp(logit - greatest) for logit in logits.values()))
    return {token: logit - total for token, logit in logits.items()}


def _ranked(logits: Logits) -> list[int]:
    """Most probable first, the lower id where probabilities are equal."""
    return sorted(logits, key=lambda token: (-logits[token], token))
