"""`vidorch estimate --compare`: what the same clip, or a film of such clips, costs everywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING, Any

import typer

from vidorch.cli.estimate import IMPUTED, title_of
from vidorch.cli.exits import Exit
from vidorch.cli.say import as_json, aside, console, table_of
from vidorch.client.aio import AsyncClient
from vidorch.errors import InvalidRequest
from vidorch.estimating import Estimate, EstimateLine, LeftOut
from vidorch.offer import Offer
from vidorch.planning import NOT_HERE
from vidorch.price import Priced
from vidorch.request import nearest_name

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["compare"]

_WITH_PRICE, _WITH_DAY, _WITH_NEEDS = 110, 125, 160
"""Columns that a terminal needs to have for the unit price, its day and the key besides."""

_OWN = (
    "A server of your own is compared like the others once an endpoint names it: with serves = [...] and usd_per_hour, where it "
    "is vLLM-Omni or SGLang (docs/servers.md); else with a row in catalog.toml that has its price (docs/catalog.md)."
)


def compare(
    prompt: str,
    options: dict[str, Any],
    *,
    families: Sequence[str],
    clips: int,
    everything: bool,
    as_document: bool,
) -> None:
    """Print what every model, or those of some families, would take for a request."""
    client = AsyncClient()  # opens nothing: no loop, no ledger, no network
    offers = {offer.name: offer for offer in client.compared()}
    if families:
        if options.get("model"):
            raise InvalidRequest(
                "--model and --family both say what to compare.", hint="Leave one of them out."
            )
        options["model"] = _of_families(families, tuple(offers.values()))
    own = "wan" in families or not options.get("model")
    options.setdefault("fit", "exact")  # else a model that makes 4, 6 or 8 s would not be compared at 5 s
    found = client.compare(prompt, **options).film(clips)
    if as_document:
        as_json(found.to_dict())
    else:
        _show(found, offers, asked=options.get("duration"), everything=everything, own=own)
    if not found.lines:
        raise typer.Exit(Exit.UNSUPPORTED)


def _of_families(families: Sequence[str], offers: Sequence[Offer]) -> list[str]:
    known = sorted({offer.family for offer in offers})
    for family in families:
        if family not in known:
            near = nearest_name(family, known)
            raise InvalidRequest(
                f"There is no family {family!r}.",
                hint=f"Did you mean {near!r}?" if near else f"There are {', '.join(known)}.",
            )
    return [offer.name for offer in offers if offer.family in families]


def _show(
    found: Estimate, offers: dict[str, Offer], *, asked: float | None, everything: bool, own: bool
) -> None:
    out = console()
    if found.lines:
        _table(out, found)
    for text in _legend(found, asked):
        _say(out, text)
    if out.width < _WITH_NEEDS and (keys := _keys(found.lines)):
        _say(out, f"Keys: {keys}.")
    if any(NOT_HERE in line.needs for line in found.lines):
        _say(out, "not yet: its provider is not in this version, so this is an estimate only.")
    if everything:
        for line in found.lines:
            for note in line.notes:
                _say(out, f"{line.offer}: {note}")
    for one in found.left_out:
        if "retired" in one.kinds and (offer := offers.get(one.offer_name)):
            _say(out, f"{one.offer_name}: {one.reason}. Its last price: {_last_price(offer)}.")
        elif everything:
            _say(out, f"left out: {one.offer_name}: {one.reason}")
    if not everything and (summary := _summary(found.left_out)):
        _say(out, f"Left out: {summary}. Each with its reason: --all.")
    for note in found.notes:
        _say(out, note)
    if own:
        _say(out, _OWN)
    days = sorted({line.price_as_of for line in found.lines if line.price_as_of and line.in_all.high})
    if days:
        span = str(days[0]) if len(days) == 1 else f"between {days[0]} and {days[-1]}"
        _say(out, f"Prices read {span}; each with its day and source: --json.")
    if not found.lines:
        aside("No offer can serve this request.")


def _last_price(offer: Offer) -> str:
    return " or ".join(Priced(None, row).in_words(offer) for row in offer.price.rows) or "not known"


def _say(out: Console, text: str) -> None:
    """Broken between words on a terminal, whole elsewhere."""
    out.print(text, markup=False, soft_wrap=not out.is_terminal)


def _table(out: Console, found: Estimate) -> None:
    columns = ["!offer", "!a clip", ">cost", ">time"]
    rows = [[line.offer, _bought(line), _cost(line), _time(line)] for line in found.lines]
    for least, column, cell in (
        (_WITH_PRICE, ">unit price", lambda line: line.unit_price),
        (_WITH_DAY, "!read", lambda line: str(line.price_as_of or "-")),
        (_WITH_NEEDS, "needs", _needs),
    ):
        if out.width >= least:
            columns.append(column)
            for row, line in zip(rows, found.lines, strict=True):
                row.append(cell(line))
    out.print(table_of(title_of(found), columns, rows))


def _bought(line: EstimateLine) -> str:
    bought = line.bought
    parts = [f"{round(bought['duration'], 2):g} s"] if bought.get("duration") else []
    parts += [str(bought[key]) for key in ("resolution",) if bought.get(key)] or (
        [bought["size"]] if bought.get("size") else []
    )
    return " ".join((*parts, "sound")) if bought.get("audio") else " ".join(parts)


def _cents(amount: Decimal) -> str:
    return f"{amount.quantize(Decimal('0.01'), ROUND_UP):f}"


def _cost(line: EstimateLine) -> str:
    if line.takes_hours and line.imputed is None:
        return "(not known)"
    if not line.in_all.high:
        return "free"
    expected, high = _cents(line.in_all.expected), _cents(line.in_all.high)
    text = f"${expected}" if expected == high else f"${expected}-{high}"
    text = f"({text})" if line.takes_hours else text
    return text if line.confirmed else f"{text} ?"


def _time(line: EstimateLine) -> str:
    if line.seconds is None:
        return "-"
    low, high = round(line.seconds.low), round(line.seconds.high)
    text = f"{low}-{high} s" if low != high else f"{high} s"
    return f"{text} *" if line.seconds_seen else text


def _needs(line: EstimateLine) -> str:
    return "not yet" if NOT_HERE in line.needs else ", ".join(line.needs) or "-"


def _legend(found: Estimate, asked: float | None) -> list[str]:
    """What the marks mean, of those that are there."""
    lines = found.lines
    said = []
    unsure = sum(not line.confirmed for line in lines)
    if unsure:
        said.append(
            f"?: a price that nobody could confirm at its vendor ({unsure} of {len(lines)}); whose word it is: --all."
        )
    if any(_cost(line).startswith("(") for line in lines):
        said.append(f"(...): {IMPUTED}")
    if lines:
        times = "Times are for one clip" if found.clips > 1 else "Times are"
        known = [line for line in lines if line.seconds]
        unknown = "" if len(known) == len(lines) else "; -: nobody knows"
        said.append(
            f"{times} as others report them, no promise{unknown}."
            if known
            else "How long these take nobody knows."
        )
    if any(line.seconds_seen for line in lines):
        said.append("*: of clips that were made here.")
    if asked is not None and any((line.bought.get("duration") or 0) >= asked + 0.5 for line in lines):
        said.append(
            f"Those that cannot make {asked:g} s make the next longer clip, which is paid whole and cut."
        )
    if found.clips > 1:
        said.append(
            f"The {found.clips} clips take as long as one if all are made at once, "
            f"{found.clips} times as long one after another."
        )
    return said


def _keys(lines: Sequence[EstimateLine]) -> str:
    needed = {
        line.offer.partition("/")[0]: ", ".join(line.needs)
        for line in lines
        if line.needs and NOT_HERE not in line.needs
    }
    return "; ".join(f"{endpoint} {needs}" for endpoint, needs in sorted(needed.items()))


def _summary(left_out: Sequence[LeftOut]) -> str:
    """How many offers for which reason, each counted once."""
    counted = Counter(_why(one) for one in left_out if "retired" not in one.kinds)
    return "; ".join(f"{count} {why}" for why, count in counted.most_common())


def _why(one: LeftOut) -> str:
    if "request" in one.kinds:
        return f"cannot do {one.reason.partition(':')[0]}"
    if "price" in one.kinds:
        return "without a price that anybody knows"
    return "are refused by their provider" if "refused" in one.kinds else f"{one.reason}"
