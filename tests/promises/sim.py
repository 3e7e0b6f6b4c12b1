"""Several processes on one ledger, in one thread and in no time: they crash, sleep and disagree about the hour, by a seed.

What is real: the client, the engine, the ledger's statements, files. What is not: time, threads, the decoder that looks at a
clip, and the commit, which is made by an event of the simulation, so that a process can die before or after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import selectors
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import sqlalchemy

import vidorch.ledger.ledger
from tests.remote import Books, Remote, catalog
from tests.remote.provider import FateOf, always, clip_bytes
from vidorch import media
from vidorch.budget import Budget
from vidorch.catalog import load
from vidorch.client.aio import AsyncClient
from vidorch.clock import Ids
from vidorch.contract import Provider
from vidorch.engine import hosts
from vidorch.errors import BadMedia, LedgerUnavailable
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.migrations import migrate
from vidorch.ledger.schema import TABLES
from vidorch.ledger.session import Session
from vidorch.ledger.sqlite import DIALECT, SqliteWriter, explain
from vidorch.ledger.store import LAZY_SECONDS, Store

__all__ = ["START", "Process", "World", "simulated"]

START = 1_795_348_800.0
"""22 November 2026, 12:00 UTC."""

_here: ContextVar[Process] = ContextVar("process")
"""The process whose code is running."""


class _Deadlock(Exception):
    """Nothing will ever happen again, and somebody waits."""


class _NoSelector(selectors.SelectSelector):
    """Nothing ever comes from outside: when nothing is ready, time jumps to the next timer."""

    time = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise _Deadlock("everybody waits, and for nothing")
        self.time += max(timeout, 0.0)
        return []


class Loop(asyncio.SelectorEventLoop):
    """An event loop in which time costs nothing and threads are turns of the loop."""

    def __init__(self) -> None:
        self._own = _NoSelector()
        super().__init__(self._own)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._own.time

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future: asyncio.Future[Any] = self.create_future()
        process = _here.get(None)

        def turn() -> None:
            if future.cancelled():
                return
            if process is not None and process.stands(turn):
                process.world.kept.append(future)
                return
            try:
                future.set_result(func(*args))
            except BaseException as error:
                future.set_exception(error)

        self.call_soon(turn)
        return future


class _Clock:
    """Time as one process sees it."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def now(self) -> float:
        return self._process.world.now() + self._process.skew

    def monotonic(self) -> float:
        return self._process.world.loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._process.gate()


class _Writer(SqliteWriter):
    """The one connection, for one transaction."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._raw = session.raw

    def begin(self) -> None:
        self._raw.execute("BEGIN")

    def over(self) -> None:
        pass


class _Store(Store):
    """The ledger's database as one process has it: all share one connection, and each has its own queue."""

    def __init__(self, process: Process) -> None:
        self.database = SimpleNamespace(ahead=0.0, explain=lambda error: explain(error, Path("simulated")))  # type: ignore[assignment]
        self._process = process
        self._waiting: list[tuple[Any, Future[Any]]] = []
        self._due: asyncio.TimerHandle | None = None
        self._shut = False

    def write(self, work: Any, *, waits: bool = True) -> Future[Any]:
        future: Future[Any] = Future()
        if self._shut:
            future.set_exception(LedgerUnavailable("This ledger was closed."))
            return future
        if self._process.dead:
            self._process.world.kept.append(future)
            task = asyncio.current_task(self._process.world.loop)
            if task is not None and task.get_name() == "vidorch-leases":
                task.cancel()  # it would beat for ever
            return future
        self._waiting.append((work, future))
        loop = self._process.world.loop
        if waits and self._due is not None:
            self._due.cancel()
            self._due = None
        if self._due is None:
            self._due = loop.call_later(0.001 if waits else LAZY_SECONDS, self._turn)
        return future

    def ride(self, work: Any) -> None:
        self.write(work, waits=False)

    def _turn(self) -> None:
        self._due = None
        if not self._process.stands(self._turn):
            self._commit_all()

    def _commit_all(self, *, may_fail: bool = True) -> None:
        batch, self._waiting = self._waiting, []
        if not batch:
            return
        process = self._process
        process.step("commit")
        if process.dead:
            process.world.kept += [future for _, future in batch]
            return
        world = process.world
        if may_fail and world.chance.random() * 100 < world.disk_trouble:
            for _, future in batch:
                if future.set_running_or_notify_cancel():
                    future.set_exception(LedgerUnavailable("The disk is full."))
            return
        results: list[Future[Any]] = [Future() for _ in batch]
        self._commit(
            _Writer(world.session), [(work, result) for (work, _), result in zip(batch, results, strict=True)]
        )
        process.step("committed")
        if process.dead:
            process.world.kept += [future for _, future in batch]
            return
        for (_, future), result in zip(batch, results, strict=True):
            if future.set_running_or_notify_cancel():
                error = result.exception()
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(result.result())

    def read(self, work: Any) -> Any:
        if self._process.dead:
            raise LedgerUnavailable("This process is dead.")
        if not self._shut:
            self.flush()
        return work(self._process.world.session)

    def flush(self) -> None:
        if self._process.dead:
            raise LedgerUnavailable("This process is dead.")
        self._commit_all(may_fail=False)

    def close(self) -> None:
        if not self._process.dead:
            self._commit_all(may_fail=False)
        self._shut = True


class _Wire(Provider):
    """The remote, as one process reaches it. Each call is two steps: it leaves, and it is back."""

    name: ClassVar[str] = "remote"
    simulated: ClassVar[bool] = True

    def __init__(self, remote: Remote, process: Process) -> None:
        self._remote = remote
        self._process = process

    async def _call(self, name: str, *args: Any) -> Any:
        await self._process.reach(f"{name}")
        try:
            answer = await getattr(self._remote, name)(*args)
        except Exception:
            await self._process.reach(f"{name} failed")
            raise
        await self._process.reach(f"{name} done")
        return answer

    async def prepare(self, *args: Any) -> Any:
        return await self._call("prepare", *args)

    async def submit(self, *args: Any) -> Any:
        return await self._call("submit", *args)

    async def poll(self, *args: Any) -> Any:
        return await self._call("poll", *args)

    async def fetch(self, *args: Any) -> Any:
        return await self._call("fetch", *args)

    async def refresh(self, *args: Any) -> Any:
        return await self._call("refresh", *args)

    async def cancel(self, *args: Any) -> Any:
        return await self._call("cancel", *args)

    async def find(self, *args: Any) -> Any:
        return await self._call("find", *args)


class Process:
    """One process of one machine.

    Attributes:
        skew: seconds by which its clock is wrong. dead: it was killed; nothing of it runs or writes any more.
        on_step: told the name of every step it takes (a call that leaves or is back, a commit before and after).
    """

    def __init__(self, world: World, host: str, pid: int) -> None:
        self.world = world
        self.host = host
        self.pid = pid
        self.skew = 0.0
        self.dead = False
        self.living: set[str] = set()
        self.steps = 0
        self.on_step: Callable[[str], None] | None = None
        self._asleep_until = 0.0
        self.clock = _Clock(self)

    @property
    def home(self) -> Path:
        return self.world.folder / self.host

    def client(self, **settings: Any) -> AsyncClient:
        """A client of this process. To be used in tasks made by `spawn`."""
        client = AsyncClient(
            home=self.home, providers={"remote": _Wire(self.world.remote, self)}, clock=self.clock, **settings
        )
        client._market.catalog = self.world.catalog
        client._ids = Ids(self.clock, self.world.chance.getrandbits)
        return client

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something as this process."""
        context = copy_context()
        context.run(_here.set, self)
        task = self.world.loop.create_task(work, context=context)
        self.world.kept.append(task)
        return task

    # -- what befalls it --------------------------------------------------------------------------------------------------

    def crash(self) -> None:
        """Killed: nothing is cleaned up, nothing that waits is written."""
        self.world.say(f"{self} is killed")
        self.dead = True

    def sleep(self, seconds: float) -> None:
        """The lid is closed: it does nothing until then, and does not know of it."""
        self.world.say(f"{self} sleeps for {seconds:g} s")
        self._asleep_until = self.world.loop.time() + seconds

    def step(self, name: str) -> None:
        """Something is about to happen, or just has."""
        if self.dead:
            return
        self.steps += 1
        self.world.say(f"{self} {name}")
        if self.on_step is not None:
            self.on_step(name)

    async def reach(self, name: str) -> None:
        """A step, and whatever comes of it."""
        self.step(name)
        await self.gate()

    async def gate(self) -> None:
        """Go on only while alive and awake."""
        loop = self.world.loop
        while not self.dead and loop.time() < self._asleep_until:  # noqa: ASYNC110  (there is nobody to set an event)
            await asyncio.sleep(self._asleep_until - loop.time())
        if self.dead:
            never = loop.create_future()
            self.world.kept.append(never)
            await never

    def stands(self, turn: Callable[[], None]) -> bool:
        """Whether nothing of it runs now; `turn` is made when it wakes up, if ever."""
        if self.dead:
            return True
        loop = self.world.loop
        if loop.time() >= self._asleep_until:
            return False
        loop.call_at(self._asleep_until, turn)
        return True

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"


class World:
    """Everything there is in one history.

    Args:
        seed: of all chance. fate_of: what becomes of each submit.
        disk_trouble: percent of commits that fail.

    Attributes:
        trace: what happened, in order, where it is wanted.
    """

    def __init__(self, seed: int = 0, fate_of: FateOf = always, *, disk_trouble: float = 0.0) -> None:
        self.chance = random.Random(seed)
        self.loop = Loop()
        self.loop.set_exception_handler(self._trouble)
        self.books = _books()
        self.books.clear()
        self.remote = Remote(self.books, fate_of, self.now)
        self.catalog = _catalog()
        self.session = _session()
        for table in reversed(TABLES):
            if table.name != "meta":
                self.session.raw.execute(f"DELETE FROM {table.name}")
        self.session.raw.commit()
        self.folder = Path(tempfile.mkdtemp(prefix="history-", dir=_fast_folder()))
        self.disk_trouble = disk_trouble
        self.processes: list[Process] = []
        self.trace: list[str] | None = None
        self.troubles: list[str] = []
        self.kept: list[Any] = []
        """What the dead wait for, and whoever waits: nobody else holds on to it."""

    def now(self) -> float:
        """The true time."""
        return START + self.loop.time()

    def say(self, text: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.loop.time():12.3f}  {text}")

    def process(self, host: str = "a") -> Process:
        """A new process on a machine."""
        process = Process(self, host, 1000 + len(self.processes))
        self.processes.append(process)
        return process

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Let it all happen until `work` is done."""
        return self.loop.run_until_complete(work)

    @property
    def ledger(self) -> Ledger:
        """The ledger as whoever looks afterwards sees it."""
        observer = Process(self, "observer", 1)
        token = _here.set(observer)
        try:
            return Ledger(Path("simulated"))
        finally:
            _here.reset(token)

    def close(self) -> None:
        """End everything that still waits, and forget it."""
        for process in self.processes:
            process.dead = True
        for _ in range(20):
            left = asyncio.all_tasks(self.loop)
            if not left:
                break
            for task in left:
                task.cancel()
            with contextlib.suppress(_Deadlock):
                self.loop.run_until_complete(asyncio.wait(left, timeout=1))
        self.loop.set_exception_handler(lambda loop, context: None)
        self.loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.troubles.append(f"{context.get('message')}: {context.get('exception')!r}")


# -- what stands in for the machine ---------------------------------------------------------------------------------------


class _Living:
    """Owners that drive, as each process knows them: its own."""

    def add(self, owner: str) -> None:
        _here.get().living.add(owner)

    def discard(self, owner: str) -> None:
        _here.get().living.discard(owner)

    def __contains__(self, owner: object) -> bool:
        return owner in _here.get().living


def _kill(pid: int, signal: int) -> None:
    here = _here.get()
    for other in here.world.processes:
        if (other.host, other.pid) == (here.host, pid) and not other.dead:
            return
    raise ProcessLookupError


@contextlib.contextmanager
def simulated() -> Iterator[None]:
    """Inside, machines, processes and databases are those of the world that runs."""
    real = (
        hosts.__dict__["os"],
        hosts.__dict__["socket"],
        hosts._living,
        vidorch.ledger.ledger.Store,
        media.verify,
    )
    hosts.os = SimpleNamespace(getpid=lambda: _here.get().pid, kill=_kill, name="posix")  # type: ignore[attr-defined]
    hosts.socket = SimpleNamespace(gethostname=lambda: _here.get().host)  # type: ignore[attr-defined]
    hosts._living = _Living()  # type: ignore[assignment]
    vidorch.ledger.ledger.Store = lambda path, busy_seconds: _Store(_here.get())  # type: ignore[attr-defined,assignment,misc]
    media.verify = _verify  # type: ignore[attr-defined]
    try:
        yield
    finally:
        hosts.os, hosts.socket, hosts._living, vidorch.ledger.ledger.Store, media.verify = real  # type: ignore[attr-defined]


def _verify(path: Path, **asked: Any) -> Any:
    """Looks at the bytes alone: whether the one clip there is begins the file."""
    whole, info = _known_clip()
    if not path.read_bytes().startswith(whole):
        raise BadMedia(f"{path.name} is cut.")
    return info


_real_verify = media.verify


@functools.cache
def _known_clip() -> tuple[bytes, Any]:
    whole = clip_bytes("")[:-8]
    return whole, _real_verify(whole)


@functools.cache
def _catalog() -> Any:
    return load(catalog())


@functools.cache
def _books() -> Books:
    return Books()


@functools.cache
def _session() -> Session:
    raw = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    engine = sqlalchemy.create_engine("sqlite://", creator=lambda: raw, poolclass=sqlalchemy.StaticPool)
    with engine.connect() as connection, connection.begin():
        migrate(connection, set())
    raw.execute("PRAGMA foreign_keys=ON")
    return Session(raw, DIALECT)


def _fast_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def budget(usd: str = "1000") -> Budget:
    """A budget for everything in a history."""
    return Budget(usd, name="all")
