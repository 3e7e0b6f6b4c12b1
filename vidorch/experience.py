"""How long clips took here, for estimates and routes: by model, size and length, from jobs that are over."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from vidorch.inputs import without_secrets
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
    """A job that gave its clip: what was bought, the seconds it took, and where these went, both as JSON."""

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
    @property
    def timings(self) -> str: ...


class Seen(NamedTuple):
    """Seconds that such clips took: the tenth, the half and the nineteenth twentieth of them, and of how many.

    Attributes:
        work: the same of the work alone, without waiting for it and bringing it home: what hours of hardware are counted by.
    """

    seconds: Range[float]
    clips: int
    work: Range[float] | None = None


class Experience:
    """What a ledger knows of latencies.

    Args:
        read: gives the newest finished jobs, newest first; called once, at first use.
    """

    def __init__(self, read: Callable[[], Sequence[Past]]) -> None:
        self._read = read
        self._by_offer: dict[tuple[str, str, str], list[Past]] | None = None

    def of(self, offer: Offer, request: Request, task: str, device: str = "") -> Seen | None:
        """How long clips of this model, task, size, length, steps and vendor's own settings took; None where too few are known.

        Args:
            request: as bought, every field filled. device: the class of the machine, for work on one's own.
        """
        if self._by_offer is None:
            self._by_offer = {}
            for one in self._read():
                self._by_offer.setdefault((one.endpoint, one.model, one.task), []).append(one)
        past = self._by_offer.get((offer.endpoint, offer.model, task), ())
        hours = offer.price.rule == "hours"
        wanted = _Kind(offer, request, device)
        took, worked = [], []
        for one in past:
            if wanted.covers(json.loads(one.settings)):
                took.append(one.seconds)
                if hours:
                    worked.append(_work_of(one))
                if len(took) == NEWEST:
                    break
        if len(took) < FEWEST:
            return None
        return Seen(_spread(took), len(took), _spread(worked) if worked else None)


class _Kind:
    """What clips have in common that take about as long."""

    def __init__(self, offer: Offer, request: Request, device: str) -> None:
        self._offer = offer
        self._request = request
        self._device = device
        self._usual = None if offer.weights is None else offer.weights.defaults.get("steps")
        self._own = self._said_to_it({"extra": _as_written(request.extra)})

    def covers(self, settings: dict[str, Any]) -> bool:
        """Whether a clip was of this kind, by what was bought."""
        return (
            _is_alike(settings, self._request)
            and self._steps(settings.get("steps")) == self._steps(self._request.steps)
            and self._said_to_it(settings) == self._own
            and settings.get("device", "") == self._device
        )

    def _steps(self, given: Any) -> Any:
        return self._usual if given is None else given

    def _said_to_it(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """What was passed on untouched to this endpoint or its provider, such as a preset."""
        extra = settings.get("extra") or {}
        return {**extra.get(self._offer.provider, {}), **extra.get(self._offer.endpoint, {})}


def _as_written(extra: Mapping[str, Any]) -> Any:
    """As the ledger has it."""
    return json.loads(json.dumps(without_secrets(extra), default=str)) if extra else {}


def _work_of(one: Past) -> float:
    """Seconds of the work itself; all of them where nobody wrote down where they went."""
    worked = json.loads(one.timings or "{}").get("run")
    return float(worked) if worked else one.seconds


def _spread(took: list[float]) -> Range[float]:
    took.sort()
    return Range(_part(took, 0.1), _part(took, 0.5), _part(took, 0.95))


def _is_alike(settings: Mapping[str, Any], request: Request) -> bool:
    if settings.get("resolution") != request.resolution:
        return False
    if request.resolution is None and settings.get("size") != (list(request.size) if request.size else None):
        return False
    length, wanted = settings.get("duration"), request.duration
    if length is None or wanted is None:
        return length is wanted
    return abs(float(length) - wanted) <= ALIKE * wanted


def _part(took: Sequence[float], part: float) -> float:
    """The least of them that this part of them does not exceed."""
    return took[min(int(part * len(took)), len(took) - 1)]
