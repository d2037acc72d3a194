"""`mathcode plan`: whether so many cards carry so many jobs, by the figures of docs/performance.md."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import click

from core.errors import InvalidRequest
from stack.capacity.plan import (
    COMFORTABLE,
    DEFAULT_MIX,
    Demand,
    Placed,
    Plan,
    make_plan,
    parse_gpus,
    parse_mix,
    parse_rate,
)

_TOKENS = click.IntRange(1, 32_768)
T = TypeVar("T")


@click.command()
@click.option("--gpus", required=True, help="Like 2xH200; H200, H100 or 4090.")
@click.option("--rate", required=True, help="Jobs that arrive, like 50/s, 600/min or 9000/h.")
@click.option("--tokens", type=_TOKENS, required=True, help="Tokens of an answer, in the mean.")
@click.option(
    "--prompt-tokens", type=_TOKENS, default=135, show_default=True, help="Tokens of a prompt, in the mean."
)
@click.option("--mix", help="Shares of the jobs.  [default: math=0.4,code=0.4,hybrid=0.2]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def plan(
    ctx: click.Context, *, gpus: str, rate: str, tokens: int, prompt_tokens: int, mix: str | None, as_json: bool
) -> None:
    """Say whether cards carry a load, and what to expect: docs/capacity.md. Exit status 1 where they do not."""
    count, card = _parsed(parse_gpus, gpus, "--gpus")
    demand = Demand(
        rate=_parsed(parse_rate, rate, "--rate"),
        tokens=tokens,
        prompt_tokens=prompt_tokens,
        mix=_parsed(parse_mix, mix, "--mix") if mix is not None else DEFAULT_MIX,
    )
    made = _parsed(lambda _: make_plan(card, count, demand), gpus, "--gpus")
    click.echo(json.dumps(_document(made)) if as_json else "\n".join(_lines(made, demand)))
    ctx.exit(int(not made.fits))


def _parsed(parse: Callable[[str], T], text: str, param: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidRequest(f"{param}: {error}", param=param) from error


def _document(made: Plan) -> dict[str, Any]:
    first = made.full_first
    return {
        "card": made.card.name,
        "cards": made.cards,
        "basis": made.card.basis,
        "fits": made.fits,
        "full_first": {"model": first.model.value, "jobs_per_s": first.full_at},
        "cards_needed": made.cards_needed,
        "workers": [asdict(worker) for worker in made.workers],
    }


def _lines(made: Plan, demand: Demand) -> list[str]:
    first, needed = made.full_first, made.cards_needed
    verdict = "fits" if made.fits else "DOES NOT FIT"
    if made.fits and first.utilisation > COMFORTABLE:
        verdict = "fits, but a burst makes jobs wait"
    return [
        f"{made.cards} x {made.card.name}, {demand.rate:g} jobs/s of {demand.tokens} tokens: {verdict}",
        f"full first: {first.model.value}, at {first.full_at:.1f} jobs/s",
        *_placement(made),
        f"cards needed to stay below {COMFORTABLE:.0%}, one worker on each: {needed or 'too many'}",
        f"figures: {made.card.basis}",
    ]


def _placement(made: Plan) -> list[str]:
    lines, card = [], 0
    for worker in made.workers:
        last = card + worker.cards - 1
        lines.append(_line(worker, f"card {card}" if last == card else f"cards {card} to {last}"))
        card += 0 if worker.shares_card else worker.cards
    return lines


def _line(worker: Placed, where: str) -> str:
    line = (
        f"  {where}: {worker.model.value}, {worker.utilisation:.0%} busy, MATHCODE_SLOTS={worker.slots}, "
        f"{worker.memory_bytes / 1e9:.0f} GB"
    )
    if worker.service is None:
        return f"{line}; cannot keep up, its queue grows"
    service = worker.service
    return (
        f"{line}; waits {1e3 * service.queue_wait_s:.0f} ms, first token {1e3 * service.first_token_s:.0f} ms, "
        f"{1e3 * service.token_s:.1f} ms per token, {service.busy_slots:.0f} slots taken"
    )
