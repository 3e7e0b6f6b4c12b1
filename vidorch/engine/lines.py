"""Waiting for a turn at a vendor: one line for each account in this process, whose first looks at the ledger for room.

The room itself is taken by the move to `sending`, in the transaction that writes it, so that two processes never take the same.
"""

from __future__ import annotations

import asyncio

from vidorch.contract import Clock, Endpoint
from vidorch.ledger.slots import Account, NoRoom
from vidorch.offer import Offer
from vidorch.tiers import allowed

__all__ = ["Line", "Turn", "account_of"]

FIRST, LAST = 0.25, 2.0
"""Seconds between two looks for room that others make: soon at first, then less often."""


def account_of(endpoint: Endpoint, scope: str, offer: Offer) -> Account:
    """Whose limits a job of an offer counts against, and what they are.

    Where a credential is needed there, each scope is a customer of its own.
    """
    limits = allowed(endpoint, offer)
    each = frozenset({"at_once" if name == "concurrency" else name for name in limits.each_model})
    return Account(
        endpoint.name, endpoint.account, scope if offer.variables else None, limits.concurrency, limits.per_minute,
        limits.per_day, offer.model if each else None, each,
    )  # fmt: skip


class Line:
    """Everybody in this process who waits for a turn at an account. Only the first looks at the ledger."""

    def __init__(self, account: Account, clock: Clock) -> None:
        self.account = account
        self.clock = clock
        self.first = asyncio.Lock()
        self.ended = asyncio.Event()

    async def turn(self) -> Turn:
        """Wait until one is the first. It is to be given back."""
        await self.first.acquire()
        return Turn(self)

    def somebody_ended(self) -> None:
        """A job of this process left its slot: the first looks at once."""
        self.ended.set()


class Turn:
    """Being the first in a line, until that is given back."""

    def __init__(self, line: Line) -> None:
        self._line: Line | None = line
        self._pause = FIRST

    def give_back(self) -> None:
        """Let the next one be the first; once is enough."""
        if self._line is not None:
            self._line.first.release()
            self._line = None

    async def wait(self, full: NoRoom) -> None:
        """Wait after a try that found no room: for an end in this process, or until the clock says to look again."""
        line = self._line
        assert line is not None
        line.ended.clear()
        seconds = self._pause if full.wait is None else min(full.wait, LAST)
        self._pause = min(self._pause * 2, LAST)
        sleeping = asyncio.ensure_future(line.clock.sleep(seconds))
        ended = asyncio.ensure_future(line.ended.wait())
        try:
            await asyncio.wait({sleeping, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in (sleeping, ended):
                one.cancel()
            await asyncio.gather(sleeping, ended, return_exceptions=True)
