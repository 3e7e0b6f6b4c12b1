"""Real kills between a submit and its reply, over every provider, and what has to be true all the same."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import time
from importlib import import_module
from pathlib import Path

from tests.providers.storms import Passed
from vidorch.client.aio import AsyncClient
from vidorch.contract import Endpoint
from vidorch.result import Job
from vidorch.testing import VirtualClock
from vidorch.testing.conformance import ProviderConformance
from vidorch.testing.servers import Fault, ProtocolServer

__all__ = ["kill"]

SEEN = 600.0
"""Seconds within which the submit of the process to kill has to arrive: a machine may be very busy."""


def kill(case: ProviderConformance, home: Path, *, taken: bool) -> Passed:
    """Kill -9 a process whose submit is on its way, and let another take the run up.

    Args:
        taken: whether the vendor accepts what was sent.

    Raises:
        AssertionError: the process ended by itself.
    """
    clock = VirtualClock(time.time())  # the child lives in real time
    server = case.serve(clock.now)
    server.fail("submit", Fault("silent", taken=taken))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "vidorch.engine", "vidorch.http", "aiohttp"])
    with server:
        mine = type(case)
        child = context.Process(
            target=_submit, args=(mine.__module__, mine.__qualname__, server.url, home), daemon=True
        )
        child.start()
        until = time.monotonic() + SEEN
        while not server.count("submit") and time.monotonic() < until and child.is_alive():
            child.join(0.01)
        child.kill()
        child.join()
        assert server.count("submit") == 1, (
            f"{case.model}: the child ended with {child.exitcode}, nothing sent"
        )
        server.heal()
        jobs = asyncio.run(_after(case, server, home, clock))
    states, ids = [str(job.state) for job in jobs], {job.remote_id for job in jobs}
    paid, unknown, clip = len(server.jobs), "unknown" in states, "settled" in states
    found = bool(server.jobs) and all(job.id in ids for job in server.jobs)
    wrong = ""
    if paid != taken:
        wrong = f"paid {paid} times"
    elif taken and not (clip if case.finds else clip or unknown):
        wrong = "paid and forgotten"
    broken = f"{wrong}: kill({case.model!r}, taken={taken}): {states}" if wrong else ""
    return Passed("clip" if clip else "/".join(states), None, paid, taken, unknown, found, broken)


async def _after(
    case: ProviderConformance, server: ProtocolServer, home: Path, clock: VirtualClock
) -> list[Job]:
    async with case.client(server, home, clock) as client:
        for run in await client.resume():
            with contextlib.suppress(Exception):  # what became of it is read from the ledger
                await run.wait()
        return list(await client.jobs())


def _submit(module: str, name: str, url: str, home: Path) -> None:
    """Submit, and never get an answer: the process to kill."""
    os.environ["VIDORCH_LIVE"] = "1"
    case = getattr(import_module(module), name)()
    endpoint = case.model.partition("/")[0]
    options = {"submit_timeout": 300.0, **case.options}

    async def go() -> None:
        where = {endpoint: Endpoint(endpoint, endpoint, base_url=url, options=options)}
        async with AsyncClient(
            home=home,
            catalog=case.catalog,
            providers=case.providers,
            endpoints=where,
            credentials=lambda scope, name: case.key,
        ) as client:
            await client.generate(**{**case.asks, "model": case.model, "key": "kill"})

    asyncio.run(go())
