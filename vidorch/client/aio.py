"""`AsyncClient`: everything vidorch does, for code that runs in an event loop."""

from __future__ import annotations

import asyncio
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from vidorch.call import Call, EstimateOptions, Options, parse
from vidorch.catalog import Catalog, load
from vidorch.clock import Ids, RealClock
from vidorch.contract import Admission, Clock, Context, Endpoint, Health, Provider
from vidorch.errors import InvalidRequest, LedgerUnavailable, OverBudget, TimedOut, VidorchError
from vidorch.estimating import Estimate
from vidorch.home import home_folder, ledger_path
from vidorch.money import show_usd
from vidorch.offer import Offer
from vidorch.planning import Plan, estimate_of
from vidorch.registry import Registry
from vidorch.request import Request
from vidorch.result import Event, Job, Progress, Result
from vidorch.routing import make_plan

if TYPE_CHECKING:
    from vidorch.engine.runs import Engine, LiveRun
    from vidorch.inputs import Media
    from vidorch.ledger.ledger import Ledger

__all__ = ["AsyncClient", "AsyncRun"]

Credentials = Callable[[str, str], "str | None"]
"""(scope, endpoint) -> secret, asked at use and never stored."""


class AsyncClient:
    """Makes video from prompts. Opens nothing until it is used.

    Args:
        ledger: path of the ledger (SQLite). Default: `ledger.db` in the home folder.
        home: folder for clips and the ledger. Default: `VIDORCH_HOME`, else the user's data folder.
        catalog: a path or mapping laid over the shipped catalog.
        providers: ready-made providers by name, before the installed ones.
        credentials: gives the secret for a scope and an endpoint. Default: environment variables, for scope "default".
        clock: time, for tests.

    Example:
        >>> async with AsyncClient() as client:  # doctest: +SKIP
        ...     result = await client.generate("a red ball rolling left")
    """

    def __init__(
        self,
        *,
        ledger: str | os.PathLike[str] | None = None,
        home: str | os.PathLike[str] | None = None,
        catalog: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        providers: Mapping[str, Provider] | None = None,
        credentials: Credentials | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._home = home_folder(home)
        self._ledger_path = ledger_path(ledger, self._home)
        self._catalog_argument = catalog
        self._registry = Registry(providers)
        self._credentials = credentials
        self._clock: Clock = clock or RealClock()
        self._ids = Ids(self._clock)
        self._catalog: Catalog | None = None
        self._ledger: Ledger | None = None
        self._engine: Engine | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    # -- before anything is spent -----------------------------------------------------------------------------------

    async def estimate(self, prompt: str | Request, **options: Unpack[EstimateOptions]) -> Estimate:
        """What a request would cost and how long it would take. Spends nothing, needs no key and no network.

        Raises:
            InvalidRequest, Unsupported, Retired: as `generate` would.
            OverBudget: the high estimate does not fit `max_cost`.
        """
        return await asyncio.to_thread(lambda: self.estimate_now(prompt, **options))

    def estimate_now(self, prompt: str | Request, **options: Unpack[EstimateOptions]) -> Estimate:
        """`estimate` without a loop: it only computes."""
        request, call = parse(prompt, options)
        plan = self._plan(request, call, to_run=False)
        plan.require()
        estimate = estimate_of(plan)
        if call.max_cost is not None and estimate.cost is not None and estimate.cost.high > call.max_cost:
            raise OverBudget(
                f"This may cost up to {show_usd(estimate.cost.high)} and max_cost is {show_usd(call.max_cost)}. "
                "Nothing was sent.",
                needed=estimate.cost.high, available=call.max_cost,
            )  # fmt: skip
        return estimate

    def compare(self, prompt: str | Request, **options: Unpack[EstimateOptions]) -> Estimate:
        """The estimate for every model of the catalog that can serve a request (or for those named), cheapest first."""
        request, call = parse(prompt, options)
        models = call.models or tuple(name for name in self.catalog.names())
        estimate = estimate_of(self._plan(request, replace(call, models=models), to_run=False))
        lines = sorted(estimate.lines, key=lambda line: (line.cost.expected, line.offer))
        return replace(estimate, lines=tuple(lines))

    async def plan(self, prompt: str | Request, **options: Unpack[EstimateOptions]) -> Plan:
        """The offers that can serve a request, in order, and for each one left out the reason. Spends nothing."""
        request, call = parse(prompt, options)
        return await asyncio.to_thread(self._plan, request, call, to_run=False)

    def _plan(self, request: Request, call: Call, *, to_run: bool) -> Plan:
        catalog = self.catalog
        offers = catalog.offers
        plan = make_plan(
            request,
            call.models,
            catalog=catalog,
            endpoints=self._endpoints(offers),
            installed=self._registry.names(),
            has_credentials=lambda offer: self._has_credentials(offer, call.scope),
            admit=self._admit,
            today=self._today(),
            to_run=to_run,
            image_size=_image_size,
        )
        if catalog.warnings:
            plan = replace(plan, notes=(*plan.notes, *catalog.warnings))
        return plan

    @property
    def catalog(self) -> Catalog:
        """All offers, in their layers."""
        if self._catalog is None:
            self._catalog = load(self._catalog_argument)
        return self._catalog

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock.now(), UTC).date()

    def _endpoints(self, offers: tuple[Offer, ...]) -> dict[str, Endpoint]:
        cores = os.cpu_count() or 1
        return {
            offer.endpoint: Endpoint(
                offer.endpoint, offer.provider, concurrency=cores if offer.provider == "local" else None
            )
            for offer in offers
        }

    def _admit(self, offer: Offer, request: Request) -> Admission:
        if offer.provider not in self._registry.names():
            return Admission()
        return self._registry.get(offer.provider).admit(request, offer)

    def _has_credentials(self, offer: Offer, scope: str) -> bool:
        if not offer.variables:
            return True
        if self._credentials is not None:
            return self._credentials(scope, offer.endpoint) is not None
        if scope != "default":
            return False
        if any(os.environ.get(name) for name in offer.variables):
            return True
        if offer.provider not in self._registry.names():
            return False
        try:
            return self._registry.get(offer.provider).finds_credentials(offer)
        except VidorchError:  # its package is missing, which the plan says in its own words
            return False

    # -- making -----------------------------------------------------------------------------------------------------

    async def generate(self, prompt: str | Request, **options: Unpack[Options]) -> Result:
        """Make a clip and wait for it.

        Args:
            prompt: what to show, or a ready `Request`.
            options: see `vidorch.call.Options` and `vidorch.Request`.

        Returns:
            The result; `result.clip` is always there.

        Raises:
            VidorchError: see `vidorch.errors`; nothing was sent unless it says so.
            TimedOut: `timeout` seconds are over. The run goes on in this process; `client.run(error.run_id)` gets it back.
        """
        request, call = parse(prompt, options)
        run = await self._start(request, call)
        return await run.wait(call.timeout)

    async def submit(self, prompt: str | Request, **options: Unpack[Options]) -> AsyncRun:
        """Start a run and return once every candidate's first submission is accepted, rejected or unknown."""
        request, call = parse(prompt, options)
        run = await self._start(request, call)
        await run._submitted()
        return run

    async def check(self, endpoint: str) -> Health:
        """Whether an endpoint answers and takes the credential. Costs nothing.

        Raises:
            Unsupported: there is no such endpoint, or its provider is not installed.
        """
        if self._closed:
            raise closed()
        where = self._endpoints(self.catalog.offers).get(endpoint) or Endpoint(endpoint, endpoint)
        context = Context(endpoint=where, clock=self._clock, job_id="check", folder=self._home)
        return await self._registry.get(where.provider).check(context)

    async def _start(self, request: Request, call: Call) -> AsyncRun:
        plan, estimate = await asyncio.to_thread(self._prepare, request, call)
        engine = await self._open(free=plan.entries[0].offer.price.rule == "free")
        live = await engine.start(request, call, plan, estimate)
        return AsyncRun(self, live.id, live)

    def _prepare(self, request: Request, call: Call) -> tuple[Plan, Estimate]:
        from vidorch.engine.targets import target_of

        plan = self._plan(request, call, to_run=True)
        plan.require()
        _look_inside(request)
        target_of(
            call.output, call.overwrite, self._home
        )  # a taken name is said before anybody is asked to pay
        return plan, estimate_of(plan)

    async def _open(self, *, free: bool) -> Engine:
        """The engine, with its ledger open. Free work runs without a ledger on disk; nothing else does."""
        async with self._opening:
            if self._closed:
                raise closed()
            if self._engine is not None:
                return self._engine
            from vidorch.engine.hosts import this_host
            from vidorch.engine.runs import Engine
            from vidorch.ledger.ledger import Ledger

            home = self._home
            try:
                self._ledger = await asyncio.to_thread(Ledger, self._ledger_path)
            except LedgerUnavailable as error:
                if not free:
                    raise
                if not _can_write(home):
                    home = Path(tempfile.mkdtemp(prefix="vidorch-"))
                warnings.warn(
                    f"{error} This run costs nothing, so it goes on without a record; files go to {home}.",
                    stacklevel=2,
                )
                self._ledger = Ledger(None)
            self._engine = Engine(
                ledger=self._ledger,
                provider_of=self._registry.get,
                endpoints=self._endpoints(self.catalog.offers),
                clock=self._clock,
                ids=self._ids,
                home=home,
                host=this_host(self._ids),
            )
            return self._engine

    # -- afterwards -------------------------------------------------------------------------------------------------

    async def run(self, run_id: str) -> AsyncRun:
        """A run by its id, of this process or another.

        Raises:
            InvalidRequest: there is none in this ledger.
        """
        engine = await self._open(free=False)
        if (live := engine.live.get(run_id)) is not None:
            return AsyncRun(self, run_id, live)
        ledger = self._opened_ledger()
        if await asyncio.to_thread(ledger.run, run_id) is None:
            raise InvalidRequest(
                f"There is no run {run_id!r} in this ledger.",
                field="run_id",
                value=run_id,
                allowed="an id from `vidorch jobs list`",
            )
        return AsyncRun(self, run_id, None)

    async def job(self, job_id: str) -> Job:
        """A job by its id, as the ledger has it.

        Raises:
            InvalidRequest: there is none in this ledger.
        """
        await self._open(free=False)
        job = await asyncio.to_thread(self._opened_ledger().job, job_id)
        if job is None:
            raise InvalidRequest(
                f"There is no job {job_id!r} in this ledger.",
                field="job_id",
                value=job_id,
                allowed="an id from `vidorch jobs list`",
            )
        return job

    async def jobs(self, *, state: str | None = None, limit: int = 100) -> list[Job]:
        """Jobs, newest first."""
        await self._open(free=False)
        return await asyncio.to_thread(lambda: self._opened_ledger().jobs(state=state, limit=limit))

    def _opened_ledger(self) -> Ledger:
        if self._ledger is None:
            raise closed()
        return self._ledger

    async def aclose(self) -> None:
        """Let go: in-process work ends, everything else stays open in the ledger. Harmless when repeated.

        After that only what computes alone still works: `estimate`, `plan`, `compare`. The rest raises RuntimeError.
        """
        self._closed = True
        engine, self._engine = self._engine, None
        ledger, self._ledger = self._ledger, None
        try:
            if engine is not None:
                await engine.aclose()
        finally:
            try:
                await self._registry.aclose()
            finally:
                if ledger is not None:
                    ledger.close()  # on this thread: at the end of the interpreter there are no others to be had

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


class AsyncRun:
    """A handle on a run: of this process while it is live, and by the ledger afterwards."""

    def __init__(self, client: AsyncClient, run_id: str, live: LiveRun | None) -> None:
        self.id = run_id
        self._client = client
        self._live = live

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    @property
    def _ledger(self) -> Ledger:
        return self._client._opened_ledger()

    async def state(self) -> str:
        """open, waiting, finished, failed or cancelled."""
        row = await asyncio.to_thread(self._ledger.run, self.id)
        return str(row["state"]) if row else "unknown"

    @property
    def progress(self) -> float | None:
        """0 to 1 over all candidates; None while nothing is known."""
        latest = self._latest
        return latest.fraction if latest else None

    @property
    def eta(self) -> float | None:
        """Seconds left; None while nothing is known."""
        latest = self._latest
        return latest.eta if latest else None

    @property
    def _latest(self) -> Progress | None:
        return self._live.progress if self._live is not None else None

    async def jobs(self) -> list[Job]:
        """Its jobs, in order of candidates."""
        return await asyncio.to_thread(lambda: self._ledger.jobs(run_id=self.id))

    async def events(self) -> list[Event]:
        """Its history, oldest first."""
        return await asyncio.to_thread(self._ledger.events, self.id)

    async def _submitted(self) -> None:
        if self._live is not None:
            await self._live.submitted()

    async def wait(self, timeout: float | None = None) -> Result:
        """Wait for the result.

        Raises:
            TimedOut: `timeout` seconds are over; the run goes on.
            VidorchError: it failed; see `generate`.
        """
        from vidorch.engine.results import read_result
        from vidorch.engine.strays import wait_for_other_process

        try:
            async with asyncio.timeout(timeout):
                if self._live is not None:
                    return await self._live.wait()
                await wait_for_other_process(self._ledger, self.id, self._client._clock)
                return await asyncio.to_thread(read_result, self._ledger, self.id)
        except TimeoutError as error:
            if isinstance(error, TimedOut):
                raise
            raise TimedOut(
                f"The run {self.id} is not finished after {timeout:g} s. It goes on while this process lives.",
                hint=f"Get it back with client.run({self.id!r}), or look at it with: vidorch jobs show {self.id}",
                run_id=self.id,
            ) from None

    async def result(self) -> Result:
        """The result of a finished run; waits if it is not."""
        return await self.wait()

    async def cancel(self) -> None:
        """Ask every open job of this run to end. What was already paid stays paid.

        Raises:
            InvalidRequest: the run belongs to another process.
        """
        if self._live is None:
            raise InvalidRequest(
                f"The run {self.id} is not of this process and cannot be cancelled from here.",
                field="run_id",
                value=self.id,
            )
        await self._live.cancel()


def closed() -> RuntimeError:
    """What using a closed client raises: a mistake in the program, not in the request."""
    return RuntimeError(
        "This vidorch client is closed. Make a new one; client.run(id) there finds every run of this ledger."
    )


def _can_write(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)


def _image_size(image: Media) -> tuple[int, int] | None:
    """Width and height of an image that lies here; None for one elsewhere."""
    if image.url is not None:
        return None
    from vidorch import media

    info = media.probe(image.path if image.path is not None else image.read())
    return info.width, info.height


def _look_inside(request: Request) -> None:
    """Decode what lies here before anything is spent on it: a file can start like a picture and not be one."""
    from vidorch import media

    for _, item in request.media():
        if item.url is not None:
            continue
        source = item.path if item.path is not None else item.read()
        if item.kind == "image":
            media.load_still(source)
        else:
            media.probe(source)
