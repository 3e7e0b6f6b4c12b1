"""Seeded storms over every provider: how many jobs were paid for more than once. And real kills between a submit and its reply.

Usage: python -m benchmarks.faults [--storms 975] [--kills 25] [PROVIDER ...]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ["VIDORCH_LIVE"] = "1"

from tests.providers.storms import storm
from tests.providers.test_storms import CASES
from vidorch.testing import VirtualClock
from vidorch.testing.conformance import ProviderConformance


def kill(case: ProviderConformance, home: Path, *, taken: bool) -> str:
    """Kill -9 a process whose submit is on its way, and let another take the run up. Gives how that ended."""
    clock = VirtualClock(time.time())  # the child lives in real time
    server = case.serve(clock.now)
    from vidorch.testing.servers import Fault

    server.fail("submit", Fault("silent", taken=taken))
    with server:
        code = (
            "import benchmarks.faults as b, sys; from pathlib import Path; "
            f"b.child({type(case).__module__!r}, {type(case).__qualname__!r}, {server.url!r}, Path({str(home)!r}))"
        )
        child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
        until = time.monotonic() + 60
        while not server.count("submit") and time.monotonic() < until and child.poll() is None:
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert server.count("submit") == 1, child.stderr.read().decode()[-1000:] if child.stderr else ""
        server.heal()
        return asyncio.run(_after(case, server, home, clock))


async def _after(case: ProviderConformance, server: object, home: Path, clock: VirtualClock) -> str:
    async with case.client(server, home, clock) as client:  # type: ignore[arg-type]
        for run in await client.resume():
            with contextlib.suppress(Exception):
                await run.wait()
        (job,) = await client.jobs()
    return str(job.state)


def child(module: str, name: str, url: str, home: Path) -> None:
    """Submit, and never get an answer."""
    from importlib import import_module

    from vidorch.client.aio import AsyncClient
    from vidorch.contract import Endpoint

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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("providers", nargs="*", default=sorted(CASES))
    parser.add_argument("--storms", type=int, default=975)
    parser.add_argument("--kills", type=int, default=25)
    asked = parser.parse_args()
    print(f"{'provider':10} {'runs':>6} {'paid twice':>11}   how they ended")
    for name in asked.providers:
        case, ends = CASES[name](), Counter[str]()
        for seed in range(asked.storms):
            with tempfile.TemporaryDirectory() as folder:
                ends[storm(case, seed, Path(folder))] += 1
        for number in range(asked.kills):
            with tempfile.TemporaryDirectory() as folder:
                ends[f"killed: {kill(case, Path(folder), taken=number % 2 == 0)}"] += 1
        told = ", ".join(f"{how} {count}" for how, count in ends.most_common())
        print(
            f"{name:10} {asked.storms + asked.kills:6} {0:11}   {told}", flush=True
        )  # a second payment is an AssertionError


if __name__ == "__main__":
    main()
