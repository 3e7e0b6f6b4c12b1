"""`AsyncClient`: everything vidorch does, for code that runs in an event loop."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack

from vidorch.budget import Budget
from vidorch.call import Call, Options
from vidorch.client.allowing import AllowedInputs
from vidorch.client.batch import AT_ONCE, Batch, Line
from vidorch.client.books import Books
from vidorch.client.configured import configuration
from vidorch.client.handle import AsyncRun
from vidorch.client.market import Credentials, Market, credentials_of, own_hosts
from vidorch.client.pricing import Pricing
from vidorch.client.weighing import Weighing
from vidorch.clock import Ids, RealClock, SharedClock
from vidorch.config import EndpointSettings
from vidorch.config.keys import stored_keys
from vidorch.contract import Clock, Endpoint, Provider
from vidorch.databases import DatabaseUrl
from vidorch.engine.asked import Asked
from vidorch.errors import (
    InvalidRequest,
    VidorchError,
    shown,
)
from vidorch.experience import Past
from vidorch.home import home_folder, ledger_path
from vidorch.http import Http
from vidorch.offloop import awaited, in_thread
from vidorch.registry import Registry
from vidorch.request import Request
from vidorch.result import Result
from vidorch.surroundings import surroundings

if TYPE_CHECKING:
    import httpx

    from vidorch.catalog.layers import Layer


__all__ = ["AsyncClient", "AsyncRun"]


class AsyncClient(Weighing, Pricing, Books):
    """Makes video from prompts. Opens nothing until it is used.

    Args:
        ledger: path of the ledger (SQLite), or the URL of one that several machines share (`postgresql://USER@HOST/DATABASE`, see
            docs/shared.md). Default: `ledger.db` in the home folder.
        home: folder for clips and the ledger. Default: `VIDORCH_HOME`, else the user's data folder.
        catalog: a path or mapping laid over the shipped catalog; or a `Catalog`, which is taken as it is.
        endpoints: configured instances of providers by name, such as a server of one's own. Each provider has one of its own
            name; its base URL may also stand in `VIDORCH_NAME_BASE_URL`.
        providers: ready-made providers by name, before the installed ones.
        credentials: gives the secret for a scope and an endpoint; or the secrets of the scope "default", by endpoint. Default:
            environment variables, for that scope.
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
        super().__init__()
        given = credentials_of(credentials)
        world = surroundings()
        config = configuration(world)
        self._home = home_folder(world.home if world is not None and home is None else home)
        self._ledger_place = ledger_path(
            config.ledger if ledger is None and home is None else ledger, self._home
        )
        self._registry = Registry(providers if world is None else world.providers(providers, catalog))
        self._budgets = _budgets(budget)
        self._resumes = resume
        if not isinstance(private_hosts, str):  # one name by itself is a mistake, and said by `Http`
            own: dict[str, Endpoint | EndpointSettings] = {**config.endpoints, **(endpoints or {})}
            private_hosts = [*config.private_hosts, *private_hosts, *own_hosts(own)]
        self._http = Http(
            http,
            proxy=config.proxy if proxy is None else proxy,
            ca_bundle=config.ca_bundle if ca_bundle is None else ca_bundle,
            private_hosts=private_hosts,
        )
        shared = isinstance(self._ledger_place, DatabaseUrl)
        usual: Clock = (SharedClock() if shared else RealClock()) if world is None else world.clock
        self._clock: Clock = clock or usual
        self._market = Market(
            catalog, registry=self._registry, credentials=given, clock=self._clock, world=world, endpoints=endpoints,
            inputs=AllowedInputs.of(local_inputs, config.input_urls if input_urls is None else input_urls), config=config,
            stored=stored_keys if world is None else dict, finished=self._finished_jobs,
        )  # fmt: skip
        self._ids = Ids(self._clock)
        self._credentials = given
        self._world = world
        if world is not None:
            world.made(self)

    def _finished_jobs(self) -> Sequence[Past]:
        """What the ledger knows of latencies, where it is there already: looking opens no database that is not."""
        if isinstance(self._ledger_place, Path) and not self._ledger_place.exists():
            return ()
        from vidorch.ledger.glance import finished_jobs

        return finished_jobs(self._ledger_place)

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
        self, prompts: Iterable[Line], *, at_once: int = AT_ONCE, **options: Unpack[Options]
    ) -> list[Result | VidorchError]:
        """Make one run for each line, side by side, and wait for all. See `generate_as_completed`.

        Returns:
            In order, the result of each line, or the error that it ended with.

        Raises:
            OverBudget: the lines together do not fit. InvalidRequest, Unsupported, ...: a line cannot be served.
                Nothing was sent.
        """
        coming = self.generate_as_completed(prompts, at_once=at_once, **options)
        found = {place: outcome async for place, outcome in coming}
        return [found[place] for place in sorted(found)]

    async def generate_as_completed(
        self, prompts: Iterable[Line], *, at_once: int = AT_ONCE, **options: Unpack[Options]
    ) -> AsyncGenerator[tuple[int, Result | VidorchError], None]:
        """Make one run for each line, and give each result as it comes; nothing of a line is kept after that.

        It is one call: `max_cost` and the default cap hold for all lines together, and every line is checked before the first
        is sent. With `key=`, each line has a key of its own, `key/1`, `key/2`, ..., so that the same call made again joins what
        was made and sends only what provably was not. Whoever stops asking lets go: what is at a vendor goes on there, and no
        other line is begun.

        Args:
            prompts: prompts, ready `Request`s, or mappings of options with `prompt` among them, for one line alone
                (`{"prompt": "a boat", "model": "veo-3.1", "key": "boat"}`).
            at_once: lines that are under way, or have ended and were not asked for yet, at the same time; 1 to 10,000.
            options: as for `generate`, for every line that does not say otherwise. `timeout` is that of each line, from when it
                is begun. A file cannot be the `output` of several; in a folder, names begin with the number of the line.

        Yields:
            The place of a line, counted from 0, and its result, or the error that it ended with.

        Raises:
            OverBudget: the lines together do not fit. KeyConflict: a line is not the one of its key.
            InvalidRequest, Unsupported, ...: a line cannot be served; the message has its number, counted from 1.
                Nothing was sent.
        """
        from vidorch.client.completing import begin, completed

        batch = await self.weigh_batch(prompts, at_once=at_once, **options)
        if not batch.lines:
            return
        async with aclosing(completed(self, batch, await begin(self, batch))) as coming:
            async for ended in coming:
                yield ended

    async def weigh_batch(
        self, prompts: Iterable[Line], *, at_once: int = AT_ONCE, numbers: Sequence[int] = (),
        tell: Callable[[int, int], object] | None = None, **options: Unpack[Options],
    ) -> Batch:  # fmt: skip
        """Everything `generate_many` checks before it writes or sends anything: what a face needs before it asks its user.

        Args:
            numbers: what errors call the lines. Default: 1, 2, ... tell: told now and then how many of how many are checked.

        Raises:
            VidorchError: as `generate_many` would.
        """
        batch = Batch.of(prompts, options, self._market.parse, at_once, numbers)
        await batch.weigh(self.prepare, tell=tell)
        return batch

    async def begin(self, request: Request, call: Call) -> AsyncRun:
        """Start a run and return as soon as it is written down: what a face needs that can be interrupted at any moment.

        Raises:
            VidorchError: as `submit`; nothing was sent.
        """
        plan, estimate = await self._planned(request, call)
        return await self._begin(Asked(request, call, plan, estimate))

    async def _begin(self, asked: Asked) -> AsyncRun:
        from vidorch.engine.paying import sending_nothing
        from vidorch.engine.sources import made_from

        if asked.call.detach and not all(entry.offer.outlives_caller for entry in asked.entries):
            raise InvalidRequest(
                "detach=True is for hosted models: work inside this process ends with it. Nothing was made.", field="detach",
                value=True, allowed="a hosted model",
            )  # fmt: skip
        with sending_nothing():
            engine = await self._open(free=not asked.entries[0].spending)
            if any(media.job_id for _, media in asked.request.media()):
                known = await in_thread(
                    made_from, self._opened_ledger(), asked.request, asked.call.scope, asked.entries
                )
                asked = replace(asked, made_from=known)
            run_id, joined = await engine.start(asked)
        return AsyncRun(self, run_id, engine.live.get(run_id), asked, joined)

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


def _budgets(given: Budget | Sequence[Budget]) -> tuple[Budget, ...]:
    many = (given,) if isinstance(given, Budget) else tuple(given)
    if not all(isinstance(one, Budget) for one in many):
        raise InvalidRequest(
            f"budget={shown(given)} cannot be used. Allowed is a vidorch.Budget, or several.", field="budget", value=given,
            allowed="a vidorch.Budget, or several",
        )  # fmt: skip
    return many
