"""Work that is carried to its end, whoever stops waiting for it meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

__all__ = ["all_of", "unless_cancelled_first"]

T = TypeVar("T")


async def unless_cancelled_first(step: Coroutine[Any, Any, T]) -> T:
    """Run `step` to its end even when the caller is cancelled meanwhile; then let the cancellation through.

    What `step` raises goes before: that an id could not be written down must not be lost in a cancellation.
    """
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await _all_done([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error from None
        raise


async def all_of(*works: Coroutine[Any, Any, None]) -> None:
    """Run them side by side, every one to its end: also when one fails, and when this is cancelled.

    (`asyncio.gather` returns with the first that was cancelled, while others may still be writing down what was paid for.)
    """
    if len(works) == 1:  # the usual case needs no task of its own
        try:
            await works[0]
        except asyncio.CancelledError:
            us = asyncio.current_task()
            if us is None or us.cancelling():  # else it is the work that was cancelled, and nobody else
                raise
        return
    tasks = [asyncio.ensure_future(work) for work in works]
    cancelled: asyncio.CancelledError | None = None
    if tasks:
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
            for task in tasks:
                task.cancel()
            await _all_done(tasks)
    problems = [task.exception() for task in tasks if not task.cancelled()]
    for problem in problems:
        if problem is not None:
            raise problem
    if cancelled is not None:
        raise cancelled


async def _all_done(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Wait for all of them, however often this is cancelled meanwhile: who closes a client while a run is let go does both."""
    while left := [task for task in tasks if not task.done()]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(left)
