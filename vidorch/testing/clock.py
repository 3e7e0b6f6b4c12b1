"""Time that costs nothing: it stands while anything is being done, and jumps to whoever sleeps shortest when nothing is.

A discrete-event clock over any number of event loops. Sleepers wake in the order of their times, so a job of three minutes
takes milliseconds, and a thousand of them side by side take as long as one.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

__all__ = ["START", "Advance", "VirtualClock"]

START = 1_795_348_800.0
"""22 November 2026, 12:00 UTC: the day on which the shipped prices were read."""

MOST_ROUNDS = 64
"""Turns of a loop after which it counts as idle although something is always ready: it runs in circles of its own."""
STUCK_AFTER = 3.0
"""Real seconds after which a loop that does not turn is not waited for: a blocking call stands in it."""


@dataclass(order=True, slots=True)
class _Sleeper:
    due: float
    number: int
    loop: asyncio.AbstractEventLoop = field(compare=False)
    future: asyncio.Future[None] = field(compare=False)
    task: asyncio.Task[Any] | None = field(compare=False)

    def wake(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


@dataclass(slots=True)
class _Loop:
    """What is known of one event loop.

    Attributes:
        idle_at: the generation in which nothing was ready there. asked: whether it is being asked.
        rounds: turns since it was first asked in `asked_at`, a generation. stuck: a blocking call stands in it.
        working: how many of its tasks wait for other threads.
    """

    idle_at: int = -1
    asked: bool = False
    asked_at: int = -1
    rounds: int = 0
    stuck: bool = False
    working: int = 0


class Advance:
    """The way to a later time. Blocking code has arrived when it gets this; in an event loop, `await` it."""

    def __init__(self, target: float, loop: asyncio.AbstractEventLoop | None) -> None:
        self.target = target
        self._loop = loop
        self._there = threading.Event()
        self._future = loop.create_future() if loop is not None else None

    @property
    def there(self) -> bool:
        """Whether the clock shows `target`."""
        return self._there.is_set()

    def arrive(self) -> None:
        """Said once the clock shows `target`."""
        self._there.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def block(self) -> None:
        """Wait without a loop."""
        self._there.wait()

    def __await__(self) -> Generator[Any, None, None]:
        if self._future is not None:
            yield from self._future.__await__()


class VirtualClock:
    """A clock that jumps. Outside a mock, `vidorch.offloop.watch(clock)` has it told of work on other threads.

    Args:
        start: seconds since 1970.
        free: whether time goes on by itself whenever nothing is being done. Otherwise it goes on only while a caller
            waits for a result, or `advance` asks for it: what happens between two calls of a test is then up to the test.
    """

    def __init__(self, start: float = START, *, free: bool = True) -> None:
        self._now = start
        self._free = free
        self._lock = threading.RLock()
        self._sleepers: list[_Sleeper] = []
        self._patient: list[_Sleeper] = []
        """Sleepers that time does not pass for: they wake when it passes for somebody else."""
        self._held: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()
        self._numbers = itertools.count()
        self._generation = 0
        self._wanted = 0
        self._advances: list[Advance] = []

    # -- what a clock is ----------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since 1970."""
        return self._now

    def monotonic(self) -> float:
        """The same: this clock only goes forward."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock shows `seconds` more."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        with self._lock:
            sleeper = _Sleeper(self._now + seconds, next(self._numbers), loop, loop.create_future(), task)
            heapq.heappush(self._patient if task in self._held else self._sleepers, sleeper)
        self._stir(loop)
        try:
            await sleeper.future
        finally:
            self._stir(loop)

    # -- what a test may do -------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> Advance:
        """Let time pass, with all that happens meanwhile. Blocking, or to be awaited in an event loop.

        Raises:
            ValueError: time does not go back.
        """
        if not seconds >= 0:
            raise ValueError(f"seconds={seconds!r} cannot be used. Time only goes forward.")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        with self._lock:
            way = Advance(self._now + seconds, loop)
            self._advances.append(way)
        self._stir(loop)
        if loop is None:
            while not way.there and not self._ask_everybody():
                self._pass()
            way.block()
        return way

    def hold(self, task: asyncio.Task[Any] | None) -> None:
        """From now on time does not pass for the sleep of `task` alone."""
        if task is not None:
            with self._lock:
                self._held.add(task)

    def release(self, task: asyncio.Task[Any] | None) -> None:
        """Time passes for `task` again."""
        with self._lock:
            if task is None or task not in self._held:
                return
            self._held.discard(task)
            mine = [sleeper for sleeper in self._patient if sleeper.task is task]
            self._patient = [sleeper for sleeper in self._patient if sleeper.task is not task]
            heapq.heapify(self._patient)
            for sleeper in mine:
                heapq.heappush(self._sleepers, sleeper)
        self._stir(None)

    # -- what a loop waits for besides time (vidorch.offloop.Watcher) ---------------------------------------------------

    @contextmanager
    def working(self) -> Iterator[None]:
        """Time stands: something is being done on another thread."""
        loop = asyncio.get_running_loop()
        with self._lock:
            known = self._loops.setdefault(loop, _Loop())
            known.working += 1
            self._generation += 1
        try:
            yield
        finally:
            with self._lock:
                known.working -= 1
            self._stir(loop)

    @contextmanager
    def wanted(self) -> Iterator[None]:
        """Time may pass: somebody waits for a result."""
        loop = asyncio.get_running_loop()
        with self._lock:
            self._wanted += 1
        self._stir(loop)
        try:
            yield
        finally:
            with self._lock:
                self._wanted -= 1

    # -- when it jumps --------------------------------------------------------------------------------------------------

    def _stir(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Something happened: whether every loop is idle has to be found out anew."""
        with self._lock:
            self._generation += 1
            if loop is not None:
                self._loops.setdefault(loop, _Loop())
        self._ask_everybody()

    def _ask_everybody(self) -> bool:
        """Have every loop that turns say when it is idle. False when there is none."""
        asked = False
        with self._lock:
            for loop, known in self._turning():
                asked = True
                if not known.asked:
                    known.asked = True
                    _call(loop, self._look, loop)
        return asked

    def _turning(self) -> list[tuple[asyncio.AbstractEventLoop, _Loop]]:
        return [(loop, known) for loop, known in self._loops.items() if loop.is_running()]

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Runs on `loop`: is anything ready here? It is asked again and again until nothing is."""
        with self._lock:
            known = self._loops.setdefault(loop, _Loop())
            if known.asked_at != self._generation:
                known.asked_at, known.rounds = self._generation, 0
            known.rounds += 1
            # Loops of other makes do not show what is ready; there the rounds alone decide.
            ready = getattr(loop, "_ready", True)
            if ready and known.rounds < MOST_ROUNDS:
                loop.call_soon(self._look, loop)
                return
            known.asked, known.stuck = False, False
            known.idle_at = self._generation
            others = [one for _, one in self._turning() if one.idle_at != self._generation and not one.stuck]
            if others:
                loop.call_later(STUCK_AFTER, self._go_on_without, self._generation)
                return
        self._pass()

    def _go_on_without(self, generation: int) -> None:
        """A blocking call stands in a loop that has work of this clock: it is not waited for."""
        with self._lock:
            if generation != self._generation:
                return
            for _, known in self._turning():
                known.stuck = known.stuck or known.idle_at != generation
        self._pass()

    def _pass(self) -> None:
        """Nothing is being done: go on to whoever comes first."""
        with self._lock:
            if any(known.working for _, known in self._turning()):
                return
            _drop_gone(self._sleepers)
            _drop_gone(self._patient)
            target = min((way.target for way in self._advances), default=self._now)
            horizon = target
            if self._free or self._wanted:
                horizon = max(horizon, self._next_of_a_turning_loop())
            first = min((heap[0].due for heap in (self._sleepers, self._patient) if heap), default=None)
            if first is not None and first <= horizon:
                self._now = max(self._now, first)
                woken = [*_due(self._sleepers, self._now), *_due(self._patient, self._now)]
            else:
                self._now = max(self._now, target)
                woken = []
            arrived = [] if woken else [way for way in self._advances if way.target <= self._now]
            self._advances = [way for way in self._advances if way not in arrived]
        for way in arrived:
            way.arrive()
        for sleeper in sorted(woken):
            if not sleeper.loop.is_closed():
                _call(sleeper.loop, sleeper.wake)
        if woken:
            self._stir(None)

    def _next_of_a_turning_loop(self) -> float:
        """When the first sleeper is due that can wake at all: one in a loop that stands moves no clock."""
        turning = {loop for loop, known in self._turning() if not known.stuck}
        if self._sleepers and self._sleepers[0].loop in turning:
            return self._sleepers[0].due
        able = (one.due for one in self._sleepers if one.loop in turning and not one.future.done())
        return min(able, default=self._now)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: object) -> None:
    """Have it called on `loop`. Waking a loop costs a write to a socket, which one's own does not need."""
    if asyncio._get_running_loop() is loop:
        loop.call_soon(function, *args)
    else:
        loop.call_soon_threadsafe(function, *args)


def _drop_gone(heap: list[_Sleeper]) -> None:
    while heap and (heap[0].future.done() or heap[0].loop.is_closed()):
        heapq.heappop(heap)


def _due(heap: list[_Sleeper], now: float) -> list[_Sleeper]:
    found = []
    while heap and heap[0].due <= now:
        found.append(heapq.heappop(heap))
    return found
