"""Seeded storms over every provider: how many jobs were paid for more than once. And real kills between a submit and its reply.

Each storm is one call, made once more with its key when it is over, on a clock that jumps; its server is a real socket. Each kill
is `kill -9` of a process whose submit is on its way; another process takes the run up. A promise that was broken is printed with
a line that makes it again, and the command exits with 1. Ctrl-C (or SIGTERM) ends it with what was seen until then.

Usage: python -m benchmarks.faults [--storms 975] [--kills 25] [--processes N] [PROVIDER ...]
       python -m benchmarks.faults --packages [PROVIDER ...]    the vendors' own packages at the same servers instead
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

os.environ["VIDORCH_LIVE"] = "1"

from benchmarks import faults_packages
from tests.providers.kills import kill
from tests.providers.storms import Passed, ride
from tests.providers.test_storms import CASES

HEAD = (
    "provider", "runs", "paid jobs", "surplus", "taken, reply lost", "of these found again", "unknown at the end",
    "of these taken", "nothing taken, and told so", "promises broken", "CPU, ms a run",
)  # fmt: skip


@dataclass
class Tally:
    """What came of all runs of one provider.

    Attributes:
        paid: jobs that the vendor took. surplus: those beyond the first of a run. lost: runs whose accepted submit got no
            reply; found: of those, the ones that ended with their clip. unknown: runs that ended with a job of which nobody
            knows what became, its reservation held; taken: of those, the ones that the vendor had taken. free: runs of which
            nothing was taken, and that said so. broken: promises that were not kept. ends: how often each end was seen.
    """

    runs: int = 0
    paid: int = 0
    surplus: int = 0
    lost: int = 0
    found: int = 0
    unknown: int = 0
    taken: int = 0
    free: int = 0
    broken: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)

    def add(self, passed: Passed) -> None:
        """Count one run."""
        clip = passed.ended == "clip"
        self.runs += 1
        self.paid += passed.paid
        self.surplus += max(0, passed.paid - 1)
        self.lost += passed.lost
        self.found += passed.lost and clip and passed.found
        self.unknown += passed.unknown and not clip
        self.taken += passed.unknown and not clip and passed.paid > 0
        self.free += not passed.paid and passed.charged is False
        self.broken += [passed.broken] if passed.broken else []
        self.ends[passed.ended] += 1


def line(*cells: object) -> str:
    """One line of a table."""
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def one(name: str, what: str, number: int) -> tuple[Passed, float]:
    """One run, and the seconds of CPU that it took here."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        if what == "storm":
            passed = ride(CASES[name](), number, Path(folder))
        else:
            passed = kill(CASES[name](), Path(folder), taken=number % 2 == 0)
    return passed, time.process_time() - began


def table(names: list[str], storms: int, kills: int, processes: int) -> list[str]:
    """Print it, a line as soon as a provider is through; gives the promises that were broken."""
    print(line(*HEAD), "|---" * len(HEAD) + "|", sep="\n", flush=True)
    broken = []
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(
        processes, context
    ) as pool:  # most of a storm is threads that wait for each other
        for name in names:
            tally, cpu, stopped = Tally(), 0.0, False
            runs = [pool.submit(one, name, "storm", seed) for seed in range(storms)]
            runs += [pool.submit(one, name, "kill", number) for number in range(kills)]
            try:
                for done in as_completed(runs):
                    passed, seconds = done.result()
                    tally.add(passed)
                    cpu += seconds
                    if tally.runs % 100 == 0:
                        print(f"{name}: {tally.runs} runs", file=sys.stderr, flush=True)
            except KeyboardInterrupt:  # what was seen until then is still true
                stopped = True
                pool.shutdown(wait=False, cancel_futures=True)
            print(
                line(
                    name, tally.runs, tally.paid, tally.surplus, tally.lost, tally.found, tally.unknown, tally.taken, tally.free,
                    len(tally.broken), round(cpu / max(tally.runs, 1) * 1000),
                ), flush=True,
            )  # fmt: skip
            ends = ", ".join(f"{how} {times}" for how, times in tally.ends.most_common())
            print(f"{name}: {ends}", file=sys.stderr, flush=True)
            broken += sorted(tally.broken)
            if stopped:
                break
    return broken


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("providers", nargs="*", help="of " + ", ".join(sorted(CASES)) + "; all, if none")
    parser.add_argument("--storms", type=int, default=975)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--packages", action="store_true", help="the vendors' own packages instead, installed for it"
    )
    asked = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell in the background had them ignored
        signal.signal(number, signal.default_int_handler)
    if asked.packages:
        faults_packages.table(line, asked.providers)
        return
    broken = table(asked.providers or sorted(CASES), asked.storms, asked.kills, asked.processes)
    print("", *broken, sep="\n")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
