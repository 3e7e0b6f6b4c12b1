"""What an event loop waits for besides time: work on other threads, sockets, and callers that want a result.

In production this is `asyncio.to_thread`, and news of writes that are done, which come by the hundred and wake the loop once. A
clock that jumps from one event to the next (`vidorch.testing`) is told when such waiting begins and ends: it must not jump over
work that is still being done.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ParamSpec, Protocol, TypeVar
from weakref import WeakKeyDictionary, ref

__all__ = ["Watcher", "awaited", "busy", "in_thread", "watch", "written"]

T = TypeVar("T")
P = ParamSpec("P")


class Watcher(Protocol):
    """Whoever wants to know what a loop waits for."""

    def working(self) -> AbstractContextManager[None]:
        """Entered while work on another thread is waited for."""

    def wanted(self) -> AbstractContextManager[None]:
        """Entered while a caller waits for a result."""


_watcher: Watcher | None = None


def watch(watcher: Watcher | None) -> Watcher | None:
    """Tell `watcher` from now on, or nobody. Gives back who was told before."""
    global _watcher
    before, _watcher = _watcher, watcher
    return before


def busy() -> AbstractContextManager[None]:
    """Entered while something outside this process is waited for: a reply on a socket."""
    return nullcontext() if _watcher is None else _watcher.working()


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """What `function` gives, run on a worker thread."""
    if _watcher is None:
        return await asyncio.to_thread(function, *args, **kwargs)
    with _watcher.working():
        return await asyncio.to_thread(function, *args, **kwargs)


async def written(future: Future[T]) -> T:
    """What a future of another thread gives, such as that of a write to the ledger."""
    if _watcher is None:
        return await _arrival(future)
    with _watcher.working():
        return await _arrival(future)


class _Post:
    """Carries what other threads have finished to one loop. Each waking of a loop is a system call: many come with one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)  # it is held by what `_posts` has of that loop
        self._lock = threading.Lock()
        self._arrived: list[tuple[asyncio.Future[Any], Future[Any]]] = []

    def put(self, waiter: asyncio.Future[Any], future: Future[Any]) -> None:
        with self._lock:
            first = not self._arrived
            self._arrived.append((waiter, future))
        if first:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                if (loop := self._loop()) is not None:
                    loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            arrived, self._arrived = self._arrived, []
        for waiter, future in arrived:
            if waiter.done():
                continue
            if future.cancelled():
                waiter.cancel()
            elif (error := future.exception()) is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(future.result())


_posts: WeakKeyDictionary[asyncio.AbstractEventLoop, _Post] = WeakKeyDictionary()


def _arrival(future: Future[T]) -> asyncio.Future[T]:
    loop = asyncio.get_running_loop()
    post = _posts.get(loop)
    if post is None:
        post = _posts[loop] = _Post(loop)
    waiter: asyncio.Future[T] = loop.create_future()
    future.add_done_callback(lambda done: post.put(waiter, done))
    return waiter


async def awaited(result: Awaitable[T]) -> T:
    """A result that a caller waits for."""
    if _watcher is None:
        return await result
    with _watcher.wanted():
        return await result
