"""Which worker on which card, how busy each would be, and how many cards it takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from core.messages import ModelName, TaskType
from stack.capacity.figures import CARDS, Card, ModelFigures
from stack.capacity.queueing import Load, Service, expect, highest_rate

DEFAULT_MIX = {TaskType.MATH: 0.4, TaskType.CODE: 0.4, TaskType.HYBRID: 0.2}
USABLE_MEMORY = 0.9  # the rest is for the CUDA context, graphs and what a step needs for itself
COMFORTABLE = 0.85  # utilisation: beyond it a burst makes jobs wait
MOST_CARDS = 10_000

_ASKS = {
    ModelName.MATHSTRAL: (TaskType.MATH, TaskType.HYBRID),
    ModelName.CODESTRAL: (TaskType.CODE, TaskType.HYBRID),
}
_SECONDS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Jobs per second, tokens per completion and prompt, and the share of each kind of job."""

    rate: float
    tokens: int
    prompt_tokens: int
    mix: Mapping[TaskType, float]

    def rate_of(self, model: ModelName) -> float:
        return self.rate * sum(self.mix.get(kind, 0) for kind in _ASKS[model])


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One model's workers. `service` is None where they cannot keep up; `full_at` counts all jobs per second."""

    model: ModelName
    cards: int
    shares_card: bool
    slots: int
    memory_bytes: float
    utilisation: float
    full_at: float
    service: Service | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    card: Card
    cards: int
    workers: tuple[Placed, ...]
    cards_needed: int | None  # to stay comfortable

    @property
    def fits(self) -> bool:
        return all(worker.service is not None for worker in self.workers)

    @property
    def full_first(self) -> Placed:
        return min(self.workers, key=lambda worker: worker.full_at)


def parse_gpus(text: str) -> tuple[int, Card]:
    """`2xH200`, or `H200` for one. Raises ValueError."""
    matched = re.fullmatch(r"(?:(\d{1,4})x)?(\w+)", text.strip(), re.IGNORECASE)
    if not matched:
        raise ValueError(f"{text!r} is not a number of cards and their name, like 2xH200")
    count, card = int(matched[1] or 1), CARDS.get(matched[2].upper())
    if card is None:
        raise ValueError(f"no figures for the card {matched[2]!r}: there are some for {', '.join(CARDS)}")
    if count < 1:
        raise ValueError("at least one card is needed")
    return count, card


def parse_rate(text: str) -> float:
    """Jobs per second of `50/s`, `600/min` or `9000/h`. Raises ValueError."""
    matched = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)/(s|min|h)", text.strip())
    if not matched or not float(matched[1]):
        raise ValueError(f"{text!r} is not a rate of jobs, like 50/s, 600/min or 9000/h")
    return float(matched[1]) / _SECONDS[matched[2]]


def parse_mix(text: str) -> dict[TaskType, float]:
    """Shares of `math=4,code=4,hybrid=2`, divided by their sum. Raises ValueError."""
    shares: dict[TaskType, float] = {}
    for part in text.split(","):
        matched = re.fullmatch(r"\s*(math|code|hybrid)=(\d{1,6}(?:\.\d{1,6})?)\s*", part)
        if not matched or TaskType(matched[1]) in shares:
            raise ValueError(f"{part!r} is not one share of the mix, like math=0.4,code=0.4,hybrid=0.2")
        shares[TaskType(matched[1])] = float(matched[2])
    if not sum(shares.values()):
        raise ValueError("the mix is all zeros")
    return {kind: share / sum(shares.values()) for kind, share in shares.items()}


def make_plan(card: Card, cards: int, demand: Demand) -> Plan:
    """Raises ValueError where a card of this kind cannot hold what one worker needs."""
    return Plan(
        card=card, cards=cards, workers=_best(card, cards, demand), cards_needed=_cards_needed(card, demand)
    )


def _best(card: Card, cards: int, demand: Demand) -> tuple[Placed, ...]:
    """The layout that is full last: a card for every worker, or one card that both models share."""
    asked = [model for model in ModelName if demand.rate_of(model)]
    if len(asked) == 1:
        return (_place(card, asked[0], cards, demand),)
    if cards == 1:
        return _shared(card, demand)
    first, second = asked
    whole = ((_place(card, first, split, demand), split) for split in _splits(card, cards, demand))
    layouts = [(placed, _place(card, second, cards - split, demand)) for placed, split in whole]
    return max(layouts, key=lambda layout: min(worker.full_at for worker in layout))


def _splits(card: Card, cards: int, demand: Demand) -> range:
    """How many cards the first model may get: about in proportion to its work."""
    first, second = (demand.rate_of(model) / _capacity(card, model, demand) for model in ModelName)
    even = int(cards * first / (first + second))
    return range(max(1, even), min(cards - 1, even + 1) + 1) if even < cards - 1 else range(cards - 1, cards)


def _capacity(card: Card, model: ModelName, demand: Demand) -> float:
    figures = card.models[model]
    return highest_rate(figures, _load(demand, 1, _slots(card, figures, demand, models=1)))


def _place(card: Card, model: ModelName, cards: int, demand: Demand) -> Placed:
    slots = _slots(card, card.models[model], demand, models=1)
    return _placed(card, model, _load(demand, demand.rate_of(model) / cards, slots), cards=cards, demand=demand)


def _shared(card: Card, demand: Demand) -> tuple[Placed, ...]:
    """Each gets the card's time in proportion to its work, as nobody has measured: they slow each other down."""
    loads = {}
    for model in ModelName:
        slots = _slots(card, card.models[model], demand, models=2)
        loads[model] = _load(demand, demand.rate_of(model), slots)
    work = {model: load.rate / highest_rate(card.models[model], load) for model, load in loads.items()}
    whole = sum(work.values())
    return tuple(
        _placed(
            card, model, _load(demand, load.rate, load.slots, share=work[model] / whole), cards=1, demand=demand
        )
        for model, load in loads.items()
    )


def _placed(card: Card, model: ModelName, load: Load, *, cards: int, demand: Demand) -> Placed:
    figures = card.models[model]
    utilisation = load.rate / highest_rate(figures, load)
    held = figures.weights_bytes + load.slots * figures.bytes_per_slot(demand.tokens + demand.prompt_tokens)
    return Placed(
        model=model,
        cards=cards,
        shares_card=load.share < 1,
        slots=load.slots,
        memory_bytes=held,
        utilisation=utilisation,
        full_at=demand.rate / utilisation,
        service=expect(figures, load),
    )


def _load(demand: Demand, rate: float, slots: int, *, share: float = 1.0) -> Load:
    return Load(rate=rate, tokens=demand.tokens, prompt_tokens=demand.prompt_tokens, slots=slots, share=share)


def _slots(card: Card, figures: ModelFigures, demand: Demand, *, models: int) -> int:
    """As many as fit, and no more than a step was measured with."""
    weights = figures.weights_bytes if models == 1 else sum(each.weights_bytes for each in card.models.values())
    free = (card.memory_bytes * USABLE_MEMORY - weights) / models
    slots = int(min(free / figures.bytes_per_slot(demand.tokens + demand.prompt_tokens), figures.most_rows))
    if slots < 1:
        held = "both models" if models > 1 else "a model"
        raise ValueError(f"one {card.name} cannot hold {held} in bf16 and a request of this length")
    return slots


def _cards_needed(card: Card, demand: Demand) -> int | None:
    """The fewest that stay comfortable, one card for one worker; None beyond MOST_CARDS."""
    needed = 0
    for model in (model for model in ModelName if demand.rate_of(model)):
        needed += int(-(-demand.rate_of(model) // (COMFORTABLE * _capacity(card, model, demand))))
    return needed if needed <= MOST_CARDS else None
