"""The built-in model under the mock: it really works, so the clock has to wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from vidorch.contract import (
    Accepted,
    Admission,
    Cancelled,
    Context,
    Health,
    Output,
    Polled,
    Prepared,
    Progress,
    Provider,
)
from vidorch.offer import Offer
from vidorch.registry import Registry
from vidorch.request import Request
from vidorch.testing.clock import VirtualClock

__all__ = ["InProcess"]

SLICE = 0.02  # real seconds between two looks


class InProcess(Provider):
    """A provider that works inside this process, and takes real time for it.

    Args:
        name: of the installed provider. clock: stands still while it is at work.
    """

    name: ClassVar[str] = "in-process"

    def __init__(self, name: str, clock: VirtualClock) -> None:
        self._called = name
        self._registry = Registry()
        self._clock = clock

    @property
    def _real(self) -> Provider:
        return self._registry.get(self._called)

    def admit(self, request: Request, offer: Offer) -> Admission:
        return self._real.admit(request, offer)

    async def prepare(self, context: Context, request: Request, offer: Offer) -> Prepared:
        with self._clock.working():
            return await self._real.prepare(context, request, offer)

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        with self._clock.working():
            return await self._real.submit(context, prepared)

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        with self._clock.working():
            found = await self._real.poll(context, accepted)
            if isinstance(found, Progress):
                await asyncio.sleep(SLICE)
            return found

    async def poll_many(self, context: Context, accepted: Sequence[Accepted]) -> list[Polled]:
        return [await self.poll(context, one) for one in accepted]

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        with self._clock.working():
            await self._real.fetch(context, output, path)

    async def cancel(self, context: Context, accepted: Accepted) -> Cancelled:
        with self._clock.working():
            return await self._real.cancel(context, accepted)

    async def check(self, context: Context) -> Health:
        with self._clock.working():
            return await self._real.check(context)

    async def aclose(self) -> None:
        await self._registry.aclose()
