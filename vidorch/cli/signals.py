"""What people and systems say to a command while it waits: Ctrl-C, SIGTERM, a terminal that is closed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from types import FrameType
from typing import Any, Self

from vidorch.cli.exits import Exit

__all__ = ["CTRL_C", "Signals", "exit_of_signal"]

CTRL_C = int(signal.SIGINT)
_HEARD = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_EXITS = {"SIGTERM": Exit.TERMINATED, "SIGHUP": Exit.HUNG_UP}


def exit_of_signal(number: int) -> Exit:
    """What a command ends with that was told to stop by this signal."""
    return _EXITS.get(signal.Signals(number).name, Exit.INTERRUPTED)


class Signals:
    """Hears signals in the order in which they come, instead of being torn out of whatever is being done.

    Entered inside a running loop of the main thread; elsewhere nothing is heard. What is ignored (`nohup`) stays ignored.
    """

    def __init__(self) -> None:
        self._heard: asyncio.Queue[int] = asyncio.Queue()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()

        def hear(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._heard.put_nowait, number)

        for name in _HEARD:
            number = getattr(signal, name, None)
            if number is None or signal.getsignal(number) is signal.SIG_IGN:
                continue
            with contextlib.suppress(ValueError):  # not the main thread
                self._before[number] = signal.signal(number, hear)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    async def next(self, seconds: float | None = None) -> int | None:
        """The next signal; None when none came in that many seconds. In real time: it is people who are waited for."""
        try:
            async with asyncio.timeout(seconds):
                return await self._heard.get()
        except TimeoutError:
            return None

    async def during(self, work: asyncio.Future[Any], seconds: float | None = None) -> int | None:
        """Wait until `work` is done. Gives the signal that came before that; None when it is done, or the time is over.

        What `work` gives or raises is left in it.
        """
        hearing = asyncio.ensure_future(self._heard.get())
        try:
            await asyncio.wait((work, hearing), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                return None
            if work.done():  # both at once: it is heard by whoever listens next
                self._heard.put_nowait(hearing.result())
                return None
            return hearing.result()
        finally:
            hearing.cancel()
