"""The real clock, and ids that sort by the time they were made. Both are passed in, so tests bring their own."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable

from vidorch.contract import Clock

__all__ = ["Ids", "RealClock", "SharedClock"]


class RealClock:
    """Wall clock, monotonic clock and `asyncio.sleep`."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SharedClock(RealClock):
    """The clock that everybody on a shared ledger goes by, whatever the clock of this machine says.

    Leases, days of budgets and submits within a minute are compared between machines, and so is all else that is written down.

    Attributes:
        ahead: gives the seconds by which it is ahead of this machine's clock, as far as it is known.
    """

    def __init__(self) -> None:
        self.ahead: Callable[[], float] = float

    def now(self) -> float:
        return time.time() + self.ahead()


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u to misread


_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


def _base32(number: int, length: int) -> str:
    pairs = [_PAIRS[number >> place & 1023] for place in range(10 * ((length - 1) // 2), -1, -10)]
    return "".join(pairs)[-length:]


class _Chance:
    """Random bits of the operating system, fetched a page at a time: each question to it lets other threads go first."""

    def __init__(self) -> None:
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)  # no child draws what its parent draws

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._page = b""

    def bits(self, count: int) -> int:
        """A number of that many random bits."""
        length = (count + 7) // 8
        with self._lock:
            if len(self._page) < length:
                self._page = os.urandom(1024)
            drawn, self._page = self._page[:length], self._page[length:]
        return int.from_bytes(drawn, "big") >> (8 * length - count)


_chance = _Chance()


class Ids:
    """Makes ids such as `run_01kaq7m2b9x4t0c8`: milliseconds since 1970 (9 letters), then 35 random bits (7 letters)."""

    def __init__(self, clock: Clock, random_bits: Callable[[int], int] = _chance.bits) -> None:
        self._clock = clock
        self._random_bits = random_bits

    def new(self, kind: str) -> str:
        """A new id; `kind` is its prefix: run, job, out, res."""
        return f"{kind}_{_base32(int(self._clock.now() * 1000), 9)}{_base32(self._random_bits(35), 7)}"

    def seed(self) -> int:
        """A random seed, 0 to 2**31 - 1: what every vendor takes."""
        return self._random_bits(31)

    def token(self) -> str:
        """An unguessable word of 128 bits, for callback URLs."""
        return _base32(self._random_bits(130), 26)
