"""`Client`: the blocking face. Every method is the one of `AsyncClient`, run on a background loop."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self, Unpack

from vidorch.budget import Budget, BudgetState
from vidorch.call import Call, EstimateOptions, Options
from vidorch.catalog import Catalog
from vidorch.client.aio import AsyncClient
from vidorch.client.batch import AT_ONCE, Line
from vidorch.client.handle import AsyncRun
from vidorch.client.market import Credentials
from vidorch.client.opening import closed
from vidorch.client.portal import Portal
from vidorch.contract import Clock, Endpoint, Health, Provider, RemoteJob
from vidorch.errors import VidorchError
from vidorch.estimating import BatchEstimate, Estimate
from vidorch.planning import Plan
from vidorch.request import Request
from vidorch.result import Event, Job, Progress, Received, Result
from vidorch.spend import By, Spend

if TYPE_CHECKING:
    import httpx

    from vidorch.catalog.layers import Layer
    from vidorch.catalog.updating import PriceUpdate
    from vidorch.ledger.ledger import Pruned

__all__ = ["Client", "Run"]

_OPEN: set[Client] = set()  # held fast: a client that nobody refers to may still have work to end at exit
_OF_THE_PARENT: list[object] = []
_warned_of_loop = False


class Client:
    """Makes video from prompts, blocking. Thread-safe; one event loop on a thread of its own, started at first use.

    A forked child starts its own loop and opens the ledger anew; the parent's runs are not its own, but it can look at them.

    Args:
        as for `AsyncClient`, but for one: an `httpx.AsyncClient` given as `http=` is used on that thread alone, and handed
        over. Its connections belong to the loop there, so closing this client closes it; nobody else may use it meanwhile,
        and a forked child has to make its own.

    Example:
        >>> with Client() as client:  # doctest: +SKIP
        ...     client.generate("a red ball rolling left").save("ball.mp4")
    """

    def __init__(
        self,
        *,
        ledger: str | os.PathLike[str] | None = None,
        home: str | os.PathLike[str] | None = None,
        catalog: Layer | None = None,
        endpoints: Mapping[str, Endpoint] | None = None,
        providers: Mapping[str, Provider] | None = None,
        credentials: Credentials | Mapping[str, str] | None = None,
        budget: Budget | Sequence[Budget] = (),
        resume: bool = False,
        http: httpx.AsyncClient | None = None,
        proxy: str | None = None,
        ca_bundle: str | os.PathLike[str] | None = None,
        private_hosts: Iterable[str] = (),
        local_inputs: bool = True,
        input_urls: Iterable[str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        once = [
            list(many) if many is not None and not isinstance(many, str) else many
            for many in (private_hosts, input_urls)
        ]
        self._settings: dict[str, Any] = {
            "ledger": ledger, "home": home, "catalog": catalog, "endpoints": endpoints, "providers": providers,
            "credentials": credentials, "budget": budget, "resume": resume, "http": http, "proxy": proxy, "ca_bundle": ca_bundle,
            "private_hosts": once[0], "local_inputs": local_inputs, "input_urls": once[1], "clock": clock,
        }  # fmt: skip
        self._closed = False
        self._fresh()

    def _fresh(self) -> None:
        self._portal = Portal()
        self._inner = AsyncClient(**self._settings)

    def _ready(self) -> AsyncClient:
        if self._closed:
            raise closed()
        _OPEN.add(self)
        _warn_inside_a_loop()
        return self._inner

    @property
    def catalog(self) -> Catalog:
        """All offers, in their layers."""
        return self._inner.catalog

    def estimate(self, prompt: str | Request, **options: Unpack[EstimateOptions]) -> Estimate:
        """See `AsyncClient.estimate`."""
        return self._inner.estimate_now(prompt, **options)

    def estimate_many(self, prompts: Iterable[Line], **options: Unpack[EstimateOptions]) -> BatchEstimate:
        """See `AsyncClient.estimate_many`."""
        return self._inner.estimate_many_now(prompts, **options)

    def plan(self, prompt: str | Request, **options: Unpack[EstimateOptions]) -> Plan:
        """See `AsyncClient.plan`."""
        market = self._inner._market
        return market.plan(*market.parse(prompt, options), to_run=False)

    def generate(self, prompt: str | Request, **options: Unpack[Options]) -> Result:
        """See `AsyncClient.generate`."""
        inner = self._ready()
        return self._portal.call(inner.generate, prompt, **options)

    def prepare(self, request: Request, call: Call) -> tuple[Plan, Estimate]:
        """See `AsyncClient.prepare`."""
        return self._inner.prepare(request, call)

    def submit(self, prompt: str | Request, **options: Unpack[Options]) -> Run:
        """See `AsyncClient.submit`."""
        inner = self._ready()
        return Run(self, self._portal.call(inner.submit, prompt, **options))

    def generate_many(
        self, prompts: Iterable[Line], *, at_once: int = AT_ONCE, **options: Unpack[Options]
    ) -> list[Result | VidorchError]:
        """See `AsyncClient.generate_many`."""
        inner = self._ready()
        return self._portal.call(inner.generate_many, prompts, at_once=at_once, **options)

    def generate_as_completed(
        self, prompts: Iterable[Line], *, at_once: int = AT_ONCE, **options: Unpack[Options]
    ) -> Generator[tuple[int, Result | VidorchError], None, None]:
        """See `AsyncClient.generate_as_completed`. Nothing is begun before the first is asked for."""
        inner, portal = self._ready(), self._portal
        coming = inner.generate_as_completed(prompts, at_once=at_once, **options)

        async def following() -> tuple[int, Result | VidorchError] | None:
            return await anext(coming, None)

        try:
            while (ended := portal.call(following)) is not None:
                yield ended
                del ended  # what its reader does not keep is not kept here
        finally:
            if portal.started and self._inner is inner:
                portal.call(coming.aclose)

    def run(self, run_id: str) -> Run:
        """See `AsyncClient.run`."""
        inner = self._ready()
        return Run(self, self._portal.call(inner.run, run_id))

    def resume(self, run_id: str | None = None, *, without: Collection[str] = ()) -> list[Run]:
        """See `AsyncClient.resume`."""
        inner = self._ready()
        return [Run(self, run) for run in self._portal.call(inner.resume, run_id, without=without)]

    def cancel(self, run_or_job_id: str) -> None:
        """See `AsyncClient.cancel`."""
        inner = self._ready()
        self._portal.call(inner.cancel, run_or_job_id)

    def check(self, endpoint: str, *, scope: str = "default") -> Health:
        """See `AsyncClient.check`."""
        inner = self._ready()
        return self._portal.call(inner.check, endpoint, scope=scope)

    def newer_prices(
        self, source: str | os.PathLike[str], *, as_of: date | str | None = None, scope: str = "default"
    ) -> PriceUpdate:
        """See `AsyncClient.newer_prices`."""
        inner = self._ready()
        return self._portal.call(inner.newer_prices, source, as_of=as_of, scope=scope)

    def remote(self, endpoint: str, *, scope: str = "default", limit: int = 100) -> list[RemoteJob]:
        """See `AsyncClient.remote`."""
        inner = self._ready()
        return self._portal.call(inner.remote, endpoint, scope=scope, limit=limit)

    def delete_remote(self, job_id: str, *, only_copy: bool = False) -> bool:
        """See `AsyncClient.delete_remote`."""
        inner = self._ready()
        return self._portal.call(inner.delete_remote, job_id, only_copy=only_copy)

    def handle_webhook(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        body: bytes,
        url: str | None = None,
        *,
        scope: str = "default",
    ) -> Received:
        """See `AsyncClient.handle_webhook`. Safe to call from a web server's own threads."""
        inner = self._ready()
        return self._portal.call(inner.handle_webhook, endpoint, headers, body, url, scope=scope)

    def adopt(self, job_id: str, remote_id: str) -> Job:
        """See `AsyncClient.adopt`."""
        inner = self._ready()
        return self._portal.call(inner.adopt, job_id, remote_id)

    def settle(self, job_id: str, charged: Decimal | str | int | None) -> Job:
        """See `AsyncClient.settle`."""
        inner = self._ready()
        return self._portal.call(inner.settle, job_id, charged)

    def prune(self, before: float | datetime) -> Pruned:
        """See `AsyncClient.prune`."""
        inner = self._ready()
        return self._portal.call(inner.prune, before)

    def set_budget(self, budget: Budget) -> None:
        """See `AsyncClient.set_budget`."""
        inner = self._ready()
        self._portal.call(inner.set_budget, budget)

    def remove_budget(self, name: str, scope: str | None = None) -> bool:
        """See `AsyncClient.remove_budget`."""
        inner = self._ready()
        return self._portal.call(inner.remove_budget, name, scope)

    def budgets(self, scope: str | None = None) -> list[BudgetState]:
        """See `AsyncClient.budgets`."""
        inner = self._ready()
        return self._portal.call(inner.budgets, scope)

    def spend(
        self,
        by: By = "model",
        *,
        since: float | datetime = 0.0,
        until: float | datetime | None = None,
        scope: str | None = None,
    ) -> Spend:
        """See `AsyncClient.spend`."""
        inner = self._ready()
        return self._portal.call(inner.spend, by, since=since, until=until, scope=scope)

    def job(self, job_id: str) -> Job:
        """See `AsyncClient.job`."""
        inner = self._ready()
        return self._portal.call(inner.job, job_id)

    def jobs(self, *, state: str | None = None, limit: int = 100) -> list[Job]:
        """See `AsyncClient.jobs`."""
        inner = self._ready()
        return self._portal.call(inner.jobs, state=state, limit=limit)

    def close(self) -> None:
        """Let go: in-process work ends, everything else stays open in the ledger. Harmless when repeated.

        After that only what computes alone still works: `estimate`, `plan`, `prepare`. The rest raises RuntimeError.
        """
        _OPEN.discard(self)
        self._closed = True
        if self._portal.started:
            try:
                self._portal.call(self._let_go)
            finally:
                self._portal.close()

    async def _let_go(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            if (given := self._settings["http"]) is not None:
                await given.aclose()  # its connections live in this loop, which ends now

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class Run:
    """A handle on a run, blocking. See `AsyncRun`."""

    def __init__(self, client: Client, inner: AsyncRun) -> None:
        self._client = client
        self._inner = inner
        self.id = inner.id

    def __repr__(self) -> str:
        return f"Run({self.id!r})"

    def _now(self) -> AsyncRun:
        inner = self._client._ready()
        if self._inner._client is not inner:  # forked: there it is the run of another process
            self._inner = self._client._portal.call(inner.run, self.id)
        return self._inner

    @property
    def state(self) -> str:
        """open, waiting, finished, failed or cancelled."""
        return self._client._portal.call(self._now().state)

    @property
    def progress(self) -> float | None:
        """0 to 1 over all candidates; None while nothing is known."""
        return self._now().progress

    @property
    def eta(self) -> float | None:
        """Seconds left; None while nothing is known."""
        return self._now().eta

    @property
    def jobs(self) -> list[Job]:
        """Its jobs, in order of candidates."""
        return self._client._portal.call(self._now().jobs)

    @property
    def result(self) -> Result:
        """The result; waits if the run is not finished."""
        return self.wait()

    def events(self) -> list[Event]:
        """Its history, oldest first."""
        return self._client._portal.call(self._now().events)

    def wait(self, timeout: float | None = None) -> Result:
        """Wait for the result. See `AsyncRun.wait`."""
        return self._client._portal.call(self._now().wait, timeout)

    def cancel(self) -> None:
        """Ask every open job of this run to end. See `AsyncRun.cancel`."""
        self._client._portal.call(self._now().cancel)

    def detach(self) -> None:
        """Let go of the run: any process may take it up. See `AsyncRun.detach`."""
        self._client._portal.call(self._now().detach)

    def proceed(
        self,
        *,
        max_cost: str | int | Decimal | None = None,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> None:
        """Send what was not sent yet of a run that is `waiting`. See `AsyncRun.proceed`."""
        self._client._portal.call(self._now().proceed, max_cost=max_cost, on_progress=on_progress)


def _warn_inside_a_loop() -> None:
    """Blocking calls inside a running loop stop that loop; said once. Notebooks run one always, and there it is meant."""
    global _warned_of_loop
    if _warned_of_loop or "IPython" in sys.modules:
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    _warned_of_loop = True
    warnings.warn(
        "vidorch's blocking face was called inside a running event loop, which stands still meanwhile. "
        "Use vidorch.AsyncClient there.",
        stacklevel=4,
    )


def _after_fork() -> None:
    """The parent's threads are not here, and its loop and ledger are not ours to close: they are put aside."""
    for client in list(_OPEN):
        _OF_THE_PARENT.extend((client._portal, client._inner))
        client._fresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _close_all() -> None:
    for client in list(_OPEN):
        with contextlib.suppress(VidorchError):  # one client's trouble is not to keep the others open
            client.close()
