"""The shipped offers that the tests of plans were worked out with, whatever else the vendors themselves have."""

from __future__ import annotations

from vidorch.catalog import Catalog, shipped
from vidorch.offer import Offer

__all__ = ["STEADY"]

_DIRECT = (
    "kling/kling-3.0-standard", "kling/kling-3.0-pro", "kling/kling-3.0-4k", "runway/gen4.5", "vertex/veo-3.1-lite",
    "vertex/veo-3.1-fast", "vertex/veo-3.1",
)  # fmt: skip


def _stays(offer: Offer) -> bool:
    return offer.name in _DIRECT or offer.endpoint not in ("gemini", "kling", "runway", "vertex")


STEADY = Catalog(tuple(offer for offer in shipped().offers if _stays(offer)))
