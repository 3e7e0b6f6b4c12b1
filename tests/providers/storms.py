"""Seeded storms: everything that can go wrong with one call, at once, and what has to be true all the same."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vidorch.client.aio import AsyncClient
from vidorch.errors import VidorchError
from vidorch.testing import VirtualClock
from vidorch.testing.conformance import ProviderConformance
from vidorch.testing.servers import FAULTS, ProtocolServer

__all__ = ["Passed", "Weather", "ride", "storm"]

SUBMIT = [name for name in FAULTS if name not in ("drip", "endless")]
LOOK = [
    "error-500",
    "gateway-502",
    "error-503",
    "gateway-504",
    "error-429-after",
    "reset-before",
    "reset-after",
    "cut",
    "not-json",
]
FETCH = ["gateway-500", "gateway-503", "reset-before", "reset-after", "cut"]


@dataclass(frozen=True)
class Weather:
    """What one seed does to a call.

    Attributes:
        submits, looks, fetches: faults in the order in which they happen. leaves: after how many steps the caller lets go and
            another client takes the run up; 0 for never. replay: a line that makes it again.
    """

    submits: tuple[str, ...]
    looks: tuple[str, ...]
    fetches: tuple[str, ...]
    leaves: bool
    replay: str

    @classmethod
    def of(cls, provider: str, seed: int) -> Weather:
        """The weather of a seed."""
        dice = random.Random(f"{provider}/{seed}")

        def some(names: list[str], most: int) -> tuple[str, ...]:
            return tuple(dice.choice(names) for _ in range(dice.randint(0, most)))

        return cls(
            some(SUBMIT, 2),
            some(LOOK, 4),
            some(FETCH, 2),
            dice.random() < 0.3,
            f"storm({provider!r}, seed={seed})",
        )


@dataclass(frozen=True)
class Passed:
    """What a storm left behind.

    Attributes:
        ended: "clip", or the type of the error. charged: what that error says of money; True of a clip. paid: jobs that the
            vendor took. lost: whether one was taken by a submit whose reply never came. unknown: whether the ledger has a job
            of which nobody knows what became, its reservation held. found: whether what was taken has its row in the ledger.
        broken: the promise that was broken, with a line that makes it again; empty if none was.
    """

    ended: str
    charged: bool | None
    paid: int
    lost: bool
    unknown: bool
    found: bool
    broken: str


def storm(case: ProviderConformance, seed: int, home: Path) -> Passed:
    """Make one call in the weather of a seed and hold it to the promises.

    Raises:
        AssertionError: a promise was broken; with a line that makes it again.
    """
    passed = ride(case, seed, home)
    assert not passed.broken, passed.broken
    return passed


def ride(case: ProviderConformance, seed: int, home: Path) -> Passed:
    """The same without a judgement: what was broken is told."""
    clock = VirtualClock()
    server = case.serve(clock.now)
    weather = Weather.of(case.model, seed)
    server.fail("submit", *weather.submits)
    server.fail("poll", *weather.looks)
    server.fail("result" if server.fetches_from_itself else "download", *weather.fetches)
    with server:
        error, jobs, told = asyncio.run(_call(case, server, home, clock, weather))
    ended = "clip" if error is None else type(error).__name__
    happened = weather.submits[: len(weather.submits) - server.pending("submit")]
    ids = {job.remote_id for job in jobs}
    passed = Passed(
        ended,
        True if error is None else error.charged,
        len(server.jobs),
        bool(server.jobs) and any(FAULTS[name].works for name in happened),
        any(job.state == "unknown" for job in jobs),
        bool(server.jobs) and all(job.id in ids for job in server.jobs),
        "",
    )
    wrong = f"the key is in the error: {told}" if told else _wrong(case, server, passed)
    if not wrong:
        return passed
    here = [job.state for job in jobs]
    return replace(
        passed,
        broken=f"{wrong}: {weather.replay}: {ended}, {len(server.jobs)} jobs there, {here} here, {weather}",
    )


async def _call(
    case: ProviderConformance, server: ProtocolServer, home: Path, clock: VirtualClock, weather: Weather
) -> tuple[VidorchError | None, list[Any], str]:
    make: Callable[[], AsyncClient] = lambda: case.client(server, home, clock)  # noqa: E731
    asks = {**case.asks, "model": case.model, "key": "storm"}
    told = ""
    try:
        if weather.leaves:
            async with make() as client:
                run = await client.submit(**{**asks, "detach": True})
            async with make() as other:
                await (await other.run(run.id)).wait()
        else:
            async with make() as client:
                await client.generate(**asks)
    except VidorchError as error:
        told = type(error).__name__ if case.key in str(error) else ""
    async with make() as client:  # once more with its key: what was paid is found, nothing is paid again
        try:
            await client.generate(**asks)
        except VidorchError as error:
            return error, await client.jobs(), told
        return None, await client.jobs(), told


def _wrong(case: ProviderConformance, server: ProtocolServer, passed: Passed) -> str:
    if passed.paid > 1:
        return f"paid {passed.paid} times"
    if server.leaks:
        return "a credential went abroad"
    if not passed.paid:
        return "a clip that nobody was paid for" if passed.ended == "clip" else ""
    if case.finds:
        return "" if passed.ended == "clip" and passed.found else "paid and lost"
    return "" if passed.ended == "clip" or passed.unknown else "paid and forgotten"
