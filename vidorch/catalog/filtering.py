"""Which offers of the catalog do what is wanted, by one and the same way of buying from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vidorch.errors import InvalidRequest, shown
from vidorch.money import usd
from vidorch.offer import Capabilities, Offer, Route
from vidorch.price import is_sold, price_at
from vidorch.request import TASKS, Request, nearest_name

if TYPE_CHECKING:
    from vidorch.catalog.layers import Catalog

__all__ = ["COMPARED_SECONDS", "Match", "Way", "matching", "ways_of"]

COMPARED_SECONDS = Decimal(5)
"""Rates are compared for a clip of this length, or of the legal length nearest to it; of two equally near, the longer."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to buy a clip from an offer.

    Attributes:
        task: the route. resolution: None where the offer has none to choose. audio: whether the clip has sound.
        seconds: length of the clip that is compared; None for a still. rate: USD that a second of it comes to, as expected:
            all that it costs, divided by its seconds. None where no price is known, and for a still.
    """

    task: str
    resolution: str | None
    audio: bool
    seconds: Decimal | None
    rate: Decimal | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; numbers as text."""
        return {
            "task": self.task, "resolution": self.resolution, "audio": self.audio,
            "seconds": None if self.seconds is None else f"{self.seconds:f}",
            "rate": None if self.rate is None else f"{self.rate:f}",
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Match:
    """An offer that passed, and the cheapest of its ways that did; None of an offer that has no way that can be bought."""

    offer: Offer
    way: Way | None


def matching(
    catalog: Catalog, *, task: str | None = None, audio: bool | None = None, resolution: str | None = None,
    under: Any = None, live_on: date | str | None = None, family: str | None = None, endpoint: str | None = None,
    ready: Callable[[Offer], bool] | None = None,
) -> tuple[Match, ...]:  # fmt: skip
    """See `Catalog.filter`."""
    _among("task", task, TASKS)
    _among("family", family, (offer.family for offer in catalog.offers))
    _among("endpoint", endpoint, (offer.endpoint for offer in catalog.offers))
    if resolution is not None:
        resolution = Request(prompt="any", resolution=resolution).resolution
    most = None if under is None else usd(under, "under")
    day = _day("live_on", live_on)
    of_ways = any(one is not None for one in (task, audio, resolution, most))
    found = []
    for offer in catalog.offers:
        if family not in (None, offer.family) or endpoint not in (None, offer.endpoint):
            continue
        if day is not None and offer.lifecycle.said_dead_on(day):
            continue
        ways = [
            way
            for way in ways_of(offer)
            if task in (None, way.task)
            and audio in (None, way.audio)
            and resolution in (None, way.resolution)
            and (most is None or (way.rate is not None and way.rate < most))
        ]
        if (of_ways and not ways) or (ready is not None and not ready(offer)):
            continue
        found.append(Match(offer, min(ways, key=_dearness, default=None)))
    return tuple(found)


def ways_of(offer: Offer) -> Iterator[Way]:
    """Every way to buy from an offer: task, resolution and sound. What its table of prices has no row for is not sold."""
    for route in offer.routes.values():
        for resolution in route.capabilities.resolutions or (None,):
            for audio in _sounds(route.capabilities):
                way = _way(offer, route, resolution, audio=audio)
                if way is not None:
                    yield way


def _way(offer: Offer, route: Route, resolution: str | None, *, audio: bool) -> Way | None:
    still = route.task == "image"
    seconds = None if still else _length(offer, route, resolution)
    facts = {
        "resolution": resolution, "audio": audio, "task": route.task, "references": route.task == "reference-to-video",
        "duration": seconds, "pixels": _most_pixels(route, resolution),
        "fps": route.capabilities.fps[0] if route.capabilities.fps else None,
    }  # fmt: skip
    priced = price_at(offer, facts, input_seconds=None if still else COMPARED_SECONDS)
    if priced.cost is None and offer.price.rule == "table":
        return None
    shown_seconds = None if still else COMPARED_SECONDS if seconds is None else seconds
    if priced.cost is None or shown_seconds is None:
        return Way(route.task, resolution, audio, shown_seconds, None)
    rate = (priced.cost.expected / shown_seconds).quantize(Decimal("0.000001")).normalize()
    return Way(route.task, resolution, audio, shown_seconds, rate)


def _most_pixels(route: Route, resolution: str | None) -> int | None:
    """Of a frame, in the largest of the sizes that this resolution has; None where the vendor fixes none."""
    sizes = [size for name, size in route.capabilities.sizes.items() if name.partition(" ")[0] == resolution]
    return max((width * height for width, height in sizes), default=None)


def _length(offer: Offer, route: Route, resolution: str | None) -> Decimal | None:
    """Seconds of the clip that is compared; None where it lasts as long as its source."""
    legal = route.capabilities.durations
    lengths = (choice for choice in legal.choices if is_sold(offer, route, resolution, choice))
    nearest = min(lengths, key=lambda choice: (abs(choice - COMPARED_SECONDS), -choice), default=None)
    return legal.nearest(COMPARED_SECONDS) if nearest is None else nearest


def _sounds(capabilities: Capabilities) -> tuple[bool, ...]:
    return {"off": (False,), "on": (True,), "switch": (False, True)}[capabilities.audio]


def _dearness(way: Way) -> tuple[bool, Decimal]:
    return way.rate is None, way.rate or Decimal(0)


def _among(field: str, given: str | None, names: Iterable[str]) -> None:
    if given is None:
        return
    known = tuple(dict.fromkeys(names))
    if given not in known:
        nearest = nearest_name(given, known)
        meant = f" Did you mean {nearest}?" if nearest else ""
        raise InvalidRequest(
            f"There is no {field} {shown(given)}.{meant} Allowed are: {', '.join(known)}.",
            field=field, value=given, allowed=", ".join(known),
        )  # fmt: skip


def _day(field: str, given: date | str | None) -> date | None:
    if given is None or type(given) is date:
        return given
    try:
        return date.fromisoformat(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        allowed = "a day, such as 2026-12-31"
        raise InvalidRequest(
            f"{field}={shown(given)} cannot be used. Allowed is {allowed}.", field=field, value=given, allowed=allowed
        ) from None  # fmt: skip
