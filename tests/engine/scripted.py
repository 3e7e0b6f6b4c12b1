"""A provider that does what a test tells it, free offers for it, and a clock that waits for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vidorch import media
from vidorch.contract import (
    Accepted,
    Admission,
    Cancelled,
    Context,
    Done,
    Failed,
    FoundJob,
    LookFor,
    Output,
    Polled,
    Prepared,
    Progress,
    Provider,
)
from vidorch.errors import ProviderFailed
from vidorch.offer import Offer
from vidorch.request import Request


class VirtualClock:
    """Time that jumps when somebody sleeps."""

    def __init__(self, start: float = 1_795_000_000.0) -> None:
        self.time = start
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


def offer(model: str = "basic", **changes: Any) -> dict[str, Any]:
    """A free offer of the scripted provider, as a catalog table."""
    table: dict[str, Any] = {
        "model": model,
        "endpoint": "test",
        "provider": "test",
        "family": "test",
        "title": "Scripted",
        "vendor_model": model,
        "path": model,
        "as_of": date(2026, 11, 22),
        "min_poll": 1,
        "outlives_caller": False,
        "price": {"rule": "free", "source": "a test"},
        "capabilities": {
            "durations": {"choices": [1]}, "resolutions": ["256p"], "aspect_ratios": ["1:1"], "sizes": {"256p 1:1": [64, 64]},
            "fps": [8], "seed": True,
        },
        "routes": {"text-to-video": {}},
    }  # fmt: skip
    return table | changes


PRICE = {
    "rule": "table", "source": "a test",
    "row": [{"per_second": "1.00", "source": "a test", "as_of": date(2026, 11, 22)}],
}  # fmt: skip


def paid(model: str = "basic", **changes: Any) -> dict[str, Any]:
    """An offer that costs $1.00 a clip, and outlives its caller."""
    return offer(model, **({"price": PRICE, "outlives_caller": True} | changes))


def catalog(*offers: dict[str, Any]) -> dict[str, Any]:
    """A layer with these offers."""
    return {"offer": list(offers or (offer(),))}


Step = Polled | Exception


class Scripted(Provider):
    """Plays a script: what each poll says, what each call raises, and writes a real small video.

    Args:
        polls: what polls answer, in order, for every job; the last one is repeated.
    """

    name: ClassVar[str] = "test"
    simulated: ClassVar[bool] = True

    def __init__(self, polls: list[Step] | None = None) -> None:
        self.polls = polls
        self.calls: list[str] = []
        self.seeds: list[int | None] = []
        self.on_prepare: Callable[[], None] | None = None
        self.on_submit: Callable[[int], Accepted | None] | None = None
        self.script_of: Callable[[int], list[Step]] | None = None
        self.write: Callable[[Path], None] | None = None
        self.admission = Admission()
        self.found: Callable[[LookFor], list[FoundJob]] | None = None
        self.hold: asyncio.Event | None = None
        self.sending: asyncio.Event | None = None
        self._left: dict[str, list[Step]] = {}
        self._cancelled: set[str] = set()

    def admit(self, request: Request, offer: Offer) -> Admission:
        return self.admission

    async def prepare(self, context: Context, request: Request, offer: Offer) -> Prepared:
        self.calls.append("prepare")
        if self.on_prepare is not None:
            self.on_prepare()
        return Prepared(request, offer)

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        number = self.calls.count("submit")
        self.calls.append("submit")
        self.seeds.append(prepared.request.seed)
        if self.sending is not None:
            self.sending.set()
        if self.hold is not None:
            await self.hold.wait()
        accepted = self.on_submit(number) if self.on_submit is not None else None
        accepted = accepted or Accepted(f"remote-{context.job_id}")
        script = self.script_of(number) if self.script_of is not None else self.polls
        self._left[accepted.remote_id] = list(
            script or [Progress("running", 0.5), Done((Output(0, accepted.remote_id),))]
        )
        return accepted

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        self.calls.append("poll")
        await asyncio.sleep(0)
        if accepted.remote_id in self._cancelled:
            return Failed(ProviderFailed("cancelled", charged=False), cancelled=True)
        left = self._left[accepted.remote_id]
        step = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(step, Exception):
            raise step
        return step

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        self.calls.append("fetch")
        if self.write is not None:
            self.write(path)
        else:
            video(path)

    async def find(self, context: Context, job: LookFor) -> list[FoundJob]:
        self.calls.append("find")
        return self.found(job) if self.found is not None else []

    async def refresh(self, context: Context, accepted: Accepted, output: Output) -> Output:
        self.calls.append("refresh")
        return replace(output, ref=f"{output.ref}-again")

    async def cancel(self, context: Context, accepted: Accepted) -> Cancelled:
        self.calls.append("cancel")
        self._cancelled.add(accepted.remote_id)
        return Cancelled(True, False)


def video(path: Path, *, frames: int = 8, size: int = 64) -> None:
    """A real MP4 of grey frames, one second long by default."""
    media.write_video(
        path, [np.full((size, size, 3), 20 * i % 255, np.uint8) for i in range(frames)], fps=8, overwrite=True
    )
