"""The vendor's models, as a catalog: they differ in how a lost submit can be found again, and in clips a job."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

__all__ = ["BILLING", "MODELS", "PRICE", "catalog", "offer"]

PRICE = "0.25"
"""USD for one clip, which lasts a second."""

BILLING = {
    "failed": "full",
    "refused_input": "free",
    "refused_output": "full",
    "cancelled": "free",
    "source": "the books",
}

MODELS: dict[str, dict[str, Any]] = {
    "exact": {"find": "exact", "find_lag": 0},
    "listed": {"find": "list", "find_lag": 0},
    "blind": {"find": "none"},
    "many-exact": {"find": "exact", "find_lag": 0, "samples": 4},
    "many-listed": {"find": "list", "find_lag": 0, "samples": 4},
    "many-blind": {"find": "none", "samples": 4},
    "lagging": {"find": "exact", "find_lag": 60},
}


def offer(model: str, endpoint: str = "north", **changes: Any) -> dict[str, Any]:
    """One offer, as a catalog table. `changes` go over it; `samples` is how many clips a job yields at most."""
    known = {**MODELS.get(model, {}), **changes}
    samples = known.pop("samples", 1)
    table: dict[str, Any] = {
        "model": model,
        "endpoint": endpoint,
        "provider": "remote",
        "family": "remote",
        "title": "Remote",
        "vendor_model": model,
        "path": model,
        "as_of": date(2026, 11, 22),
        "min_poll": 1,
        "outlives_caller": True,
        "result_lifetime": 86_400,
        "billing": BILLING,
        "price": {
            "rule": "table", "source": "the books",
            "row": [{"per_second": PRICE, "source": "the books", "as_of": date(2026, 11, 22)}],
        },
        "capabilities": {
            "durations": {"choices": [1]}, "resolutions": ["256p"], "aspect_ratios": ["1:1"], "sizes": {"256p 1:1": [64, 64]},
            "fps": [8], "seed": True, "samples": samples,
        },
        "routes": {"text-to-video": {}},
    }  # fmt: skip
    return table | known


def catalog(endpoints: Iterable[str] = ("north", "south"), **changes: Any) -> dict[str, Any]:
    """A layer with every model at each endpoint."""
    return {"offer": [offer(model, endpoint, **changes) for endpoint in endpoints for model in MODELS]}
