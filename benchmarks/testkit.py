"""What the test kit costs: entering it, jobs of three minutes one after the other and side by side, and pytest's start.

    python benchmarks/testkit.py [RUNS] [--alone 20] [--crowds 100 1000]

Real seconds on the wall and of CPU (all threads), medians over RUNS. Every job takes 180 s on the mock's clock, with its plan,
ledger on disk, polls, and a 720p clip that is fetched, verified and published; the first clip of a process is encoded outside the
measurement. pytest's start is a run without tests, with the plugin and without, taking turns.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import vidorch
from vidorch.testing import mock

RUNS = 5
ALONE = 20
CROWDS = (100, 1_000)
Seconds = tuple[float, float, float]


def timed(work: Callable[[], float]) -> Seconds:
    """Seconds on the wall, of CPU, and virtual."""
    wall, cpu = time.perf_counter(), time.process_time()
    virtual = work()
    return time.perf_counter() - wall, time.process_time() - cpu, virtual


def enter() -> float:
    """Come and go."""
    with mock():
        return 0.0


def alone(count: int) -> float:
    """One job after the other."""
    with mock() as m:
        start = m.now
        for number in range(count):
            vidorch.generate(f"{number}", model="test/slow", seed=1)
        return m.now - start


def crowd(count: int) -> float:
    """All at once."""

    async def main() -> float:
        with mock() as m:
            start = m.now
            async with vidorch.AsyncClient() as client:
                await asyncio.gather(
                    *(client.generate(f"{number}", model="test/slow", seed=1) for number in range(count))
                )
            return m.now - start

    return asyncio.run(main())


def starts(runs: int) -> tuple[float, float]:
    """Seconds that pytest takes over nothing, without and with the plugin."""
    seen: dict[str, list[float]] = {"no:vidorch": [], "vidorch": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(runs * 2):
            for which, found in seen.items():
                more = ["-p", which] if which.startswith("no:") else []
                began = time.perf_counter()
                subprocess.run(
                    [sys.executable, "-m", "pytest", "-q", *more],
                    cwd=folder,
                    capture_output=True,
                    check=False,
                )
                found.append(time.perf_counter() - began)
    return statistics.median(seen["no:vidorch"]), statistics.median(seen["vidorch"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="?", type=int, default=RUNS)
    parser.add_argument("--alone", type=int, default=ALONE, help="jobs, one after the other")
    parser.add_argument("--crowds", type=int, nargs="+", default=CROWDS, help="jobs, all at once")
    asked = parser.parse_args()
    runs = asked.runs
    alone(1)
    print("| | jobs | wall, ms a job | CPU, ms a job | virtual, s in all |\n|---|---|---|---|---|")
    cases: list[tuple[str, int, Callable[[], float]]] = [
        ("enter and leave", 1, enter),
        ("one after the other", asked.alone, lambda: alone(asked.alone)),
    ]
    cases += [(f"{count:,} at once", count, lambda count=count: crowd(count)) for count in asked.crowds]  # type: ignore[misc]
    for name, jobs, work in cases:
        found = [timed(work) for _ in range(runs)]
        wall, cpu, virtual = (statistics.median(one[column] for one in found) for column in range(3))
        print(f"| {name} | {jobs} | {wall / jobs * 1000:.1f} | {cpu / jobs * 1000:.1f} | {virtual:.0f} |")
    without, with_plugin = starts(runs)
    print(
        f"\npytest's start: {without * 1000:.0f} ms without the plugin, {with_plugin * 1000:.0f} ms with it"
    )


if __name__ == "__main__":
    main()
