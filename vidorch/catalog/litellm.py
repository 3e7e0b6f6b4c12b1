"""Reads LiteLLM's public map of prices, `model_prices_and_context_window.json`: what it says of the catalog's offers.

Its rows of mode `video_generation` have rates in USD per second: `output_cost_per_second`, the same with `_480p` to `_4k` at its
end, and for some `output_cost_per_video_per_second`. The base rate is a vendor's default, dearest or with-sound rate, which its
comments tell and its fields do not, so it says nothing where the catalog has more than one price.

Source: the copy in LiteLLM 1.109.1, 85 such rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, NoReturn

from vidorch.catalog.updating import Rates
from vidorch.errors import CatalogError
from vidorch.offer import Offer

__all__ = ["LARGEST", "rates_in"]

LARGEST = 32 * 1024 * 1024
"""Bytes of a map; LiteLLM's own has less than 3 million."""
ENDPOINTS = {
    "runwayml": "runway", "fal_ai": "fal", "vertex_ai": "vertex", "gemini": "gemini", "openai": "openai",
    "replicate": "replicate",
}  # fmt: skip
"""LiteLLM's first part of a name -> our endpoint."""
TIERS = {name: name for name in ("480p", "720p", "768p", "1080p", "4k")} | {"2k": "1440p"}
MODE = "video_generation"
BASES = ("output_cost_per_second", "output_cost_per_video_per_second")
_MOST = Decimal(10_000)


def rates_in(text: bytes, source: str, offers: Iterable[Offer]) -> tuple[dict[str, Rates | str], list[str]]:
    """What a map says of these offers, by name, and the names in it that are none of them.

    Args:
        source: where it is from, for messages.

    Raises:
        CatalogError: no JSON, not that format, or a rate that cannot be one.
    """
    rows = {name: _rates(name, row, source) for name, row in _rows(text, source).items()}
    used: set[str] = set()
    found: dict[str, Rates | str] = {}
    for offer in offers:
        names = [_names(part, offer) for part in _parts(offer)]
        there = [next((rows[name] for name in each if name in rows), None) for each in names]
        used.update(name for each in names for name in each if name in rows)
        known = [one for one in there if one is not None]
        if known:
            found[offer.name] = _as_one(known, all_there=len(known) == len(there))
    return found, [name for name in rows if name not in used]


def _rows(text: bytes, source: str) -> dict[str, Mapping[str, Any]]:
    try:
        data = json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise _wrong(source, f"it is no JSON: {error}") from None
    form = "It has to be LiteLLM's model_prices_and_context_window.json: an object of models, each an object with a mode."
    if not isinstance(data, dict) or not all(isinstance(row, dict) for row in data.values()):
        raise _wrong(source, f"it is no map of prices. {form}")
    if not any("mode" in row and "litellm_provider" in row for row in data.values()):
        raise _wrong(source, f"it is no map of prices. {form}")
    return {name: row for name, row in data.items() if row.get("mode") == MODE}


def _rates(name: str, row: Mapping[str, Any], source: str) -> Rates | str:
    bases = {_rate(name, key, row[key], source) for key in BASES if row.get(key) is not None}
    tiers = {
        ours: _rate(name, key, row[key], source)
        for theirs, ours in TIERS.items()
        if row.get(key := f"{BASES[0]}_{theirs}") is not None
    }
    page = row.get("source")
    words = f"LiteLLM's map of prices, {name}" + (f", which names {page}" if isinstance(page, str) else "")
    if len(bases) > 1:
        return "the source has two base rates for it that differ"
    return Rates(bases.pop() if bases else None, tiers, words, _day(row.get("deprecation_date")))


def _rate(name: str, key: str, value: Any, source: str) -> Decimal:
    if not isinstance(value, (int, Decimal)) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise _wrong(source, f"{name}: {key}: {str(value)[:60]!r} is no rate in USD per second.")
    return Decimal(value)


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def _parts(offer: Offer) -> list[str]:
    """The vendor's names of what an offer sells: of fal the path of each task, of all others the model."""
    if offer.endpoint == "fal":
        return list(dict.fromkeys(route.path.strip("/") for route in offer.routes.values()))
    return [offer.vendor_model] if offer.vendor_model else []


def _names(part: str, offer: Offer) -> list[str]:
    """What the map may call it, the first that is there; OpenAI's models stand there without a first part, too."""
    prefixes = [theirs for theirs, ours in ENDPOINTS.items() if ours == offer.endpoint]
    names = [f"{prefix}/{part}" for prefix in prefixes]
    return [*names, part] if offer.endpoint == "openai" else names


def _as_one(rates: list[Rates | str], *, all_there: bool) -> Rates | str:
    """What is said of every task at once; why not, where that differs."""
    first = rates[0]
    if isinstance(first, str):
        return first
    for other in rates[1:]:
        if isinstance(other, str):
            return other
        if (other.base, other.tiers) != (first.base, first.tiers):
            return "the source's rates differ by task, and here they do not"
    return first if all_there else "the source has rates for some of its tasks alone"


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _wrong(source: str, why: str) -> CatalogError:
    return CatalogError(f"{source}: {why} Nothing was changed.", file=source)
