"""What planning, estimating and adding up cost: CPU milliseconds of this process, medians over so many turns.

    python -m benchmarks.routing [--turns 20] [--jobs 100000]

The market is the shipped catalog (over 100 offers); the ledger is filled as `benchmarks.ledger` fills it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PLANS = (
    ("plan over the market, cheapest", {"route": "cheapest"}),
    ("plan over the market, fastest", {"route": "fastest"}),
    ("plan of one named model", {"model": "kling-3.0-pro"}),
)


def timed(what: Callable[[], object], turns: int) -> list[float]:
    """CPU milliseconds of each turn, after one that does not count."""
    what()
    took = []
    for _ in range(turns):
        began = time.process_time()
        what()
        took.append((time.process_time() - began) * 1000)
    return took


def row(name: str, took: list[float], asked: str = "") -> str:
    """A line of the table."""
    return f"| {name} | {statistics.median(took):.1f} | {min(took):.1f} | {max(took):.1f} | {asked} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VIDORCH_HOME"] = folder
        import vidorch
        from benchmarks.ledger import fill

        client = vidorch.Client()
        offers = len(client.catalog.offers)
        print(f"| CPU, ms, {offers} offers | median | least | most | asked: at most |\n|---|---|---|---|---|")
        for name, options in PLANS:
            took = timed(lambda: client.plan("a boat at dawn", duration=5, **options), asked.turns)  # type: ignore[arg-type]  # noqa: B023
            print(row(name, took, "20" if "market" in name else ""))
        took = timed(lambda: client.estimate("a boat at dawn", duration=5, route="cheapest"), asked.turns)
        print(row("plan and estimate over the market", took, "20"))
        took = timed(lambda: client._inner.compare("a boat at dawn", duration=5), asked.turns)
        print(row("the comparison of all models", took))
        client.close()

        fill(Path(folder) / "ledger.db", asked.jobs)
        with vidorch.Client() as client:
            turns = max(asked.turns // 4, 1)
            for by in ("model", "day", "tag"):
                took = timed(lambda: client.spend(by), turns)  # type: ignore[arg-type]  # noqa: B023
                print(row(f"spend by {by}, {asked.jobs:,} jobs", took, "1000"))
        from vidorch.ledger.glance import finished_jobs

        took = timed(lambda: finished_jobs(Path(folder) / "ledger.db"), asked.turns)
        print(row(f"latencies for plans, of {asked.jobs:,} jobs", took))


if __name__ == "__main__":
    main()
