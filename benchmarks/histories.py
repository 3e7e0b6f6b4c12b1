"""Ten thousand histories of crashes, sleep and lost replies: each must keep every promise. See tests/promises/histories.py.

python -m benchmarks.histories                     # 10,000 of them, over all cores
python -m benchmarks.histories --seed 27 --trace   # one, step by step
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter

from tests.promises.histories import BrokenPromise, play

PART = 100


def main() -> int:
    """Play and count. The exit code is 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="play this one alone")
    parser.add_argument("--trace", action="store_true", help="print what happened, step by step")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _one(arguments.seed, arguments.trace)
    return _many(range(arguments.first, arguments.first + arguments.count), arguments.processes)


def _one(seed: int, trace: bool) -> int:
    try:
        history = play(seed, trace=trace)
    except BrokenPromise as broken:
        print("\n".join([*broken.trace, str(broken)]))
        return 1
    print("\n".join(history.trace))
    for job in history.jobs:
        print(f"{job.id}  {job.endpoint}/{job.model}  {job.state}  {job.cost} {job.cost_basis or ''}")
    print(f"{history.submits} submits; callers were told: {', '.join(history.outcomes)}")
    return 0


def _many(seeds: range, processes: int) -> int:
    began, states, outcomes, broken = time.perf_counter(), Counter[str](), Counter[str](), 0
    kills = sleeps = submits = 0
    parts = [seeds[place : place + PART] for place in range(0, len(seeds), PART)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for found in pool.imap_unordered(_part, parts):
            for text in found["broken"]:
                broken += 1
                print(text, file=sys.stderr)
            states.update(found["states"])
            outcomes.update(found["outcomes"])
            kills, sleeps, submits = (
                kills + found["kills"],
                sleeps + found["sleeps"],
                submits + found["submits"],
            )
    seconds = time.perf_counter() - began
    print(
        f"{len(seeds)} histories in {seconds:.0f} s ({1000 * seconds * processes / len(seeds):.0f} ms of a core each)"
    )
    print(f"{kills} processes killed, {sleeps} put to sleep, {submits} submits sent")
    print(f"jobs: {', '.join(f'{count} {name}' for name, count in states.most_common())}")
    print(f"callers got: {', '.join(f'{count} {name}' for name, count in outcomes.most_common())}")
    print(f"histories with a broken promise: {broken}")
    return int(broken > 0)


def _part(seeds: range) -> dict[str, object]:
    states, outcomes, broken = Counter[str](), Counter[str](), []
    kills = sleeps = submits = 0
    for seed in seeds:
        try:
            history = play(seed)
        except BrokenPromise as error:
            broken.append(str(error))
            continue
        states.update(job.state for job in history.jobs)
        outcomes.update(history.outcomes)
        kills, sleeps, submits = kills + history.kills, sleeps + history.sleeps, submits + history.submits
    return {
        "broken": broken, "states": states, "outcomes": outcomes, "kills": kills, "sleeps": sleeps, "submits": submits,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
