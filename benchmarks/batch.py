"""What a batch costs: memory of the process while 500 and 5,000 lines are made, and CPU for each line.

    python -m benchmarks.batch [--lines 500 5000] [--at-once 100] [--runs 3] [--kept]

Lines go through `generate_as_completed`, at most `--at-once` of them under way, against the scripted remote of
`benchmarks.engine`, each size in a process of its own. "Held" is the most that there is over what was before the first line, seen
at every fiftieth result: what is in flight, which is the same for every size, and what grows with the lines. The rows of growth
are that alone, for each line between the smaller and the larger size. `--kept` measures `generate_many`, too, which keeps every
result.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from benchmarks.engine import FASTER, MODEL, Remote, _used, client, timed
from vidorch.client import AsyncClient

ASKED = 1.0
"""Kilobytes for each line that is done or has not begun: its prompt, and a few numbers."""
EVERY = 50
"""Results between two looks at the memory."""


def held(lines: int, at_once: int, *, traced: bool, kept: bool = False) -> float:
    """Kilobytes at most over what there was before: of the process, or of Python's own objects when `traced`."""

    async def work(folder: Path) -> float:
        FASTER["batch"] = 200.0
        async with client(folder, Remote(0, 2), "batch") as made:
            async for _ in made.generate_as_completed(
                (f"warm {n}" for n in range(at_once)), **options(lines, at_once)
            ):
                pass  # what is loaded and allotted once
            gc.collect()
            before, most = _used(traced), 0.0
            async for done in results(made, lines, at_once, kept=kept):
                if done % EVERY == 0 or done == lines:
                    gc.collect()
                    most = max(most, _used(traced) - before)
            return most

    if traced:
        tracemalloc.start()
    try:
        return timed(work)
    finally:
        tracemalloc.stop()


def cpu(lines: int, at_once: int) -> float:
    """Milliseconds of CPU for each line, the remote's and the check of all lines before the first among them."""

    async def work(folder: Path) -> float:
        FASTER["batch"] = 200.0
        async with client(folder, Remote(0, 2), "batch") as made:
            began = time.process_time()
            async for _ in results(made, lines, at_once):
                pass
            return (time.process_time() - began) / lines * 1e3

    return timed(work)


def options(lines: int, at_once: int) -> dict[str, object]:
    """Of a batch that fits its cap."""
    return {"model": MODEL, "at_once": at_once, "max_cost": lines + at_once}


def prompts(lines: int) -> Iterator[str]:
    """As many prompts of the length of real ones."""
    return (
        f"a ball {number}, rolling slowly to the left over a wooden table in the evening sun"
        for number in range(lines)
    )


async def results(made: AsyncClient, lines: int, at_once: int, *, kept: bool = False) -> AsyncIterator[int]:
    """How many results are there, each time one more is."""
    if kept:
        found = await made.generate_many(prompts(lines), **options(lines, at_once))  # type: ignore[arg-type]
        yield len(found)
        return
    done = 0
    async for _ in made.generate_as_completed(prompts(lines), **options(lines, at_once)):  # type: ignore[arg-type]
        done += 1
        yield done


def elsewhere(call: str) -> float:
    """A measurement in a fresh process: what ran before it grew the heap."""
    code = f"from benchmarks import batch; print(batch.{call})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def row(name: str, values: list[float], asked: float | None = None) -> str:
    """A line of a table: median, least, most."""
    limit = "" if asked is None else f"{asked:g}"
    return (
        f"| {name} | {statistics.median(values):,.2f} | {min(values):,.2f} | {max(values):,.2f} | {limit} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, nargs=2, default=[500, 5_000], metavar="N", help="the two sizes")
    parser.add_argument("--at-once", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--kept", action="store_true", help="generate_many, too, whose list has every result")
    asked = parser.parse_args()
    few, many = sorted(asked.lines)
    print(f"| {asked.at_once} at once | median | least | most | asked: at most |\n|---|---|---|---|---|")
    for traced, what in ((False, "the process"), (True, "objects of Python")):
        runs = 1 if traced else asked.runs
        found = {
            lines: [elsewhere(f"held({lines}, {asked.at_once}, traced={traced})") for _ in range(runs)] for lines in (few, many)
        }  # fmt: skip
        for lines, values in found.items():
            print(row(f"held, MB, {what}: {lines:,} lines", [value / 1024 for value in values]), flush=True)
        grown = [(more - less) / (many - few) for less, more in zip(found[few], found[many], strict=True)]
        print(row(f"growth, KB a line, {what}", grown, ASKED if traced else None), flush=True)
    if asked.kept:
        kept = [elsewhere(f"held({many}, {asked.at_once}, traced=True, kept=True)") / 1024]
        print(row(f"held, MB, objects of Python: {many:,} lines in a list", kept), flush=True)
    print(
        row(
            f"CPU, ms a line, {few:,} lines",
            [elsewhere(f"cpu({few}, {asked.at_once})") for _ in range(asked.runs)],
        )
    )


if __name__ == "__main__":
    main()
