"""What stands behind the `local` provider: one way of making clips on this machine, chosen by the offer."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Protocol

from vidorch.contract import Accepted, Admission, Cancelled, Context, Failed, Health, Output, Polled, Prepared
from vidorch.errors import ProviderFailed
from vidorch.offer import Offer
from vidorch.request import Request

__all__ = ["LOOK", "PROVIDER", "Backend", "News", "cancelled", "gone"]

PROVIDER = "local"
LOOK = 0.1  # seconds that one poll waits for news, so that the end is noticed at once and progress ten times a second


class Backend(Protocol):
    """The part of the contract that differs between the built-in model and models that are loaded from a folder.

    Each method is what the provider's method of that name has to do; `holds` says whose job an id is.
    """

    def admit(self, request: Request, offer: Offer) -> Admission: ...

    async def prepare(self, context: Context, request: Request, offer: Offer) -> Prepared: ...

    async def submit(self, context: Context, prepared: Prepared) -> Accepted: ...

    def holds(self, remote_id: str) -> bool: ...

    async def poll(self, remote_id: str) -> Polled: ...

    async def fetch(self, output: Output, path: Path) -> None: ...

    def cancel(self, remote_id: str) -> Cancelled: ...

    async def check(self, context: Context) -> Health: ...

    async def aclose(self) -> None: ...


class News:
    """Wakes whoever polls, from the thread that does the work."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def tell(self) -> bool:
        """There is something new. False: the loop is closed, so nobody waits any more."""
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            return False
        return True

    async def wait(self) -> None:
        """Until there is news, a tenth of a second at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), LOOK)
        self._event.clear()


def cancelled() -> Failed:
    """The end of a job that somebody stopped."""
    return Failed(ProviderFailed("The job was cancelled.", charged=False, provider=PROVIDER), cancelled=True)


def gone() -> Failed:
    """The end of a job that this process does not have: local work dies with its process, and costs nothing."""
    return Failed(
        ProviderFailed("This work is not in this process any more.", charged=False, provider=PROVIDER)
    )
