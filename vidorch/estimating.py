"""What a plan will cost and how long it will take, before anything is spent: plain data, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from vidorch.money import show_usd
from vidorch.price import FREE, Range

__all__ = ["BatchEstimate", "BatchOffer", "Estimate", "EstimateLine", "LeftOut", "Range"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An offer that cannot serve a request, and every reason why.

    Attributes:
        kinds: what the reasons are about: "retired", "request", "refused" (by the provider), "price",
            "provider", "credentials".
        variables: environment variables that would hold its key.
    """

    offer_name: str
    reason: str
    kinds: frozenset[str] = frozenset()
    variables: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"offer": self.offer_name, "reason": self.reason, "kinds": sorted(self.kinds)}


@dataclass(frozen=True, slots=True)
class EstimateLine:
    """One offer that can serve the request.

    Attributes:
        asked: the settings that the caller gave. bought: those that would be sent. billed_seconds: per clip.
        unit_price: in words. cost: USD for all candidates. seconds: for all of them; None when nobody knows.
        seconds_seen: of how many clips made here that comes; 0 where it is the catalog's range.
        price_source, price_as_of, confirmed: where the price comes from, when it was read, is it sure.
        needs: what is missing to run it, such as `"FAL_KEY"`.
        notes: what differs from what was asked, or is not sure.
        rule: of its price: "free", "table", "hours" (of one's own hardware) or "unpriced".
        imputed: USD that one's own hardware takes for all candidates, which is not spent and not in `cost`; None where it takes
            none, where its endpoint is billed (then it is the cost), and where nobody knows.
    """

    offer: str
    task: str
    cost: Range[Decimal]
    seconds: Range[float] | None = None
    seconds_seen: int = 0
    asked: Mapping[str, Any] = field(default_factory=dict)
    bought: Mapping[str, Any] = field(default_factory=dict)
    billed_seconds: Decimal = Decimal(0)
    unit_price: str = ""
    price_source: str = ""
    price_as_of: date | None = None
    confirmed: bool = True
    needs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    rule: str = "table"
    imputed: Range[Decimal] | None = None

    @property
    def in_all(self) -> Range[Decimal]:
        """USD, paid or imputed."""
        return self.cost if self.imputed is None else self.imputed

    @property
    def takes_hours(self) -> bool:
        """Whether it takes hours of one's own hardware that nobody pays for."""
        return self.rule == "hours" and not self.cost.high

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; money and billed seconds as text."""
        return {
            "offer": self.offer,
            "task": self.task,
            "cost": _money(self.cost),
            "seconds": _seconds(self.seconds),
            "seconds_seen": self.seconds_seen,
            "asked": dict(self.asked),
            "bought": dict(self.bought),
            "billed_seconds": _text(self.billed_seconds),
            "unit_price": self.unit_price,
            "price_source": self.price_source,
            "price_as_of": str(self.price_as_of) if self.price_as_of else None,
            "confirmed": self.confirmed,
            "needs": list(self.needs),
            "notes": list(self.notes),
            "rule": self.rule,
            "imputed": _money(self.imputed),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EstimateLine:
        """What `to_dict` gave."""
        return cls(
            offer=data["offer"],
            task=data["task"],
            cost=_read(data["cost"]),
            seconds=Range(*(float(data["seconds"][key]) for key in ("low", "expected", "high")))
            if data["seconds"]
            else None,
            seconds_seen=data.get("seconds_seen", 0),
            asked=dict(data["asked"]),
            bought=dict(data["bought"]),
            billed_seconds=Decimal(data["billed_seconds"]),
            unit_price=data["unit_price"],
            price_source=data["price_source"],
            price_as_of=date.fromisoformat(data["price_as_of"]) if data["price_as_of"] else None,
            confirmed=data["confirmed"],
            needs=tuple(data["needs"]),
            notes=tuple(data["notes"]),
            rule=data.get("rule", "table"),
            imputed=_read(data["imputed"]) if data.get("imputed") else None,
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """What would really be spent: the first line, for all candidates. The others are what would come next.

    Attributes:
        lines: in the order of the plan. left_out: the other offers, with reasons.
        notes: what holds for all of it. catalog_as_of: the newest day on which the catalog was read.
        clips: how many clips like this one a film is made of, each with its candidates. Costs are for all of them, times for one.
    """

    lines: tuple[EstimateLine, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    candidates: int = 1
    clips: int = 1
    currency: str = "USD"
    catalog_as_of: date | None = None

    @property
    def cost(self) -> Range[Decimal] | None:
        """USD for all candidates on the first line; None when no offer can serve the request."""
        return self.lines[0].cost if self.lines else None

    @property
    def imputed(self) -> Range[Decimal] | None:
        """USD that one's own hardware takes for them, which is not spent; None where it takes none or nobody knows."""
        return self.lines[0].imputed if self.lines else None

    def film(self, clips: int) -> Estimate:
        """The same for a film of so many clips like this one: costs for all of them; times, as before, for one."""
        lines = tuple(
            replace(line, cost=line.cost.times(clips), imputed=line.imputed and line.imputed.times(clips))
            for line in self.lines
        )
        return replace(self, lines=lines, clips=self.clips * clips)

    @property
    def seconds(self) -> Range[float] | None:
        """Seconds until the first line's candidates are all there; None when nobody knows."""
        return self.lines[0].seconds if self.lines else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; money as text."""
        return {
            "cost": _money(self.cost),
            "imputed": _money(self.imputed),
            "seconds": _seconds(self.seconds),
            "currency": self.currency,
            "candidates": self.candidates,
            "clips": self.clips,
            "lines": [line.to_dict() for line in self.lines],
            "left_out": [one.describe() for one in self.left_out],
            "notes": list(self.notes),
            "catalog_as_of": str(self.catalog_as_of) if self.catalog_as_of else None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Estimate:
        """What `to_dict` gave."""
        return cls(
            lines=tuple(EstimateLine.from_dict(line) for line in data["lines"]),
            left_out=tuple(
                LeftOut(one["offer"], one["reason"], frozenset(one["kinds"])) for one in data["left_out"]
            ),
            notes=tuple(data["notes"]),
            candidates=data["candidates"],
            clips=data.get("clips", 1),
            currency=data["currency"],
            catalog_as_of=date.fromisoformat(data["catalog_as_of"]) if data["catalog_as_of"] else None,
        )

    def __str__(self) -> str:
        bought = self.candidates * self.clips
        clips = "1 clip" if bought == 1 else f"{bought} clips"
        said = [_summary(line, clips) for line in self.lines] or ["No offer can serve this request."]
        said += [f"left out: {one.offer_name}: {one.reason}" for one in self.left_out]
        return "\n".join((*said, *self.notes))


@dataclass(frozen=True, slots=True)
class BatchOffer:
    """What the lines of a batch would buy from one offer.

    Attributes:
        lines, clips: how many go there first. cost: USD for all of them. confirmed: whether every price is sure.
        needs: what is missing to run them. imputed: USD of one's own hardware, which is not spent, as far as it is known.
    """

    offer: str
    lines: int
    clips: int
    cost: Range[Decimal]
    confirmed: bool = True
    needs: tuple[str, ...] = ()
    imputed: Range[Decimal] = FREE

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; money as text."""
        return {
            "offer": self.offer, "lines": self.lines, "clips": self.clips, "cost": _money(self.cost),
            "confirmed": self.confirmed, "needs": list(self.needs), "imputed": _money(self.imputed),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class BatchEstimate:
    """What a batch would cost, each line on its first offer.

    Attributes:
        lines: of the batch; clips: of those lines that can be served. cost: USD for these together.
        offers: by offer, the dearest first. left_out: why lines cannot be served, with their numbers, counted from 1.
        imputed: USD of one's own hardware, which is not spent, as far as it is known.
    """

    lines: int
    clips: int
    cost: Range[Decimal]
    offers: tuple[BatchOffer, ...] = ()
    left_out: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    currency: str = "USD"
    imputed: Range[Decimal] = FREE

    @property
    def unserved(self) -> int:
        """How many lines cannot be served: a batch is sent only when there are none."""
        return sum(map(len, self.left_out.values()))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; money as text."""
        return {
            "lines": self.lines,
            "clips": self.clips,
            "cost": _money(self.cost),
            "imputed": _money(self.imputed),
            "currency": self.currency,
            "offers": [one.to_dict() for one in self.offers],
            "unserved": self.unserved,
            "left_out": [{"reason": why, "lines": list(lines)} for why, lines in self.left_out.items()],
        }

    def __str__(self) -> str:
        low, high = show_usd(self.cost.low), show_usd(self.cost.high)
        said = [f"{self.lines} lines, {self.clips} clips: {show_usd(self.cost.expected)} ({low} to {high})"]
        said += [f"{one.offer}: {one.lines} lines, {show_usd(one.cost.expected)}" for one in self.offers]
        if self.imputed.high:
            said.append(f"imputed to one's own hardware, and not spent: {show_usd(self.imputed.expected)}")
        said += [f"cannot be served: {len(lines)} lines: {why}" for why, lines in self.left_out.items()]
        return "\n".join(said)


def _summary(line: EstimateLine, clips: str) -> str:
    amount = line.in_all
    cost = show_usd(amount.expected) if amount.expected else "free"
    if amount.high > amount.expected:
        cost += f" (up to {show_usd(amount.high)})"
    if line.takes_hours:
        cost = f"free ({cost} imputed)" if line.imputed else "free (imputed: not known)"
    took = f"about {line.seconds.expected:.0f} s" if line.seconds else "time not known"
    dated = f", price of {line.price_as_of}" if line.price_as_of and amount.high else ""
    sure = "" if line.confirmed else ", not confirmed"
    needs = f"; needs {', '.join(line.needs)}" if line.needs else ""
    return f"{line.offer}: {clips} {cost}, {took}{dated}{sure}{needs}"


def _text(number: Decimal) -> str:
    return f"{number:f}"


def _read(cost: Mapping[str, str]) -> Range[Decimal]:
    return Range(*(Decimal(cost[key]) for key in ("low", "expected", "high")))


def _money(cost: Range[Decimal] | None) -> dict[str, str] | None:
    return (
        None
        if cost is None
        else {"low": _text(cost.low), "expected": _text(cost.expected), "high": _text(cost.high)}
    )


def _seconds(seconds: Range[float] | None) -> dict[str, float] | None:
    return (
        None if seconds is None else {"low": seconds.low, "expected": seconds.expected, "high": seconds.high}
    )
