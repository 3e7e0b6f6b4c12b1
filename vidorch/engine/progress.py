"""How far a run is: one figure over all its candidates, and whoever wants to hear of it."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from vidorch.contract import Clock
from vidorch.ledger.moves import ENDS, State
from vidorch.offloop import in_thread
from vidorch.result import Progress

__all__ = ["ProgressBoard"]


@dataclass(slots=True)
class _Lane:
    state: str = State.RESERVED.value
    fraction: float | None = None
    eta: float | None = None


class ProgressBoard:
    """Gathers what the jobs of a run report.

    Args:
        listener: called with a `Progress`, off the event loop, one call at a time; figures that came while it was busy are
            merged into the newest. An exception in it is warned about once and never hurts the run.
    """

    def __init__(
        self, run_id: str, total: int, clock: Clock, listener: Callable[[Progress], object] | None
    ) -> None:
        self._run_id = run_id
        self._lanes = [_Lane() for _ in range(total)]
        self._clock = clock
        self._started = clock.monotonic()
        self._newest: tuple[str, str, float] | None = None
        """State and stage of the job that moved last, and when: added up only for whoever asks."""
        self._closed = False
        self._warned = False
        self._wake: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        if listener is not None:
            self._wake = asyncio.Event()
            self._task = asyncio.create_task(self._tell(listener, self._wake))

    @property
    def latest(self) -> Progress | None:
        """The newest figure, None before the first."""
        if self._newest is None:
            return None
        state, stage, at = self._newest
        lanes = self._lanes
        known = [lane.fraction for lane in lanes if lane.fraction is not None]
        fraction = sum(known) / len(self._lanes) if known else None
        elapsed = at - self._started
        told = [lane.eta for lane in lanes if lane.eta is not None]
        eta = max(told) if told else None
        if eta is None and fraction is not None and 0.02 < fraction < 1:
            eta = elapsed * (1 - fraction) / fraction
        done = sum(lane.state in ENDS for lane in lanes)
        return Progress(self._run_id, state, stage, fraction, eta, elapsed, done, len(self._lanes))

    def report(
        self, candidate: int, state: str, stage: str, fraction: float | None, eta: float | None
    ) -> None:
        """A job says where it is."""
        lane = self._lanes[candidate]
        lane.state, lane.eta = state, eta
        lane.fraction = 1.0 if state in ENDS else fraction
        self._newest = (state, stage, self._clock.monotonic())
        if self._wake is not None:
            self._wake.set()

    async def _tell(self, listener: Callable[[Progress], object], wake: asyncio.Event) -> None:
        while True:
            await wake.wait()
            wake.clear()
            if (latest := self.latest) is not None:
                try:
                    await in_thread(listener, latest)
                except Exception as error:
                    if not self._warned:
                        self._warned = True
                        warnings.warn(
                            f"on_progress raised {type(error).__name__}: {error}; the run goes on.",
                            stacklevel=1,
                        )
            if self._closed and not wake.is_set():
                return

    def stop(self) -> None:
        """Tell nobody anything any more."""
        if self._task is not None:
            self._task.cancel()

    async def aclose(self) -> None:
        """Deliver the last figure, then stop."""
        self._closed = True
        if self._task is not None and self._wake is not None:
            self._wake.set()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
