"""`AsyncClient`: everything vidorch does, for code that runs in an event loop."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import warnings
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from vidorch.budget import Budget, BudgetState
from vidorch.call import Call, EstimateOptions, Options
from vidorch.catalog import Catalog
from vidorch.client.allowing import AllowedInputs
from vidorch.client.handle import AsyncRun
from vidorch.client.market import Credentials, Market, own_hosts
from vidorch.clock import Ids, RealClock
from vidorch.contract import Clock, Context, Endpoint, Health, Provider
from vidorch.engine.asked import Asked
from vidorch.errors import (
    InvalidRequest,
    LedgerUnavailable,
    OverBudget,
    VidorchError,
    shown,
)
from vidorch.estimating import Estimate
from vidorch.home import home_folder, ledger_path
from vidorch.http import Http
from vidorch.money import show_usd, usd
from vidorch.offloop import awaited, in_thread, written
from vidorch.planning import Plan, estimate_of
from vidorch.registry import Registry
from vidorch.request import Request
from vidorch.result import Job, Received, Result
from vidorch.surroundings import surroundings

if TYPE_CHECKING:
    import httpx

    from vidorch.engine.byhand import ByHand
    from vidorch.engine.runs import Engine
    from vidorch.ledger.ledger import Ledger, Pruned

__all__ = ["AsyncClient", "AsyncRun"]

AT_ONCE = 256
"""Lines of a batch that are under way at the same time."""


class AsyncClient:
    """Makes video from prompts. Opens nothing until it is used.

    Args:
        ledger: path of the ledger (SQLite). Default: `ledger.db` in the home folder.
        home: folder for clips and the ledger. Default: `VIDORCH_HOME`, else the user's data folder.
        catalog: a path or mapping laid over the shipped catalog.
        endpoints: configured instances of providers by name, such as a server of one's own. Each provider has one of its own
            name; its base URL may also stand in `VIDORCH_NAME_BASE_URL`.
        providers: ready-made providers by name, before the installed ones.
        credentials: gives the secret for a scope and an endpoint. Default: environment variables, for scope "default".
        budget: one `Budget` or several that hold for every paid call of this client, beside those of the ledger.
        resume: take up, when the first call is made, every run that nobody carries.
        http: an `httpx.AsyncClient` that providers' calls go through, instead of vidorch's own sockets. It stays yours to close.
        proxy: URL of an HTTP proxy. Default: the environment's (`HTTPS_PROXY`, `NO_PROXY`, ...); `""` for none.
        ca_bundle: certificates to trust instead of the system's. Default: `SSL_CERT_FILE`.
        private_hosts: names, addresses and networks that results may come from although they are not public. The hosts of
            configured base URLs are among them.
        local_inputs: False for a server whose requests come from others: inputs may not be paths then, bytes and pictures may.
        input_urls: base URLs that inputs may come from, such as `["https://cdn.example.com/"]`. Default: any.
        clock: time, for tests.

    Raises:
        InvalidRequest: one of these cannot be used.

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
        endpoints: Mapping[str, Endpoint] | None = None,
        providers: Mapping[str, Provider] | None = None,
        credentials: Credentials | None = None,
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
        world = surroundings()
        self._home = home_folder(world.home if world is not None and home is None else home)
        self._ledger_path = ledger_path(ledger, self._home)
        self._registry = Registry(providers if world is None else world.providers(providers, catalog))
        self._budgets = _budgets(budget)
        self._resumes = resume
        if not isinstance(private_hosts, str):  # one name by itself is a mistake, and said by `Http`
            private_hosts = [*private_hosts, *own_hosts(endpoints)]
        self._http = Http(http, proxy=proxy, ca_bundle=ca_bundle, private_hosts=private_hosts)
        self._clock: Clock = clock or (RealClock() if world is None else world.clock)
        self._market = Market(
            catalog, registry=self._registry, credentials=credentials, inputs=AllowedInputs.of(local_inputs, input_urls),
            clock=self._clock, world=world, endpoints=endpoints,
        )  # fmt: skip
        self._ids = Ids(self._clock)
        self._ledger: Ledger | None = None
        self._engine: Engine | None = None
        self._opening = asyncio.Lock()
        self._planned_once: set[tuple[Any, ...]] = set()
        self._credentials = credentials
        self._closed = False
        self._world = world
        if world is not None:
            world.made(self)

    # -- before anything is spent -----------------------------------------------------------------------------------

    async def estimate(self, prompt: str | Request, **options: Unpack[EstimateOptions]) -> Estimate:
        """What a request would cost and how long it would take. Spends nothing, needs no key and no network.

        Raises:
            InvalidRequest, Unsupported, Retired: as `generate` would.
            OverBudget: the high estimate does not fit `max_cost`.
        """
        return await in_thread(lambda: self.estimate_now(prompt, **options))

    def estimate_now(self, prompt: str | Request, **options: Unpack[EstimateOptions]) -> Estimate:
        """`estimate` without a loop: it only computes."""
        request, call = self._market.parse(prompt, options)
        plan = self._market.plan(request, call, to_run=False)
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
        request, call = self._market.parse(prompt, options)
        models = call.models or tuple(name for name in self.catalog.names())
        estimate = estimate_of(self._market.plan(request, replace(call, models=models), to_run=False))
        lines = sorted(estimate.lines, key=lambda line: (line.cost.expected, line.offer))
        return replace(estimate, lines=tuple(lines))

    async def plan(self, prompt: str | Request, **options: Unpack[EstimateOptions]) -> Plan:
        """The offers that can serve a request, in order, and for each one left out the reason. Spends nothing."""
        request, call = self._market.parse(prompt, options)
        return await in_thread(self._market.plan, request, call, to_run=False)

    @property
    def catalog(self) -> Catalog:
        """All offers, in their layers."""
        return self._market.catalog

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
        request, call = self._market.parse(prompt, options)
        if call.detach:
            raise InvalidRequest(
                "detach=True goes with submit, which hands back the run; generate waits for it.", field="detach", value=True,
                allowed="submit(..., detach=True)",
            )  # fmt: skip
        run = await self.begin(request, call)
        return await run.wait(call.timeout)

    async def submit(self, prompt: str | Request, **options: Unpack[Options]) -> AsyncRun:
        """Start a run and return once every candidate's first submission is accepted, rejected or unknown, with the ids on disk.

        With `detach=True` it is let go of then: `vidorch jobs resume` takes it up, or a client anywhere that asks for it.

        Raises:
            VidorchError: see `generate`; nothing was sent unless it says so.
        """
        request, call = self._market.parse(prompt, options)
        run = await self.begin(request, call)
        await run.submitted()
        if call.detach:
            await run.detach()
        return run

    async def generate_many(
        self, prompts: Iterable[str | Request], **options: Unpack[Options]
    ) -> list[Result | VidorchError]:
        """Make one run for each prompt, side by side, and wait for all.

        It is one call: `max_cost` and the default cap hold for all lines together. With `key=`, each line has a key of its
        own, `key/1`, `key/2`, ..., so that the same call made again pays for nothing twice.

        Returns:
            In order, the result of each line, or the error that it ended with.

        Raises:
            OverBudget: the lines together do not fit. InvalidRequest, Unsupported, ...: a line cannot be served.
                Nothing was sent.
        """
        from vidorch.engine.paying import sending_nothing

        lines = [self._market.parse(prompt, options) for prompt in prompts]
        if not lines:
            return []
        call = lines[0][1]
        planned = [await in_thread(self.prepare, request, one) for request, one in lines]
        with sending_nothing():
            engine = await self._open(
                free=all(plan.entries[0].offer.price.rule == "free" for plan, _ in planned)
            )
            parent = await engine.begin_batch(call, [plan for plan, _ in planned])
        gate = asyncio.Semaphore(AT_ONCE)
        results = await asyncio.gather(
            *(
                self._line(gate, parent, number, request, one, *planned[number])
                for number, (request, one) in enumerate(lines)
            )
        )
        await engine.close_batch(parent)
        return results

    async def _line(
        self,
        gate: asyncio.Semaphore,
        parent: str,
        number: int,
        request: Request,
        call: Call,
        plan: Plan,
        estimate: Estimate,
    ) -> Result | VidorchError:
        key = None if call.key is None else f"{call.key}/{number + 1}"
        async with gate:
            try:
                run = await self._begin(
                    Asked(request, replace(call, key=key), plan, estimate, parent, number)
                )
                return await run.wait(call.timeout)
            except VidorchError as error:
                return error

    async def check(self, endpoint: str, *, scope: str = "default") -> Health:
        """Whether an endpoint answers and takes the credential, the one that a submit of this scope would carry. Costs nothing.

        Raises:
            Unsupported: there is no such endpoint, or its provider is not installed.
            VidorchError: it could not be asked.
        """
        from vidorch.engine.errand import typed
        from vidorch.engine.masking import mask, masked

        if self._closed:
            raise closed()
        where = self._market.endpoints.get(endpoint) or Endpoint(endpoint, endpoint)
        provider = self._registry.get(where.provider)
        secret = self._market.secret_at(where.name, scope)
        context = Context(
            endpoint=where, clock=self._clock, job_id="check", folder=self._home, secret=secret, http=self._http, scope=scope,
        )  # fmt: skip
        try:
            health = await provider.check(context)
        except Exception as error:
            told = typed(error, where.provider, sent=False)
            mask(told, secret)
            told.charged = False
            raise told from told.__cause__
        return replace(health, detail=masked(health.detail, secret) if secret else health.detail)

    async def handle_webhook(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        body: bytes,
        url: str | None = None,
        *,
        scope: str = "default",
    ) -> Received:
        """Take in what a vendor sent to the URL that was given as `webhook=`. Call it from your web server, and answer 200.

        The delivery is verified the vendor's own way (Kling and Google sign nothing that is known: the job's token in the URL
        stands for it), written down once, and whoever waits for its job, in whichever process of this ledger, looks at once.
        It is only ever a hint to look: what it says of the result is not believed.

        Args:
            endpoint: whose webhook it is, such as "fal". headers: as they came. body: the raw bytes. url: the whole URL that was
                called, with its query: the token is in it. scope: whose secret it is verified with.

        Raises:
            InvalidRequest: it cannot be believed; answer 401. Unsupported: this provider sends none.
            MissingCredentials: what verifies it is missing. LedgerUnavailable: answer 500, and the vendor sends it again.
        """
        if self._closed:
            raise closed()
        if not isinstance(body, (bytes, bytearray, memoryview)):
            raise InvalidRequest("body= has to be the raw bytes that came: a signature holds for nothing else.", field="body",
                                 allowed="bytes")  # fmt: skip
        from vidorch.engine.masking import mask

        where = self._market.endpoints.get(endpoint) or Endpoint(endpoint, endpoint)
        provider = self._registry.get(where.provider)
        secret = self._market.secret_at(where.name, scope)
        context = Context(
            endpoint=where, clock=self._clock, job_id="webhook", folder=self._home, http=self._http, scope=scope, secret=secret,
        )  # fmt: skip
        content = bytes(body)
        plain = {str(name).lower(): str(value) for name, value in headers.items()}
        try:
            delivery = await provider.parse_webhook(context, plain, content, url)
        except Exception as error:
            mask(error, secret)  # a vendor that was asked for its keys may have said ours back
            raise
        engine = await self._open(free=False)
        return await engine.receive(where, scope, delivery, hashlib.sha256(content).hexdigest())

    async def begin(self, request: Request, call: Call) -> AsyncRun:
        """Start a run and return as soon as it is written down: what a face needs that can be interrupted at any moment.

        Raises:
            VidorchError: as `submit`; nothing was sent.
        """
        plan, estimate = await self._planned(request, call)
        return await self._begin(Asked(request, call, plan, estimate))

    async def _planned(self, request: Request, call: Call) -> tuple[Plan, Estimate]:
        """`prepare`, on this thread where that is certain to take less than going to another one and back."""
        if not self._is_quick(request, call):
            planned = await in_thread(self.prepare, request, call)
            if _names_alone(call):
                self._planned_once.add((call.models, call.scope))
            return planned
        return self.prepare(request, call)

    def _is_quick(self, request: Request, call: Call) -> bool:
        """Whether a plan opens no file and asks nobody: what has to be loaded for its models was loaded for one like it."""
        return (
            self._credentials is None
            and call.output is None
            and _names_alone(call)
            and (call.models, call.scope) in self._planned_once
            and not any(request.media())
        )

    async def _begin(self, asked: Asked) -> AsyncRun:
        from vidorch.engine.paying import sending_nothing

        if asked.call.detach and not all(entry.offer.outlives_caller for entry in asked.entries):
            raise InvalidRequest(
                "detach=True is for hosted models: work inside this process ends with it. Nothing was made.", field="detach",
                value=True, allowed="a hosted model",
            )  # fmt: skip
        with sending_nothing():
            engine = await self._open(free=asked.entries[0].offer.price.rule == "free")
            run_id, joined = await engine.start(asked)
        return AsyncRun(self, run_id, engine.live.get(run_id), asked, joined)

    def prepare(self, request: Request, call: Call) -> tuple[Plan, Estimate]:
        """Everything `submit` checks before it writes or sends anything: what a face needs before it asks its user. Blocks.

        Raises:
            VidorchError: as `submit` would.
        """
        from vidorch.engine.targets import target_of

        plan = self._market.plan(request, call, to_run=True)
        plan.require()
        if self._world is not None:
            self._world.planned(plan)
        _look_inside(request)
        # A taken name is said before anybody is asked to pay; the run of a key may have put its own clip there.
        target_of(call.output, call.overwrite, self._home, again=call.key is not None)
        return plan, estimate_of(plan)

    async def _open(self, *, free: bool) -> Engine:
        """The engine, with its ledger open. Free work runs without a ledger on disk; nothing else does."""
        async with self._opening:
            if self._closed:
                raise closed()
            if self._engine is not None:
                return self._engine
            from vidorch.engine.bell import Bell
            from vidorch.engine.hosts import this_host
            from vidorch.engine.runs import Engine
            from vidorch.engine.services import Services
            from vidorch.ledger.ledger import Ledger

            home = self._home
            try:
                self._ledger = await in_thread(Ledger, self._ledger_path)
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
                Services(
                    ledger=self._ledger,
                    clock=self._clock,
                    ids=self._ids,
                    host=this_host(self._ids),
                    home=home,
                    provider_of=self._registry.get,
                    endpoints=self._market.endpoints,
                    secret_of=self._market.secret,
                    offers=lambda: self._market.offers,
                    http=self._http,
                    bell=Bell(self._ledger, self._clock, self._ids),
                    budgets=self._budgets,
                    mock=self._world is not None,
                )
            )
            if self._resumes:
                await self._engine.resume()
            return self._engine

    # -- afterwards -------------------------------------------------------------------------------------------------

    async def run(self, run_id: str) -> AsyncRun:
        """A run by its id, of this process or another.

        Raises:
            InvalidRequest: there is none in this ledger.
        """
        engine = await self._open(free=False)
        if (live := engine.live.get(run_id)) is not None:
            return AsyncRun(self, run_id, live, live.asked)
        ledger = self._opened_ledger()
        if await in_thread(ledger.run, run_id) is None:
            raise InvalidRequest(
                f"There is no run {run_id!r} in this ledger.",
                field="run_id",
                value=run_id,
                allowed="an id from `vidorch jobs list`",
            )
        return AsyncRun(self, run_id, None, None)

    async def resume(self, run_id: str | None = None, *, without: Collection[str] = ()) -> list[AsyncRun]:
        """Take up every run that nobody carries (or the one named): poll, fetch, settle. Nothing is ever submitted by this.

        Args:
            without: ids of runs to leave alone, such as those that could not be brought home a moment ago.

        Returns:
            Handles on the runs that were taken up; they go on in the background until this client is closed.

        Raises:
            InvalidRequest: there is no run of that id.
        """
        engine = await self._open(free=False)
        if run_id is not None:
            await self.run(run_id)
        return [AsyncRun(self, live.id, live, None) for live in await engine.resume(run_id, without=without)]

    async def cancel(self, run_or_job_id: str) -> None:
        """Ask a job to end, or every open job of a run, whoever carries it. What was already paid stays paid.

        Of a run nothing more is begun; when one of its jobs is cancelled, the others go on. Whether and when a job ended, and
        what the vendor took for it, is in the ledger as soon as somebody has looked: `(await client.job(id)).state`.

        Raises:
            InvalidRequest: there is no such run or job; the job has ended, or nobody knows its id at the vendor; or it works
                inside another process, which alone can stop it.
            VidorchError: a vendor could not be asked, or cannot cancel.
        """
        from vidorch.ledger.moves import ENDS, State

        engine = await self._open(free=False)
        ledger = self._opened_ledger()
        job = await in_thread(ledger.job, run_or_job_id)
        if job is None and await in_thread(ledger.run, run_or_job_id) is None:
            raise InvalidRequest(
                f"There is no run or job {run_or_job_id!r} in this ledger.", field="id", value=run_or_job_id,
                allowed="an id from `vidorch jobs list`",
            )  # fmt: skip
        if job is not None and State(job.state) in (*ENDS, State.UNKNOWN):
            unknown = job.state == State.UNKNOWN
            raise InvalidRequest(
                f"The job {job.id} is {job.state} and cannot be cancelled"
                f"{': nobody knows its id at the vendor' if unknown else ''}. Nothing was changed.",
                hint=f"When you know it: vidorch jobs adopt {job.id} ID" if unknown else "",
                field="id", value=job.id, allowed="a job that is at work", run_id=job.run_id, job_id=job.id,
            )  # fmt: skip
        await engine.cancel(run_or_job_id if job is None else job.run_id, None if job is None else job.id)

    async def adopt(self, job_id: str, remote_id: str) -> Job:
        """Say which job at the vendor an `unknown` one is. It is polled and fetched by the next resume.

        A wrong id is put right by the same call with the right one, as long as nothing came of the wrong one.

        Raises:
            InvalidRequest: there is no such job, its id is known from the vendor, or another job of the ledger owns that id.
        """
        return await self._by_hand(job_id, lambda hand, job: hand.adopt(job, remote_id))

    async def settle(self, job_id: str, charged: Decimal | str | int | None) -> Job:
        """Close a job by hand with what it cost in USD, or as not charged (None).

        It is for jobs that are `unknown` or `lost`, for those whose cost was assumed, and for those that were adopted by hand
        and gave nothing.

        Raises:
            InvalidRequest: there is no such job, or nothing about it is open.
        """
        amount = None if charged is None else usd(charged, "charged")
        return await self._by_hand(job_id, lambda hand, job: hand.settle(job, amount))

    async def _by_hand(self, job_id: str, act: Callable[[ByHand, Job], Awaitable[Job]]) -> Job:
        from vidorch.engine.byhand import ByHand

        job = await self.job(job_id)
        return await act(ByHand(self._opened_ledger(), self._clock), job)

    async def prune(self, before: float | datetime) -> Pruned:
        """Forget runs that ended before a day. What they cost stays counted in budgets, and their files stay where they are."""
        until = before.timestamp() if isinstance(before, datetime) else float(before)
        await self._open(free=False)
        return await in_thread(self._opened_ledger().prune, until, self._clock.now())

    async def set_budget(self, budget: Budget) -> None:
        """Keep a budget in the ledger: it holds for every paid call of its scope, from any process."""
        await self._open(free=False)
        await written(self._opened_ledger().set_budget(budget, self._clock.now()))

    async def remove_budget(self, name: str, scope: str | None = None) -> bool:
        """Take a budget out of the ledger. False when there was none."""
        await self._open(free=False)
        removed: Future[bool] = self._opened_ledger().remove_budget(name, scope)
        return await written(removed)

    async def budgets(self, scope: str | None = None) -> list[BudgetState]:
        """The ledger's budgets, with what is spent, held and left of each."""
        await self._open(free=False)
        return await in_thread(self._opened_ledger().budgets, self._clock.now(), scope)

    async def job(self, job_id: str) -> Job:
        """A job by its id, as the ledger has it.

        Raises:
            InvalidRequest: there is none in this ledger.
        """
        await self._open(free=False)
        job = await in_thread(self._opened_ledger().job, job_id)
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
        return await in_thread(lambda: self._opened_ledger().jobs(state=state, limit=limit))

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
                await awaited(engine.aclose())
        finally:
            try:
                await self._registry.aclose()
                await self._http.aclose()
            finally:
                if ledger is not None:
                    ledger.close()  # on this thread: at the end of the interpreter there are no others to be had

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def closed() -> RuntimeError:
    """What using a closed client raises: a mistake in the program, not in the request."""
    return RuntimeError(
        "This vidorch client is closed. Make a new one; client.run(id) there finds every run of this ledger."
    )


def _budgets(given: Budget | Sequence[Budget]) -> tuple[Budget, ...]:
    many = (given,) if isinstance(given, Budget) else tuple(given)
    if not all(isinstance(one, Budget) for one in many):
        raise InvalidRequest(
            f"budget={shown(given)} cannot be used. Allowed is a vidorch.Budget, or several.", field="budget", value=given,
            allowed="a vidorch.Budget, or several",
        )  # fmt: skip
    return many


def _names_alone(call: Call) -> bool:
    """Whether its models are plain names; a `Choice` may bring media of its own."""
    return all(isinstance(model, str) for model in call.models)


def _can_write(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)


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
