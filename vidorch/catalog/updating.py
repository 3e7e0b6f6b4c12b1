"""Newer prices against the catalog: which of its rows they would change, and which not, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Context, Decimal, Inexact
from pathlib import Path
from typing import Any

from vidorch.catalog.checking import words_of
from vidorch.catalog.prices import NewRow, default_prices_file, write
from vidorch.offer import Offer, PriceRow

__all__ = ["Change", "Ending", "LeftAlone", "PriceUpdate", "Rates", "compare"]

_EXACT = Context(prec=60, traps=[Inexact])


@dataclass(frozen=True, slots=True)
class Rates:
    """What a source says of one model, in USD per second of output.

    Attributes:
        base: the rate that it gives for no resolution in particular; None where there is none.
        tiers: by resolution. source: where, in words, for the row. ends: the day on which the source says that the model ends.
    """

    base: Decimal | None = None
    tiers: Mapping[str, Decimal] = field(default_factory=dict)
    source: str = ""
    ends: date | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One row that a source has a newer price for.

    Attributes:
        old, new: USD per second; equal where the price is the same and was only read anew, at first hand.
        row: as it will be written, in what the offer counts.
    """

    offer: str
    when: str
    old: Decimal
    new: Decimal
    row: NewRow

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; USD per second as text."""
        row = self.row.row
        return {
            "offer": self.offer, "when": self.when, "old": f"{self.old:f}", "new": f"{self.new:f}", "source": row.source,
            "as_of": str(row.as_of), "confirmed": row.confirmed,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A row, or with `when` empty all of an offer, that stays as it is although the source says something of its model."""

    offer: str
    when: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """JSON-ready."""
        return {"offer": self.offer, "when": self.when, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Ending:
    """A day on which the source says that a model ends. It is told and never written: only the vendor's own word confirms one."""

    offer: str
    day: date
    known: date | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready. `known`: the day that the catalog has."""
        return {"offer": self.offer, "day": str(self.day), "known": self.known and str(self.known)}


@dataclass(frozen=True, slots=True)
class PriceUpdate:
    """What a source would change. Nothing is written before `save`.

    Attributes:
        source, as_of: what was read, and the day that its prices are of. changes: in the order of the catalog.
        left_alone: rows that the source cannot express, or that are newer than it. unchanged: how many rows say the same already.
        endings: what it says of ends. unknown: names in the source that are no offer of the catalog.
        path: the file that `save` writes.
    """

    source: str
    as_of: date
    changes: tuple[Change, ...] = ()
    left_alone: tuple[LeftAlone, ...] = ()
    unchanged: int = 0
    endings: tuple[Ending, ...] = ()
    unknown: tuple[str, ...] = ()
    path: Path = field(default_factory=default_prices_file)

    def save(self) -> Path:
        """Write the new rows beside what stands in the file already, whole or not at all. Clients made after that go by them.

        Raises:
            CatalogError: the file that is there is broken. OSError: it cannot be written.
        """
        write(self.path, [change.row for change in self.changes])
        return self.path

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; money as text."""
        return {
            "source": self.source, "as_of": str(self.as_of), "changes": [one.to_dict() for one in self.changes],
            "left_alone": [one.to_dict() for one in self.left_alone], "unchanged": self.unchanged,
            "endings": [one.to_dict() for one in self.endings], "unknown": list(self.unknown), "file": str(self.path),
        }  # fmt: skip


def compare(
    offers: Iterable[Offer], rates: Mapping[str, Rates | str], *, source: str, as_of: date, first_hand: bool,
    own: Mapping[str, str] | None = None, unknown: Iterable[str] = (),
) -> PriceUpdate:  # fmt: skip
    """Hold what a source says against the catalog below the user's own layer.

    Args:
        offers: as they are without the user's layer. rates: by the name of the offer, or why nothing can be made of what it says.
        first_hand: whether the source is the vendor itself. Then its prices are confirmed, and read anew where they are the same.
            Otherwise they are not; and where one is lower than the old one, the old one is still what budgets reserve.
        own: offers that a layer of the user's has, and which: nothing below would show there.
    """
    changes: list[Change] = []
    left: list[LeftAlone] = []
    endings: list[Ending] = []
    same = 0
    for offer in offers:
        said = rates.get(offer.name)
        if said is None or offer.price.rule in ("free", "hours"):
            continue
        if isinstance(said, Rates) and said.ends is not None:
            endings.append(Ending(offer.name, said.ends, offer.lifecycle.retires))
        if own and offer.name in own:
            said = f"your own layer has it: {own[offer.name]}"
        elif not offer.price.rows:
            said = "the catalog has no row of a price for it"
        if isinstance(said, str):
            left.append(LeftAlone(offer.name, "", said))
            continue
        for found in _of_offer(offer, said, as_of, first_hand=first_hand):
            if isinstance(found, Change):
                changes.append(found)
            elif isinstance(found, LeftAlone):
                left.append(found)
            else:
                same += 1
    return PriceUpdate(source, as_of, tuple(changes), tuple(left), same, tuple(endings), tuple(unknown))


def _of_offer(
    offer: Offer, rates: Rates, as_of: date, *, first_hand: bool
) -> Iterator[Change | LeftAlone | None]:
    for row in offer.price.rows:
        when = words_of(row.when)
        rate = _why_not(offer, row) or _rate_for(offer, row, rates)
        if isinstance(rate, str):
            yield LeftAlone(offer.name, when, rate)
            continue
        old = row.per_second * offer.price.usd_per_unit
        older = row.as_of is not None and as_of < row.as_of
        if rate == old and (older or not first_hand or (row.confirmed and row.as_of == as_of)):
            yield None
        elif older:
            yield LeftAlone(offer.name, when, f"what the catalog has was read on {row.as_of}, after it")
        else:
            amount = _in_units(rate, offer.price.usd_per_unit)
            if amount is None:
                yield LeftAlone(offer.name, when, f"${rate:f} is no exact number of {offer.price.unit}s")
                continue
            new = replace(
                row, per_second=amount, source=rates.source, as_of=as_of, confirmed=first_hand,
                high_per_second=None if first_hand else _dearer(row, amount),
            )  # fmt: skip
            kept = NewRow(offer.name, offer.price.unit, offer.price.usd_per_unit, new)
            yield Change(offer.name, when, old, rate, kept)


def _why_not(offer: Offer, row: PriceRow) -> str | None:
    """Why one rate for each resolution cannot say what a row says; None where it can."""
    others = [key for key in row.when if key != "resolution"]
    if others:
        return f"it depends on {' and '.join(others)}, which the source does not tell"
    if row.fixed or row.per_input_second or row.per_megapixel or row.per_million_tokens or not row.per_second:
        parts = [
            (row.fixed, "for each clip"),
            (row.per_input_second, "by the second of input"),
            (row.per_megapixel, "by the megapixel"),
            (row.per_million_tokens, "by tokens"),
        ]
        how = " and ".join(words for amount, words in parts if amount) or "as free"
        return f"it is priced {how}, which the source does not tell"
    for other in offer.price.rows:
        if other is row or not _may_share_a_resolution(row, other):
            continue
        if "duration" in other.when or set(other.when.get("audio", (True, False))) != {True, False}:
            return "beside it are prices by sound or duration, which the source does not tell"
    return None


def _may_share_a_resolution(one: PriceRow, other: PriceRow) -> bool:
    return (
        "resolution" not in one.when
        or "resolution" not in other.when
        or not set(one.when["resolution"]).isdisjoint(other.when["resolution"])
    )


def _rate_for(offer: Offer, row: PriceRow, rates: Rates) -> Decimal | str:
    """The one rate that holds for all of a row, or why there is none."""
    wanted = row.when.get("resolution")
    if wanted is not None:
        missing = [one for one in wanted if one not in rates.tiers]
        if missing:
            return f"the source gives no rate for {' and '.join(missing)}"
        found = {rates.tiers[one] for one in wanted}
    elif len(offer.price.rows) > 1:
        return "the source has one rate, and the catalog has several"
    else:
        found = {*rates.tiers.values(), *(() if rates.base is None else (rates.base,))}
    if len(found) > 1:
        return "the source's rates differ by resolution, and here they do not"
    if not found:
        return "the source gives no rate by the second"
    rate = found.pop()
    return rate or "the source says that it is free, which would be no price to go by"


def _in_units(rate: Decimal, usd_per_unit: Decimal) -> Decimal | None:
    """An amount of USD in what the offer counts; None where that is no finite number."""
    try:
        return _EXACT.divide(rate, usd_per_unit).normalize(_EXACT)
    except Inexact:
        return None


def _dearer(row: PriceRow, amount: Decimal) -> Decimal | None:
    most = max(row.per_second, row.high_per_second or row.per_second)
    return most if most > amount else None
