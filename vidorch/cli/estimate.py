"""`vidorch estimate`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import typer

from vidorch.cli.exits import Exit
from vidorch.cli.here import config_here
from vidorch.cli.say import as_json, aside, console, table_of
from vidorch.client.aio import AsyncClient
from vidorch.errors import OverBudget
from vidorch.estimating import Estimate, EstimateLine, Range
from vidorch.money import show_usd
from vidorch.planning import NOT_HERE

__all__ = ["IMPUTED", "estimate", "show_estimate", "title_of"]

IMPUTED = (
    "imputed: what hours of your own hardware come to, at usd_per_hour of its endpoint or at what such a card costs for rent. It "
    "is not spent, and no budget counts it, unless the endpoint says billed = true."
)


def estimate(prompt: str, options: dict[str, Any], *, clips: int, as_document: bool) -> None:
    """Print the estimate of a request, or of a film of `clips` like it."""
    most = options.get("max_cost")
    if clips > 1:  # what may be spent is for the whole film
        options.pop("max_cost", None)
        most = config_here().max_cost if most is None else most
    client = AsyncClient()  # opens nothing: no loop, no ledger, no network
    found = client.estimate_now(prompt, **options).film(clips)
    if clips > 1 and most is not None and found.cost is not None and found.cost.high > Decimal(most):
        raise OverBudget(
            f"This may cost up to {show_usd(found.cost.high)} and max_cost is {show_usd(Decimal(most))}. Nothing was sent.",
            needed=found.cost.high, available=Decimal(most),
        )  # fmt: skip
    show_estimate(found, as_document=as_document)
    if not found.lines:
        raise typer.Exit(Exit.UNSUPPORTED)


def title_of(found: Estimate) -> str:
    """What the costs of an estimate are for."""
    if found.clips == 1:
        return "1 clip" if found.candidates == 1 else f"{found.candidates} clips"
    if found.candidates == 1:
        return f"a film of {found.clips} clips: cost of all, time of one"
    bought = found.clips * found.candidates
    return f"a film of {found.clips} clips, {found.candidates} candidates of each: cost of all {bought}, time of one clip"


def show_estimate(found: Estimate, *, as_document: bool, stderr: bool = False) -> None:
    """Print an estimate, as a table or as one JSON document."""
    if as_document:
        as_json(found.to_dict())
        return
    out = console(stderr=stderr)
    rows = [
        [line.offer, _bought(line), line.unit_price, _cost(line), _time(line), _needs(line)]
        for line in found.lines
    ]
    out.print(
        table_of(
            title_of(found), ["!offer", "what is bought", ">unit price", ">cost", ">time", "needs"], rows
        )
    )
    for line in found.lines:
        for note in line.notes:
            out.print(f"{line.offer}: {note}", markup=False)
    for one in found.left_out:
        out.print(f"left out: {one.offer_name}: {one.reason}", markup=False)
    for note in found.notes:
        out.print(note, markup=False)
    if any(NOT_HERE in line.needs for line in found.lines):
        out.print("not yet: its provider is not in this version, so this is an estimate only.", markup=False)
    if any(line.takes_hours for line in found.lines):
        out.print(IMPUTED, markup=False)
    dates = sorted({line.price_as_of for line in found.lines if line.price_as_of and line.in_all.high})
    if dates:
        out.print(f"Prices as read on {', '.join(map(str, dates))}; sources with --json.", markup=False)
    if not found.lines:
        aside("No offer can serve this request.")


def _bought(line: EstimateLine) -> str:
    bought = line.bought
    parts = [f"{bought['duration']:g} s"] if bought.get("duration") else []
    size = bought.get("size")
    parts.append(size or " ".join(str(bought[k]) for k in ("resolution", "aspect_ratio") if bought.get(k)))
    if bought.get("audio"):
        parts.append("sound")
    return ", ".join(part for part in parts if part)


def _cost(line: EstimateLine) -> str:
    if line.takes_hours:
        return f"imputed {_amounts(line.in_all, line.confirmed)}" if line.imputed else "imputed: not known"
    return _amounts(line.cost, line.confirmed)


def _amounts(cost: Range[Decimal], confirmed: bool) -> str:
    if not cost.high:
        return "free"
    text = show_usd(cost.expected)
    if cost.high > cost.expected:
        text += f" to {show_usd(cost.high)}"
    return text if confirmed else f"{text} ?"


def _time(line: EstimateLine) -> str:
    if line.seconds is None:
        return "-"
    low, high = line.seconds.low, line.seconds.high
    return f"{low:.0f}-{high:.0f} s" if round(low) != round(high) else f"{high:.0f} s"


def _needs(line: EstimateLine) -> str:
    if NOT_HERE in line.needs:  # a key would not help yet
        return "not yet"
    return ", ".join(line.needs) or "-"
