"""What an event loop waits for besides time: work on other threads, sockets, and callers that want a result.

In production these are `asyncio.to_thread` and `asyncio.wrap_future` and no more. A clock that jumps from one event to the
next (`vidorch.testing`) is told when such waiting begins and ends: it must not jump over work that is still being done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import ParamSpec, Protocol, TypeVar

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
        return await asyncio.wrap_future(future)
    with _watcher.working():
        return await asyncio.wrap_future(future)


async def awaited(result: Awaitable[T]) -> T:
    """A result that a caller waits for."""
    if _watcher is None:
        return await result
    with _watcher.wanted():
        return await result
