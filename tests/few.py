"""A few shipped offers, so that what plans say about them stays the same whatever else is shipped."""

from __future__ import annotations

from vidorch.catalog import Catalog, shipped

__all__ = ["FEW"]

_NAMES = (
    "fal/kling-3.0-standard", "fal/kling-3.0-pro", "fal/kling-3.0-4k", "kling/kling-3.0-standard", "kling/kling-3.0-pro",
    "kling/kling-3.0-4k", "local/mini", "runway/gen4.5", "openai/sora-2", "openai/sora-2-pro", "vertex/veo-3.1-lite",
    "vertex/veo-3.1-fast", "vertex/veo-3.1",
)  # fmt: skip
FEW = Catalog(tuple(offer for name in _NAMES if (offer := shipped().offer(name))))
