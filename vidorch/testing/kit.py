"""`mock()`: a world in which everything is real but the wire: plan, price, ledger, files. Vendors are scripted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Self

from vidorch import _default, live, offloop
from vidorch import surroundings as world
from vidorch.catalog import Catalog
from vidorch.client import AsyncClient, Client, blocking
from vidorch.contract import Provider
from vidorch.databases import DatabaseUrl
from vidorch.errors import CatalogError
from vidorch.ledger.ledger import Ledger
from vidorch.planning import Plan
from vidorch.registry import GROUP
from vidorch.result import Job
from vidorch.testing.audit import paid_twice
from vidorch.testing.catalog import OWN_OFFERS, frozen
from vidorch.testing.clock import START, Advance, VirtualClock
from vidorch.testing.inprocess import InProcess
from vidorch.testing.remote import Remote
from vidorch.testing.rules import Rule, Rules, Submission

__all__ = ["Mock", "mock"]

CREDENTIAL = "mock-credential"
FOLDER = "mock"
"""Name of a mock's home: a process that is started in one knows it by that, and shares its ledger."""
BOOKS = "vendors.jsonl"
"""File in a mock's home with what only its vendors know."""
IN_PROCESS = frozenset({"local"})
"""Providers that reach no vendor: they stay what they are."""
MOST_JOBS = 1_000_000
_lock = threading.Lock()
_active: Mock | None = None


class Mock:
    """A world for tests. Enter it with `with` (in async tests, too, or with `async with`).

    Inside, `vidorch.generate` and its like, and every client that is made, have a home and a ledger of their own in a
    temporary folder, a clock that costs no time, frozen prices on a frozen day, and vendors that do what `on` says. Clients
    that were given a ledger, a home, a clock, providers or credentials keep those.

    Args:
        catalog: a layer over the frozen catalog, for all clients: a file or a mapping.
        home: a folder instead of a temporary one. free: let time go on by itself; see `VirtualClock`.
        start: seconds since 1970 at which it begins. allow: hosts, or buckets, that vidorch may connect to all the same.

    Attributes:
        home: where ledger and clips are. They stay there as long as this object does.
    """

    def __init__(
        self,
        *,
        catalog: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        home: str | os.PathLike[str] | None = None,
        free: bool = False,
        start: float = START,
        allow: Collection[str] = (),
    ) -> None:
        self._allowed = frozenset([allow] if isinstance(allow, str) else allow)
        if home is None:
            folder = tempfile.mkdtemp(prefix="vidorch-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self.home = Path(folder) / FOLDER
        else:
            self.home = Path(home).absolute()
        self.clock = VirtualClock(start, free=free)
        self.plans: list[Plan] = []
        """Every plan that was made to be carried out, in order."""
        self._layer = catalog
        self._rules = Rules()
        self._remote = Remote(self.clock, self._rules, self.home / BOOKS)
        self._base: Catalog | None = None
        self._names: set[str] = set()
        self._clients: list[weakref.ref[AsyncClient]] = []
        self._ledgers: set[Path | DatabaseUrl] = set()
        self._undo = contextlib.ExitStack()

    # -- what vendors do ------------------------------------------------------------------------------------------------

    def on(
        self,
        *,
        model: str | None = None,
        prompt: str | re.Pattern[str] | Callable[[str], object] | None = None,
        scope: str | None = None,
        call: int | None = None,
    ) -> Rule:
        """A rule for the submits that match; say what happens by its methods: `.fail()`, `.throttle()`, `.hold()`, ...

        The last rule that matches wins, and one with `call=` goes before those without.

        Args:
            model: a model's name, or `"endpoint/model"`. prompt: a part of it, a compiled pattern, or a function of it.
            scope: whose calls. call: only the n-th submit that matches the rest, from 1.

        Raises:
            InvalidRequest: a model that no catalog here has, or a value that cannot be used.
        """
        self.catalog(None)
        return self._rules.on(self._names, model=model, prompt=prompt, scope=scope, call=call)

    # -- time -----------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since 1970, as everything in here sees it."""
        return self.clock.now()

    def advance(self, seconds: float) -> Advance:
        """Let time pass, and everything happen that falls into it. In an event loop: `await m.advance(60)`."""
        return self.clock.advance(seconds)

    # -- what happened --------------------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[Submission]:
        """Every submit that reached for a vendor, in order, whatever came of it."""
        return list(self._remote.submissions)

    @property
    def jobs(self) -> list[Job]:
        """Every job in the ledgers of this mock, oldest first."""
        jobs = [job for ledger in self._open_ledgers() for job in ledger.jobs(limit=MOST_JOBS)]
        return sorted(jobs, key=lambda job: (job.created_at, job.id))

    @property
    def spend(self) -> Decimal:
        """USD that was spent, by the ledgers. What is only reserved is not in it."""
        return sum((job.cost for job in self.jobs if job.billed and job.cost is not None), Decimal(0))

    def assert_never_paid_twice(self) -> None:
        """Compare the vendors' own books with the ledgers.

        Raises:
            AssertionError: some candidate was submitted again while an earlier submit was open, unknown or had brought its
                clip; or a vendor has a job that no ledger knows. The message says which, and lists every submit.
        """
        jobs: dict[str, Job] = {}
        runs: dict[str, Mapping[str, Any]] = {}
        clips: dict[str, set[int]] = {}
        for ledger in self._open_ledgers():
            for job in ledger.jobs(limit=MOST_JOBS):
                jobs[job.id] = job
                if job.run_id in runs:
                    continue
                runs[job.run_id] = ledger.run(job.run_id) or {"options": {}}
                for output in ledger.outputs(job.run_id):
                    if output["state"] == "published":
                        clips.setdefault(output["job_id"], set()).add(output["number"])
        if wrong := paid_twice(self.requests, jobs, runs, clips):
            submits = [
                f"  {one.at:.3f} {one.endpoint}/{one.model} {one.job_id}: {one.answer}"
                for one in self.requests
            ]
            raise AssertionError("\n".join(["Paid twice:", *wrong, "All submits:", *submits]))

    def _open_ledgers(self) -> Iterator[Ledger]:
        """Each once: through a client that has it open, or else from its file."""
        open_now: dict[Path | DatabaseUrl, Ledger] = {}
        for client in self._living():
            if client._ledger is not None:
                client._ledger.flush()
                open_now[client._ledger_place] = client._ledger
        yield from open_now.values()
        for place in sorted(self._ledgers - open_now.keys(), key=str):
            if isinstance(place, Path) and not place.exists():
                continue
            ledger = Ledger(place)
            try:
                yield ledger
            finally:
                ledger.close()

    def _living(self) -> list[AsyncClient]:
        return [client for ref in self._clients if (client := ref()) is not None]

    # -- what clients stand on (vidorch.surroundings) ---------------------------------------------------------------------

    def catalog(self, argument: Any) -> Catalog:
        """The frozen catalog with a client's own layer, or the mock's."""
        if argument is None and self._base is not None:
            return self._base
        catalog = frozen(self._layer if argument is None else argument)
        self._base = catalog if argument is None else self._base
        self._names.update(catalog.names())
        return catalog

    def providers(self, given: Mapping[str, Provider] | None, catalog: Any = None) -> Mapping[str, Provider]:
        """Every hosted provider is the scripted one; those that work in this process are themselves."""
        names = {point.name for point in entry_points(group=GROUP)}
        for layer in (None, catalog):
            with contextlib.suppress(CatalogError):  # said when the catalog is read
                names |= {offer.provider for offer in self.catalog(layer).offers}
        hosted: dict[str, Provider] = dict.fromkeys(names - IN_PROCESS, self._remote)
        inside: dict[str, Provider] = {name: InProcess(name, self.clock) for name in names & IN_PROCESS}
        return {**hosted, **inside, **(given or {})}

    def made(self, client: AsyncClient) -> None:
        """A client was made in here."""
        self._clients.append(weakref.ref(client))
        self._ledgers.add(client._ledger_place)

    def planned(self, plan: Plan) -> None:
        """A plan was made to be carried out."""
        self.plans.append(plan)

    # -- coming and going -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        global _active
        with _lock:
            if _active is not None:
                raise RuntimeError(
                    "A vidorch mock is active already, and there can be only one in a process. Use that one, or leave it first."
                )
            _active = self
        self._undo.callback(_forget)
        self._undo.callback(_swap_default_client, _swap_default_client(None))
        try:
            self.set_up()
        except BaseException:
            self._tear_down()
            raise
        return self

    def set_up(self) -> None:
        """Have clients stand on it from now on: what entering does, but for the client behind `vidorch.generate`."""
        undo = self._undo
        variables = {name for offer in self.catalog(None).offers for name in offer.variables}
        own = {"VIDORCH_HOME": str(self.home), "VIDORCH_CATALOG": str(OWN_OFFERS)}
        if not os.environ.get(world.VARIABLE):
            own[world.VARIABLE] = "1"  # for processes that are started in here
        undo.callback(_change_environment(dict.fromkeys(variables, CREDENTIAL) | own))
        undo.callback(world.enter, world.enter(self))
        undo.callback(offloop.watch, offloop.watch(self.clock))
        undo.callback(live.connect_only_to, live.connect_only_to(self._allowed))

    def _tear_down(self) -> None:
        try:
            self._close_clients()
        finally:
            self._undo.close()

    def _close_clients(self) -> None:
        """Background work ends with the mock."""
        problems: list[Exception] = []
        living = self._living()
        for client in list(blocking._OPEN):
            if any(client._inner is one for one in living):
                try:
                    client.close()
                except Exception as error:  # one client's trouble is not to keep the others open
                    problems.append(error)
        for one in living:
            if one._engine is not None:
                _close_soon(one)
        if problems:
            raise problems[0]

    def __exit__(self, *exc_info: object) -> None:
        self._tear_down()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *exc_info: object) -> None:
        try:
            for client in self._living():
                if client._engine is not None and _loop_of(client) in (None, asyncio.get_running_loop()):
                    await client.aclose()
        finally:
            self.__exit__(*exc_info)


def mock(
    *,
    catalog: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    allow: Collection[str] = (),
) -> Mock:
    """A world for tests, to be entered with `with`. See `Mock`.

    Args:
        catalog: a layer over the frozen catalog, for all clients in it: a file or a mapping.
        allow: hosts, or buckets, that vidorch may connect to all the same: a server of the test's own.
    """
    return Mock(catalog=catalog, allow=allow)


def _forget() -> None:
    global _active
    _active = None


def _change_environment(values: Mapping[str, str]) -> Callable[[], None]:
    """Set environment variables. Gives back what undoes it."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)

    def undo() -> None:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    return undo


def _swap_default_client(client: Client | None) -> Client | None:
    """Put another client behind `vidorch.generate`; None has one made at first use. Gives back the one before."""
    with _default._lock:
        before, _default._client = _default._client, client
    return before


_closing: set[asyncio.Task[None]] = set()


def _close_soon(client: AsyncClient) -> None:
    """Close a client whose loop is not ours to wait for: it does so at its next turn, or at once if it never turns again."""
    loop = _loop_of(client)

    def begin() -> None:
        task = asyncio.ensure_future(client.aclose())
        _closing.add(task)
        task.add_done_callback(_closing.discard)

    if loop is not None and loop.is_running():
        loop.call_soon_threadsafe(begin)
        return
    ledger, client._ledger, client._engine, client._closed = client._ledger, None, None, True
    if ledger is not None:
        ledger.close()


def _loop_of(client: AsyncClient) -> asyncio.AbstractEventLoop | None:
    return client._engine.loop if client._engine is not None else None
