"""Seeded storms: everything that can go wrong with one call, at once, and what has to be true all the same."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidorch.client.aio import AsyncClient
from vidorch.errors import VidorchError
from vidorch.testing import VirtualClock
from vidorch.testing.conformance import ProviderConformance
from vidorch.testing.servers import FAULTS, ProtocolServer

__all__ = ["Weather", "storm"]

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


def storm(case: ProviderConformance, seed: int, home: Path) -> str:
    """Make one call in the weather of a seed and hold it to the promises. Gives how it ended.

    Raises:
        AssertionError: a promise was broken; with a line that makes it again.
    """
    clock = VirtualClock()
    server = case.serve(clock.now)
    weather = Weather.of(case.model, seed)
    server.fail("submit", *weather.submits)
    server.fail("poll", *weather.looks)
    server.fail("result" if server.fetches_from_itself else "download", *weather.fetches)
    with server:
        outcome = asyncio.run(_call(case, server, home, clock, weather))
    _hold(case, server, outcome, weather)
    return outcome[0]


async def _call(
    case: ProviderConformance, server: ProtocolServer, home: Path, clock: VirtualClock, weather: Weather
) -> tuple[str, list[Any]]:
    make: Callable[[], AsyncClient] = lambda: case.client(server, home, clock)  # noqa: E731
    asks = {**case.asks, "model": case.model, "key": "storm"}
    try:
        if weather.leaves:
            async with make() as client:
                run = await client.submit(**{**asks, "detach": True})
            async with make() as other:
                await (await other.run(run.id)).wait()
        else:
            async with make() as client:
                await client.generate(**asks)
        ended = "clip"
    except VidorchError as error:
        ended = type(error).__name__
        assert case.key not in str(error), weather.replay
    async with make() as client:  # once more with its key: what was paid is found, nothing is paid again
        try:
            await client.generate(**asks)
            ended = "clip"
        except VidorchError as error:
            ended = type(error).__name__
        return ended, await client.jobs()


def _hold(
    case: ProviderConformance, server: ProtocolServer, outcome: tuple[str, list[Any]], weather: Weather
) -> None:
    ended, jobs = outcome
    said = f"{weather.replay}: {ended}, {len(server.jobs)} jobs there, {[job.state for job in jobs]} here, {weather}"
    assert len(server.jobs) <= 1, f"paid {len(server.jobs)} times: {said}"
    assert not server.leaks, f"a credential went abroad: {said}"
    if not server.jobs:
        assert ended != "clip", said
    elif case.finds:
        assert ended == "clip", f"paid and lost: {said}"
        assert server.jobs[0].id in [job.remote_id for job in jobs], said
    else:
        found = ended == "clip" or "unknown" in [job.state for job in jobs]
        assert found, f"paid and forgotten: {said}"
