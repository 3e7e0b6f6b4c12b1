"""Waiting, by the clock that the jobs live by: a timeout of ten minutes is tested in milliseconds like everything else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from vidorch.contract import Clock
from vidorch.errors import ProviderFailed, VidorchError

__all__ = ["waits_for_submit", "within"]

T = TypeVar("T")


async def within(clock: Clock, seconds: float | None, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives, if it does so in time.

    Raises:
        TimeoutError: it did not, and was cancelled.
    """
    if seconds is None:
        return await work
    task = asyncio.ensure_future(work)
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((task, alarm), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise TimeoutError
    finally:
        for one in (task, alarm):
            if not one.done():
                one.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await one


def waits_for_submit(row: Mapping[str, Any]) -> VidorchError:
    """Why a run that is `waiting` brings nothing by itself."""
    by_key = f" or make the same call with key={row['key']!r} again" if row["key"] else ""
    return ProviderFailed(
        f"The process of the run {row['id']} ended before everything was sent. What was not sent cost nothing, and is not sent "
        "by merely waiting.",
        hint=f"client.run({row['id']!r}).proceed() sends it{by_key}.", charged=False, retryable=True, run_id=row["id"],
    )  # fmt: skip
