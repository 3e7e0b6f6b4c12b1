"""What a job cost, by how it ended: the vendor's own figure first, then its word on charging, then its rule in the catalog."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from vidorch.engine.purchase import Purchase
from vidorch.money import to_micros

__all__ = ["Cost", "cost_of_clips", "cost_of_end", "shares"]


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


def cost_of_clips(purchase: Purchase, *, reported: Decimal | None, made: int, withheld: int) -> Cost:
    """Of a job that gave `made` clips. Withheld ones cost as much, unless the vendor's rule says that they are free."""
    if reported is not None:
        return Cost(reported, "reported", reported > 0)
    billed = made if purchase.offer.billing.refused_output == "free" else made + withheld
    usd = purchase.expected / purchase.samples * min(billed, purchase.samples)
    return Cost(usd, "computed", usd > 0)


def cost_of_end(
    purchase: Purchase, how: str, *, reported: Decimal | None, charged: bool | None, sure: bool = True
) -> Cost:
    """Of a job that ended without a clip.

    Args:
        how: the field of `vidorch.offer.Billing` that holds for it: "failed", "refused_input", "refused_output" or "cancelled".
        charged: what the vendor says of it; None when it says nothing.
        sure: whether the outcome itself is the vendor's word. What is not is booked at the reserved high.
    """
    if reported is not None:
        return Cost(reported, "reported", reported > 0)
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


def shares(cost: Decimal, count: int) -> list[int]:
    """`cost` in millionths over `count` clips, so that they add up to it exactly."""
    if not count:
        return []
    each, rest = divmod(to_micros(cost), count)
    return [each + (number < rest) for number in range(count)]
