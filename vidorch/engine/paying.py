"""What must hold before anything that costs money is written down, let alone sent."""

from __future__ import annotations

from vidorch.engine.purchase import Purchase
from vidorch.engine.services import Services
from vidorch.errors import LedgerUnavailable
from vidorch.live import must_not_be_a_test

__all__ = ["is_spending", "must_be_payable"]


def is_spending(purchase: Purchase, services: Services) -> bool:
    """Whether what this costs is money, not only electricity: one's own hardware counts when its endpoint says so."""
    offer = purchase.offer
    return offer.price.rule != "free" or services.endpoint(offer.endpoint, offer.provider).billed


def must_be_payable(purchase: Purchase, services: Services) -> None:
    """What costs money needs a record that survives us, and is never bought by a test that did not mean to.

    Raises:
        LedgerUnavailable, LiveCallInTest: nothing was sent. Unsupported, MissingCredentials: its provider cannot be loaded.
    """
    provider = services.provider_of(purchase.offer.provider)
    if not is_spending(purchase, services):
        return
    if not services.ledger.durable:
        raise LedgerUnavailable(
            "Paid work needs a ledger on disk, and none can be written. Nothing was sent.",
            hint="See `vidorch doctor`.",
        )
    if not provider.simulated:
        must_not_be_a_test(purchase.offer.name)
