"""What every driver of jobs needs, in one place: the ledger, time, providers, endpoints, secrets and waiting lines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vidorch.budget import Budget
from vidorch.clock import Ids
from vidorch.contract import Clock, Context, Endpoint, Provider
from vidorch.engine.bell import Bell
from vidorch.engine.fingerprints import Fingerprints
from vidorch.engine.hosts import Host
from vidorch.engine.keeping import Doorkeeper
from vidorch.engine.lines import Line, account_of
from vidorch.engine.purchase import Purchase
from vidorch.engine.telemetry import Telemetry
from vidorch.http import Http
from vidorch.http.addresses import is_on_this_machine
from vidorch.latencies import Took
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.slots import Account
from vidorch.offer import Latency, Offer
from vidorch.offloop import in_thread
from vidorch.polling import Experience, Schedule
from vidorch.price import Hour
from vidorch.result import Job

__all__ = ["Services"]

NO_LIMIT = 100_000
FRESH_FOR = 900.0
SHIPPED = "shipped"
IN_PROCESS = 0.5
"""Seconds between two looks at work in our own process, at most: they cost nothing, and people watch it."""


@dataclass(slots=True)
class _Known:
    """What the ledger knows of an offer's latencies, and when it was asked."""

    experience: Experience
    read_at: float


def callback_url(webhook: str | None, token: str) -> str | None:
    """Where the vendor calls for one job: the caller's URL, with the job's token behind it."""
    if webhook is None:
        return None
    return f"{webhook}{'&' if '?' in webhook else '?'}token={token}"


@dataclass(slots=True)
class Services:
    """Shared by every run of a client.

    Attributes:
        provider_of: gives the provider of a name. endpoints: by name. secret_of: (offer, scope) -> credential, asked at use.
        bell: who waits for word from vendors. offers: the catalog's, by `endpoint/model`. budgets: the client's own.
        http: the only sockets. telemetry: where runs and jobs are told of.
    """

    ledger: Ledger
    clock: Clock
    ids: Ids
    host: Host
    home: Path
    provider_of: Callable[[str], Provider]
    endpoints: Mapping[str, Endpoint]
    secret_of: Callable[[Offer, str], str | None]
    offers: Callable[[], Mapping[str, Offer]]
    http: Http
    bell: Bell
    hour: Callable[[Offer], Hour] = lambda _: Hour(None)
    budgets: Sequence[Budget] = ()
    mock: bool = False
    telemetry: Telemetry = field(default_factory=Telemetry)
    doors: Doorkeeper = field(init=False)
    _slots: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    _lines: dict[Account, Line] = field(default_factory=dict)
    _known: dict[tuple[str, str, str], _Known] = field(default_factory=dict)
    _reading: dict[tuple[str, str, str], asyncio.Lock] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.doors = Doorkeeper(self.ledger, self.clock, self.secret_of, Fingerprints(self.home))

    def endpoint(self, name: str, provider: str) -> Endpoint:
        """The endpoint of that name; one that nobody configured has its provider's defaults."""
        return self.endpoints.get(name) or Endpoint(name, provider)

    def slots(self, endpoint: Endpoint) -> asyncio.Semaphore:
        """Free work at an endpoint of this process: as much at once as its `concurrency` says."""
        line = self._slots.get(endpoint.name)
        if line is None:
            line = self._slots[endpoint.name] = asyncio.Semaphore(endpoint.concurrency or NO_LIMIT)
        return line

    def line(self, job: Job, offer: Offer) -> Line | None:
        """Where a job waits for its turn at an account that has limits; None where there are none, or it is free work in here."""
        where = self.endpoint(job.endpoint, job.provider)
        account = account_of(where, job.scope, offer)
        if not account.limited or offer.price.rule == "free":
            return None
        if account not in self._lines:
            self._lines[account] = Line(account, self.clock)
        return self._lines[account]

    def context(self, job: Job, purchase: Purchase, folder: Path, *, like: Context | None = None) -> Context:
        """What one call to a provider may use; the secret is read at this moment.

        Args:
            like: what the call before it on this job used, which is given again when its secret is still the same.
        """
        secret = self.secret_of(purchase.offer, job.scope)
        if like is not None and like.secret == secret:
            return like
        return Context(
            endpoint=self.endpoint(job.endpoint, job.provider), clock=self.clock, job_id=job.id, folder=folder,
            secret=secret, http=self.http, route=purchase.route, samples=purchase.samples, scope=job.scope,
            webhook=callback_url(purchase.webhook, job.token), made_from=purchase.settings.get("made_from") or {},
        )  # fmt: skip

    def may_speak_for(self, job: Job, purchase: Purchase) -> bool:
        """Whether the scope's credential for this job's endpoint is here."""
        return not purchase.offer.variables or self.secret_of(purchase.offer, job.scope) is not None

    async def latencies(self, offer: Offer, task: str) -> Sequence[float]:
        """Seconds that jobs like this took, newest first, read from the ledger every few minutes."""
        return [took.seen for took in (await self._experience(offer, task)).took]

    async def schedule(self, offer: Offer, task: str) -> Schedule:
        """When to look at a job of this offer."""
        known = offer.latency
        if offer.layer == SHIPPED and is_on_this_machine(
            self.endpoint(offer.endpoint, offer.provider).base_url
        ):
            known = Latency()  # a stand-in for the vendor: how long the vendor takes says nothing of it
        return (await self._experience(offer, task)).schedule(
            offer.min_poll, expected=known.expected, low=known.low, high=known.high,
            longest=None if offer.outlives_caller else IN_PROCESS,
        )  # fmt: skip

    async def _experience(self, offer: Offer, task: str) -> Experience:
        what = offer.endpoint, offer.model, task
        if (known := self._fresh(what)) is not None:
            return known
        # Of many jobs that begin together one reads, and the others wait for that.
        async with self._reading.setdefault(what, asyncio.Lock()):
            if (known := self._fresh(what)) is not None:
                return known
            took = await in_thread(self.ledger.latencies, offer.endpoint, offer.model, task=task)
            now, before = self.clock.now(), self._known.get(what)
            if before is None:
                before = self._known[what] = _Known(Experience(took), now)
            else:
                before.experience.reread(took)
                before.read_at = now
            return before.experience

    def _fresh(self, what: tuple[str, str, str]) -> Experience | None:
        known = self._known.get(what)
        return None if known is None or self.clock.now() > known.read_at + FRESH_FOR else known.experience

    def took(self, offer: Offer, task: str, took: Took) -> None:
        """Learn from a job that has just finished."""
        if (known := self._known.get((offer.endpoint, offer.model, task))) is not None:
            known.experience.learn(took)
