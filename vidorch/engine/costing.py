"""What a job cost, by how it ended: the vendor's own figure first, then its word on charging, then its rule in the catalog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from vidorch.contract import Billed
from vidorch.engine.hosts import LEASE
from vidorch.engine.purchase import Purchase
from vidorch.money import to_micros
from vidorch.offer import Offer
from vidorch.price import Hour, rate_of, usd_of_hours
from vidorch.result import Job

__all__ = ["Cost", "cost_of_abandoned", "cost_of_clips", "cost_of_end", "cost_of_hours", "quoted", "shares"]


@dataclass(frozen=True, slots=True)
class Cost:
    """USD, how that is known, and whether money was taken (None: nobody can tell).

    Attributes:
        basis: "reported" by the vendor, "computed" from the catalog, "imputed" (one's own hardware), or
            "assumed" (the reserved high).
    """

    usd: Decimal
    basis: str
    charged: bool | None


NOTHING = Cost(Decimal(0), "computed", False)


def cost_of_clips(purchase: Purchase, *, reported: Decimal | Billed | None, made: int, withheld: int) -> Cost:
    """Of a job that gave `made` clips. Withheld ones cost as much, unless the vendor's rule says that they are free."""
    said = _reported(purchase, reported)
    if said is not None and not _counts_something_else(purchase, reported, said):
        return said
    if (
        purchase.offer.price.rule == "unpriced"
    ):  # nobody knows; what was held for it is the most that it may be
        return Cost(purchase.high, "assumed", None)
    billed = made if purchase.offer.billing.refused_output == "free" else made + withheld
    usd = purchase.expected / purchase.samples * min(billed, purchase.samples)
    return Cost(usd, "computed", usd > 0)


def cost_of_hours(
    purchase: Purchase, hour: Hour, seconds: float, *, billed: bool, made: bool = True, sure: bool = True
) -> Cost:
    """Of work on one's own hardware that took so many seconds, by the rule that it was estimated by.

    Args:
        billed: whether that is money. made: whether a clip came of it; what gave none and is no money costs nothing.
        sure: whether it is known when the work ended. Else these seconds are the most that it may have taken, and money is
            booked at no more than the reserved high.
    """
    if not billed:
        usd = Decimal(0) if hour.usd is None or not made else usd_of_hours(hour.usd, seconds)
        return Cost(usd, "imputed", False)
    if hour.usd is None:  # its endpoint said what an hour costs, and says it no more
        return Cost(purchase.high, "assumed", None)
    usd = usd_of_hours(hour.usd, seconds)
    if not sure:
        return Cost(min(usd, purchase.high), "assumed", None)
    return Cost(usd, "computed", usd > 0)


def cost_of_abandoned(job: Job, purchase: Purchase, hour: Callable[[Offer], Hour]) -> Cost | None:
    """Of work in a process that is gone: its seconds until it was last heard of, where its hardware is billed; else None."""
    if not job.billed or purchase.offer.price.rule != "hours" or job.sending_at is None:
        return None
    alive = job.updated_at if job.lease_until is None else max(job.updated_at, job.lease_until - LEASE)
    begun = job.running_at or job.accepted_at or job.sending_at
    cost = cost_of_hours(purchase, hour(purchase.offer), max(alive - begun, 0.0), billed=True)
    return cost if cost.usd else None


def cost_of_end(
    purchase: Purchase,
    how: str,
    *,
    reported: Decimal | Billed | None,
    charged: bool | None,
    sure: bool = True,
) -> Cost:
    """Of a job that ended without a clip.

    Args:
        how: the field of `vidorch.offer.Billing` that holds for it: "failed", "refused_input", "refused_output" or "cancelled".
        charged: what the vendor says of it; None when it says nothing.
        sure: whether the outcome itself is the vendor's word. What is not is booked at the reserved high.
    """
    if (said := _reported(purchase, reported)) is not None:
        return said
    if charged is False:
        return NOTHING
    if charged is True:
        return Cost(purchase.expected, "computed", True)
    rule = getattr(purchase.offer.billing, how) if sure else "unknown"
    if rule == "free":
        return NOTHING
    if rule == "full":
        return Cost(purchase.expected, "computed", True)
    return Cost(purchase.high, "assumed", None)


def quoted(purchase: Purchase, quote: Decimal | Billed | None) -> Decimal | None:
    """What the vendor says that a job may cost at most, in USD; None where nobody can tell."""
    said = _reported(purchase, quote)
    return None if said is None else said.usd


def _reported(purchase: Purchase, reported: Decimal | Billed | None) -> Cost | None:
    """The vendor's own figure. What it counts in another unit than money is turned into money by the catalog's price."""
    if not isinstance(reported, Billed):
        return None if reported is None else Cost(reported, "reported", reported > 0)
    price = purchase.offer.price
    if reported.unit == "usd":
        return Cost(reported.amount, "reported", reported.amount > 0)
    if price.unit != "usd" and reported.unit in ("", price.unit):
        usd = reported.amount * price.usd_per_unit
        return Cost(usd, "reported", usd > 0)
    if reported.unit not in ("", "second", "clip"):
        return None
    rate = rate_of(purchase.offer, purchase.route, purchase.settings, reported.unit)
    if rate is None:
        return None
    if not reported.unit and _is_weighted(purchase, reported.amount, rate):
        return Cost(purchase.expected, "computed", True)
    return Cost(reported.amount * rate, "computed", reported.amount > 0)


def _is_weighted(purchase: Purchase, amount: Decimal, rate: Decimal) -> bool:
    """Whether a number without a unit counts what makes a clip dearer already: more units instead of a dearer one.

    A vendor with one price for each endpoint (fal) can only bill sound so. Told by what it comes to at the price of the same
    clip without sound: what was expected, to a tenth.
    """
    plain = rate_of(purchase.offer, purchase.route, {**purchase.settings, "audio": False})
    if plain is None or plain == rate or not purchase.expected:
        return False
    return abs(amount * plain - purchase.expected) * 10 <= purchase.expected


def _counts_something_else(purchase: Purchase, reported: Decimal | Billed | None, said: Cost) -> bool:
    """Whether a number without a unit is of something else than the price's: tokens in millions, say, instead of seconds.

    A clip that was made costs no less than half of what was expected at the least, unless it is free.
    """
    return isinstance(reported, Billed) and not reported.unit and 0 < said.usd < purchase.low / 2


def shares(cost: Decimal, count: int) -> list[int]:
    """`cost` in millionths over `count` clips, so that they add up to it exactly."""
    if not count:
        return []
    each, rest = divmod(to_micros(cost), count)
    return [each + (number < rest) for number in range(count)]
