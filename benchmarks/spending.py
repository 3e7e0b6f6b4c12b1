"""Eighty thousand reservations of odd amounts by eight processes, half of which are killed on the way: no cap may be passed.

    python -m benchmarks.spending [--processes 8] [--reservations 10000] [--seed 1]

What is tried, and what must hold while they spend and afterwards: see tests/promises/spending.py. The exit code is 1 when
something did not hold.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.promises.spending import Told, Trial, audit_caps, begin, spenders
from vidorch.ledger.ledger import Ledger

LOOK_EVERY = 2.0


def main() -> int:
    """Let them spend, and look on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--reservations", type=int, default=10_000, help="of each process")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    processes, each = arguments.processes, arguments.reservations
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        begin(str(path))
        trials = [
            Trial(str(path), number, each, arguments.seed, days=max(6, processes * each // 3_000),
                  dies_after=each * (number + 1) // processes if number < processes // 2 else None)
            for number in range(processes)
        ]  # fmt: skip
        ledger = Ledger(path)
        found: list[str] = []
        looks, began, looked = 0, time.perf_counter(), 0.0
        told: list[Told] = []
        for told in spenders(trials):  # noqa: B007  (what it is in the end is printed below)
            if time.perf_counter() - looked >= LOOK_EVERY:
                found += ledger._store.read(lambda db: audit_caps(db, whole=False))
                looks, looked = looks + 1, time.perf_counter()
        seconds = time.perf_counter() - began
        found += ledger._store.read(audit_caps)
        ledger.close()
    over = sum((one.over for one in told), Counter[str]())
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{processes} processes, {processes * each:,} jobs tried in {seconds:.0f} s, {cpu.ru_utime + cpu.ru_stime:.0f} s of CPU; "
        f"{sum(one.heir for one in told)} killed and followed by another"
    )
    print(
        f"reserved by those that lived: {sum(one.reserved for one in told):,}; refused calls: {over.total():,}, by "
        + ", ".join(f"{name} {count:,}" for name, count in over.most_common())
    )
    for finding in found[:50]:
        print(finding, file=sys.stderr)
    print(
        f"looked at {looks} moments on the way and at every row in the end; caps passed, or sums that differ: {len(found)}"
    )
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
