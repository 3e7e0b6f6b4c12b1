"""Keeping doors: whether an offer is left alone now, because what was bought there of late has failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from vidorch.contract import Clock
from vidorch.doors import LOOKS_BACK, MOST, Door, Try, door_of, says_something
from vidorch.errors import ProviderFailed, VidorchError
from vidorch.ledger.ledger import Ledger
from vidorch.offer import Offer
from vidorch.offloop import in_thread
from vidorch.result import Job

__all__ = ["Doorkeeper"]

FRESH_FOR = 30.0
"""Seconds that what was read of other processes' jobs is good for."""
PROBE_FOR = 60.0
"""Seconds that a probe keeps others out before it is written down."""


@dataclass(slots=True)
class _Read:
    """What the ledger said: no tries where none of them has failed, which is nearly always."""

    tries: list[Try]
    at: float
    stale: bool = False


class Doorkeeper:
    """Knows the doors of this ledger. One for a client."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._read: dict[tuple[str, str], _Read] = {}
        self._probing: dict[tuple[str, str, str], float] = {}

    async def keeps_out(self, offer: Offer, scope: str) -> VidorchError | None:
        """Why nothing is to be bought there now; None where it may be. Whoever is let in at a shut door is its probe."""
        if not offer.outlives_caller or offer.price.rule == "free":
            return None
        read = await self._of(offer.endpoint, scope)
        door = door_of(read.tries, offer.model)
        if door is None:
            return None
        now, what = self._clock.now(), (offer.endpoint, scope, offer.model)
        if door.lets_in(now) and now > self._probing.get(what, 0.0) + PROBE_FOR:
            self._probing[what] = now
            return None
        return _why(offer, door)

    def saw(self, job: Job) -> None:
        """A job has come to rest: what was read before that says nothing any more."""
        read = self._read.get((job.endpoint, job.scope))
        if read is not None and (read.tries or job.state != "settled"):
            read.stale = True
            self._probing.pop((job.endpoint, job.scope, job.model), None)

    async def _of(self, endpoint: str, scope: str) -> _Read:
        now, read = self._clock.now(), self._read.get((endpoint, scope))
        if read is None or read.stale or now > read.at + FRESH_FOR:
            tries = await in_thread(
                lambda: self._ledger.tries(endpoint, scope, since=now - LOOKS_BACK, limit=MOST)
            )
            if not any(map(says_something, tries)):
                tries = []
            read = self._read[endpoint, scope] = _Read(tries, now)
        return read


def _why(offer: Offer, door: Door) -> VidorchError:
    at = datetime.fromtimestamp(door.until, UTC).strftime("%H:%M:%S")
    who = f"{offer.endpoint} has refused the account" if door.account else f"{offer.name} has failed"
    return ProviderFailed(
        f"{who} {door.failures} times in a row ({door.error}): it is left alone until {at} UTC. Nothing was sent.",
        hint="`vidorch jobs list` shows them. Name another model, or try again then.",
        charged=False, retryable=True, provider=offer.provider,
    )  # fmt: skip
