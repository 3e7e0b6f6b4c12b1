"""How long clips took here, for estimates and routes: by model, size and length, from jobs that are over."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from vidorch.offer import Offer
from vidorch.price import Range
from vidorch.request import Request

__all__ = ["FEWEST", "Experience", "Past", "Seen"]

FEWEST = 3
"""So many clips of a kind have to be known before they count for more than the catalog's range."""
NEWEST = 50
"""Vendors change their machines: older ones say nothing."""
ALIKE = 0.25
"""The part by which a clip may be longer or shorter and still be of the same kind."""


class Past(Protocol):
    """A job that gave its clip: what was bought, as JSON, and the seconds it took."""

    @property
    def endpoint(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def settings(self) -> str: ...
    @property
    def seconds(self) -> float: ...


class Seen(NamedTuple):
    """Seconds that such clips took: the tenth, the half and the nineteenth twentieth of them, and of how many."""

    seconds: Range[float]
    clips: int


class Experience:
    """What a ledger knows of latencies.

    Args:
        read: gives the newest finished jobs, newest first; called once, at first use.
    """

    def __init__(self, read: Callable[[], Sequence[Past]]) -> None:
        self._read = read
        self._by_offer: dict[tuple[str, str, str], list[Past]] | None = None

    def of(self, offer: Offer, request: Request, task: str) -> Seen | None:
        """How long clips of this model, task, size and length took; None where too few are known.

        Args:
            request: as bought, every field filled.
        """
        if self._by_offer is None:
            self._by_offer = {}
            for one in self._read():
                self._by_offer.setdefault((one.endpoint, one.model, one.task), []).append(one)
        past = self._by_offer.get((offer.endpoint, offer.model, task), ())
        took = []
        for one in past:
            if _is_alike(json.loads(one.settings), request):
                took.append(one.seconds)
                if len(took) == NEWEST:
                    break
        if len(took) < FEWEST:
            return None
        took.sort()
        return Seen(Range(_part(took, 0.1), _part(took, 0.5), _part(took, 0.95)), len(took))


def _is_alike(settings: dict[str, Any], request: Request) -> bool:
    if settings.get("resolution") != request.resolution:
        return False
    length, wanted = settings.get("duration"), request.duration
    if length is None or wanted is None:
        return length is wanted
    return abs(float(length) - wanted) <= ALIKE * wanted


def _part(took: Sequence[float], part: float) -> float:
    """The least of them that this part of them does not exceed."""
    return took[min(int(part * len(took)), len(took) - 1)]
