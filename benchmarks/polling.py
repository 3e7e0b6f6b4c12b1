"""How late the end of a job is seen, and with how many looks: our schedule beside those of others, on the same jobs.

    python -m benchmarks.polling [--seeds 20] [--jobs 200] [--learned 20]

Time is simulated. A job ends after a time that is drawn from a law; looks come when a schedule says so, never closer together
than the vendor's minimum `m` (others ignore it where theirs is a fixed number). For each seed our schedule sees twenty jobs, by
its own looks, and is then measured on others of the same law. The figures are medians over the seeds.

Asked: mean lag at most 0.5 m + 0.2 s, with at most half of the looks of one every `m` from the start.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vidorch.contract import Progress
from vidorch.polling import Schedule, Timetable

__all__ = ["LAWS", "MINIMA", "Seen", "learned", "looked_at", "ours", "wanted"]

Law = Callable[[random.Random], float]
Gaps = Callable[[random.Random], tuple[float, Callable[[float], float]]]
"""Seconds until the first look, and from a look at some age until the next."""

MEDIAN = 75.0
MINIMA = (0.5, 1.0, 5.0, 10.0)
AT_WORK = Progress("running")


def _lognormal(sigma: float) -> Law:
    return lambda chance: MEDIAN * chance.lognormvariate(0.0, sigma)


def _bimodal(chance: random.Random) -> float:
    return max(1.0, chance.gauss(45.0, 3.0) if chance.random() < 0.6 else chance.gauss(120.0, 6.0))


LAWS: dict[str, Law] = {
    "uniform, 50 to 100 s": lambda chance: chance.uniform(50.0, 100.0),
    "uniform, 40 to 110 s": lambda chance: chance.uniform(40.0, 110.0),
    "log-normal, .1": _lognormal(0.1),
    "log-normal, .2": _lognormal(0.2),
    "log-normal, .3": _lognormal(0.3),
    "bimodal, 45 and 120 s": _bimodal,
}


def _every(seconds: float) -> Gaps:
    return lambda _: (seconds, lambda age: seconds)


def _growing(age: float) -> float:
    return min(30.0, 5.0 * 2 ** int(age // 30.0))


OTHERS: dict[str, Gaps] = {
    "fal_client, 0.1 s": _every(0.1),
    "replicate, 0.5 s": _every(0.5),
    "openai, 1 s": _every(1.0),
    "AI SDK, 5 s": _every(5.0),
    "runwayml, 6 +- 1.5 s": lambda chance: (chance.uniform(4.5, 7.5), lambda age: chance.uniform(4.5, 7.5)),
    "litellm's pages, 10 s": _every(10.0),
    "genblaze, 5 to 30 s": lambda _: (5.0, _growing),
}


@dataclass(frozen=True)
class Seen:
    """What came of some jobs: seconds that their ends went unseen on average, and looks a job."""

    lag: float
    looks: float


def looked_at(ends: float, first: float, gap: Callable[[float], float]) -> tuple[float, int]:
    """The age at which it is seen that a job ended, and with how many looks."""
    age, looks = first, 1
    while age < ends:
        age += gap(age)
        looks += 1
    return age, looks


def measured(jobs: Sequence[float], gaps: Gaps, chance: random.Random) -> Seen:
    """The jobs, each looked at by a schedule of its own."""
    seen = [(ends, *looked_at(ends, *gaps(chance))) for ends in jobs]
    looks = statistics.fmean(many for *_, many in seen)
    return Seen(statistics.fmean(age - ends for ends, age, _ in seen), looks)


def ours(timetable: Timetable) -> Gaps:
    """Our schedule, as the engine uses it."""

    def gaps(_: random.Random) -> tuple[float, Callable[[float], float]]:
        schedule = Schedule(timetable)
        return schedule.first(), lambda age: schedule.next(age, AT_WORK)

    return gaps


def learned(law: Law, minimum: float, count: int, chance: random.Random) -> list[float]:
    """What the ledger knows after `count` jobs, newest first: when they were seen, by looks placed by what was known before."""
    known: list[float] = []
    for _ in range(count):
        timetable = Timetable(minimum, latencies=known, expected=MEDIAN, low=MEDIAN / 2, high=MEDIAN * 2)
        age, _ = looked_at(law(chance), *ours(timetable)(chance))
        known.insert(0, age)
    return known


def table(known: Sequence[float], minimum: float) -> Timetable:
    """The timetable that is made from it."""
    return Timetable(minimum, latencies=known, expected=MEDIAN, low=MEDIAN / 2, high=MEDIAN * 2)


def wanted(seen: Seen, every: Seen, minimum: float) -> bool:
    """Whether both limits hold."""
    return seen.lag <= 0.5 * minimum + 0.2 and seen.looks <= 0.5 * every.looks


def middle(many: Sequence[Seen]) -> Seen:
    """The medians over the seeds."""
    return Seen(statistics.median(one.lag for one in many), statistics.median(one.looks for one in many))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--learned", type=int, default=20)
    asked = parser.parse_args()
    print("| law | m, s | lag, s: asked | **ours** | looks a job: every m | **ours** | part | both | cold: lag, looks | "
          "2x slower since | 2x faster since |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, law in LAWS.items():
        for minimum in MINIMA:
            print(_row(name, law, minimum, asked.seeds, asked.jobs, asked.learned), flush=True)
    print("\n| lag, s, and looks a job | " + " | ".join(LAWS) + " |\n|---|" + "---|" * len(LAWS))
    for name, gaps in OTHERS.items():
        cells = []
        for law in LAWS.values():
            seen = middle([_others(law, gaps, seed, asked.jobs) for seed in range(asked.seeds)])
            cells.append(f"{seen.lag:.2f}, {seen.looks:.1f}")
        print(f"| {name} | " + " | ".join(cells) + " |")


def _others(law: Law, gaps: Gaps, seed: int, jobs: int) -> Seen:
    chance = random.Random(seed)
    return measured([law(chance) for _ in range(jobs)], gaps, chance)


def _row(name: str, law: Law, minimum: float, seeds: int, jobs: int, count: int) -> str:
    every, warm, cold, slower, faster = [], [], [], [], []
    for seed in range(seeds):
        chance = random.Random(seed)
        known = learned(law, minimum, count, chance)
        work = [law(chance) for _ in range(jobs)]
        every.append(measured(work, _every(minimum), chance))
        warm.append(measured(work, ours(table(known, minimum)), chance))
        cold.append(measured(work, ours(table((), minimum)), chance))
        slower.append(measured([2 * ends for ends in work], ours(table(known, minimum)), chance))
        faster.append(measured([ends / 2 for ends in work], ours(table(known, minimum)), chance))
    all_of, seen = middle(every), middle(warm)
    others = [middle(one) for one in (cold, slower, faster)]
    return (
        f"| {name} | {minimum:g} | {0.5 * minimum + 0.2:.2f} | **{seen.lag:.2f}** | {all_of.looks:.1f} "
        f"| **{seen.looks:.1f}** | "
        f"{seen.looks / all_of.looks:.2f} | {'yes' if wanted(seen, all_of, minimum) else 'no'} | "
        + " | ".join(f"{one.lag:.2f}, {one.looks:.1f}" for one in others)
        + " |"
    )


if __name__ == "__main__":
    main()
