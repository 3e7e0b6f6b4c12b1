"""What of the catalog needs a look: prices that are old or unconfirmed, and models that end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from vidorch.offer import Offer, PriceRow

__all__ = ["OLD_AFTER", "SOON", "Finding", "check", "words_of"]

OLD_AFTER = timedelta(days=90)
"""A price that was read longer ago than this is old: a quarter, in which every one of these vendors changed some price."""
SOON = timedelta(days=30)
"""A model that ends within this time needs a successor now."""

Kind = Literal["old price", "unconfirmed price", "ending", "ended"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that needs a look.

    Attributes:
        when: the conditions of the price's row; empty for one that always holds, and for a life. day: on which the price was
            read or the model ends; None of one that is retired on no known day. confirmed: whether the vendor itself says so.
    """

    kind: Kind
    offer: str
    day: date | None
    confirmed: bool
    source: str
    when: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kind": self.kind, "offer": self.offer, "when": self.when, "day": self.day and str(self.day),
            "confirmed": self.confirmed, "source": self.source,
        }  # fmt: skip


def check(offers: Iterable[Offer], today: date) -> tuple[Finding, ...]:
    """Everything that needs a look on a day, in the order of the offers.

    Prices of an offer that is known at first hand to be over are not looked at: nobody can buy by them.
    """
    found: list[Finding] = []
    for offer in offers:
        found += _of_life(offer, today)
        if not offer.lifecycle.dead_on(today):
            for row in offer.price.rows:
                found += _of_row(offer, row, today)
    return tuple(found)


def words_of(when: Mapping[str, Any]) -> str:
    """A row's conditions: `"resolution 480p or 720p, audio on"`; empty where there are none."""

    def word(value: Any) -> str:
        return ("on" if value else "off") if isinstance(value, bool) else f"{value}"

    return ", ".join(f"{key} {' or '.join(map(word, values))}" for key, values in when.items())


def _of_life(offer: Offer, today: date) -> Iterator[Finding]:
    life = offer.lifecycle
    kind: Kind | None = None
    if life.said_dead_on(today):
        kind = "ended"
    elif life.retires is not None and life.retires <= today + SOON:
        kind = "ending"
    if kind is not None:
        yield Finding(kind, offer.name, life.retires, life.confirmed, life.source)


def _of_row(offer: Offer, row: PriceRow, today: date) -> Iterator[Finding]:
    when = words_of(row.when)
    if row.as_of is None or today - row.as_of > OLD_AFTER:
        yield Finding("old price", offer.name, row.as_of, row.confirmed, row.source, when)
    if not row.confirmed:
        yield Finding("unconfirmed price", offer.name, row.as_of, False, row.source, when)
