"""Keeping doors: whether an offer is left alone now, because what was bought there of late has failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from vidorch.contract import Clock
from vidorch.doors import LOOKS_BACK, MOST, Door, Try, door_of, refuses_account, says_something
from vidorch.engine.fingerprints import Fingerprints
from vidorch.errors import ProviderFailed, VidorchError
from vidorch.ledger.ledger import Ledger
from vidorch.offer import Offer
from vidorch.offloop import in_thread
from vidorch.result import Job

__all__ = ["Doorkeeper", "Probe"]

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


What = tuple[str, str, str]
"""A door: endpoint, scope, model."""


class Probe:
    """Whoever was let in at a shut door, to see how it goes there. Nobody else is, until that is known."""

    def __init__(self, probing: dict[What, Probe], what: What, at: float) -> None:
        self.at = at
        self._probing = probing
        self._what = what
        probing[what] = self

    def give_back(self) -> None:
        """It bought nothing after all: the next one may try."""
        if self._probing.get(self._what) is self:
            del self._probing[self._what]


class Doorkeeper:
    """Knows the doors of this ledger. One for a client.

    Args:
        secret_of: (offer, scope) -> credential, asked where one was refused before.
    """

    def __init__(
        self, ledger: Ledger, clock: Clock, secret_of: Callable[[Offer, str], str | None], fingerprints: Fingerprints
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._clock = clock
        self._secret_of = secret_of
        self._fingerprints = fingerprints
        self._read: dict[tuple[str, str], _Read] = {}
        self._probing: dict[What, Probe] = {}

    async def ask(self, offer: Offer, scope: str) -> VidorchError | Probe | None:
        """Why nothing is to be bought there now; None where it may be.

        Returns:
            A `Probe` for whoever is let in at a shut door, to be given back where nothing is bought.
        """
        if not offer.outlives_caller or offer.price.rule == "free":
            return None
        read = await self._of(offer.endpoint, scope)
        door = door_of(read.tries, offer.model, await self._credential(read, offer, scope))
        if door is None:
            return None
        now, what = self._clock.now(), (offer.endpoint, scope, offer.model)
        probing = self._probing.get(what)
        if door.lets_in(now) and (probing is None or now > probing.at + PROBE_FOR):
            return Probe(self._probing, what, now)
        return _why(offer, door)

    def saw(self, job: Job) -> None:
        """A job has come to rest: what was read before that says nothing any more."""
        read = self._read.get((job.endpoint, job.scope))
        if read is not None and (read.tries or job.state != "settled"):
            read.stale = True
            self._probing.pop((job.endpoint, job.scope, job.model), None)

    async def fingerprint(self, secret: str | None) -> str:
        """What is kept of a credential that was refused."""
        return await in_thread(self._fingerprints.of, secret)

    async def _credential(self, read: _Read, offer: Offer, scope: str) -> str:
        """What stands for the credential of now, where that could open a door."""
        if not any(map(refuses_account, read.tries)):
            return ""
        try:
            secret = self._secret_of(offer, scope)
        except Exception:  # it will say so itself where it is wanted for a submit
            return ""
        return await self.fingerprint(secret)

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
    other = "Set another credential, name" if door.account else "Name"
    return ProviderFailed(
        f"{who} {door.failures} times in a row ({door.error}): it is left alone until {at} UTC. Nothing was sent.",
        hint=f"`vidorch jobs list` shows them. {other} another model, or try again then.",
        charged=False, retryable=True, provider=offer.provider,
    )  # fmt: skip
