"""How late the end of a job is seen, and with how many looks: our schedule beside those of others, on the same jobs.

    python -m benchmarks.polling [--seeds 20] [--jobs 200] [--learned 20] [--oracle] [--drift]

Time is simulated. A job ends after a time that is drawn from a law; looks come when a schedule says so, never closer together
than the vendor's minimum `m` (others ignore it where theirs is a fixed number). For each seed our schedule sees twenty jobs, by
its own looks, and is then measured on others of the same law. The figures are medians over the seeds.

Asked: mean lag at most 0.5 m + 0.2 s, with at most half of the looks of one every `m` from the start. `--oracle` shows beside it
what part of those looks nobody can do with less, who knows the very law; `--drift` how soon it is learned that a model has become
quicker or slower.
"""

from __future__ import annotations

import argparse
import random
import statistics
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, exp

from vidorch.contract import Progress
from vidorch.inspection import inspect_at
from vidorch.latencies import Took
from vidorch.polling import Experience, Schedule, Timetable

__all__ = ["LAWS", "MINIMA", "Seen", "learned", "least_part", "looked_at", "middle", "ours", "wanted"]

Law = Callable[[random.Random], float]
Gaps = Callable[[random.Random], tuple[float, Callable[[float], float]]]
"""Seconds until the first look, and from a look at some age until the next."""

MEDIAN = 75.0
MINIMA = (0.5, 1.0, 5.0, 10.0)
AT_WORK = Progress("running")
SAID = {"expected": MEDIAN, "low": MEDIAN / 2, "high": MEDIAN * 2}
"""What the catalog says of every law."""


def _lognormal(sigma: float) -> Law:
    return lambda chance: MEDIAN * chance.lognormvariate(0.0, sigma)


def _bimodal(chance: random.Random) -> float:
    return max(1.0, chance.gauss(45.0, 3.0) if chance.random() < 0.6 else chance.gauss(120.0, 6.0))


LAWS: dict[str, Law] = {
    "uniform, 50 to 100 s": lambda chance: chance.uniform(50.0, 100.0),
    "uniform, 40 to 110 s": lambda chance: chance.uniform(40.0, 110.0),
    "uniform, 20 to 90 s": lambda chance: chance.uniform(20.0, 90.0),
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


def looked_at(ends: float, first: float, gap: Callable[[float], float]) -> tuple[Took, int]:
    """Between which looks a job ended, and how many it took to see that."""
    age, before, looks = first, 0.0, 1
    while age < ends:
        age, before, looks = age + gap(age), age, looks + 1
    return Took(age, before), looks


def measured(jobs: Sequence[float], gaps: Gaps, chance: random.Random) -> Seen:
    """The jobs, each looked at by a schedule of its own."""
    seen = [(ends, *looked_at(ends, *gaps(chance))) for ends in jobs]
    looks = statistics.fmean(many for *_, many in seen)
    return Seen(statistics.fmean(took.seen - ends for ends, took, _ in seen), looks)


def ours(timetable: Timetable) -> Gaps:
    """Our schedule, as the engine uses it."""

    def gaps(_: random.Random) -> tuple[float, Callable[[float], float]]:
        return _of(Schedule(timetable))

    return gaps


def _of(schedule: Schedule) -> tuple[float, Callable[[float], float]]:
    return schedule.first(), lambda age: schedule.next(age, AT_WORK)


def learned(law: Law, minimum: float, count: int, chance: random.Random) -> list[Took]:
    """What the ledger knows after `count` jobs, newest first: when they were seen, by looks placed by what was known before."""
    known = Experience()
    for _ in range(count):
        schedule = known.schedule(minimum, **SAID)
        took, _ = looked_at(law(chance), *_of(schedule))
        known.learn(took)
    return known.took


def table(known: Sequence[Took], minimum: float) -> Timetable:
    """The timetable that is made from it."""
    return Timetable(minimum, latencies=known, **SAID)


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
    parser.add_argument("--oracle", action="store_true")
    parser.add_argument("--drift", action="store_true")
    asked = parser.parse_args()
    if asked.drift:
        _show_drift(asked.seeds)
        return
    print("| law | m, s | lag, s: asked | **ours** | looks a job: every m | **ours** | part | both | cold: lag, looks | "
          "2x slower since | 2x faster since |" + (" least part |" if asked.oracle else ""))  # fmt: skip
    print("|---" * (12 if asked.oracle else 11) + "|")
    for name, law in LAWS.items():
        for minimum in MINIMA:
            least = f" {least_part(law, minimum):.2f} |" if asked.oracle else ""
            print(_row(name, law, minimum, asked.seeds, asked.jobs, asked.learned) + least, flush=True)
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


def least_part(law: Law, minimum: float) -> float:
    """The part of the looks of one every `minimum` below which nobody sees the ends as soon as asked, knowing the very law.

    Looks plus a price times lag cannot be less than the cheapest plan at that price costs, whatever the price (Lagrange's bound):
    the highest of these bounds, over plans that look at points a hundredth of `minimum` apart.
    """
    chance = random.Random(999)
    ends = sorted(law(chance) for _ in range(20_000))
    width = max(minimum / 100, 0.05)
    times = [number * width for number in range(ceil(ends[-1] / width) + 1)]
    done = [bisect_right(ends, time) / len(ends) for time in times]
    late = 0.5 * minimum + 0.2

    def bound(price: float) -> float:
        plan = inspect_at(times, done, minimum=minimum, price=exp(price))
        return plan.looks + exp(price) * (plan.lag - late)

    low, high = -8.0, 4.0
    while high - low > 0.05:  # it rises, then falls
        third = (high - low) / 3
        low, high = (low + third, high) if bound(low + third) < bound(high - third) else (low, high - third)
    return bound((low + high) / 2) / statistics.fmean(ceil(end / minimum) for end in ends)


SPANS = ((20, 40), (40, 50), (50, 60), (60, 80), (80, 140))
DRIFTS = {"2x quicker": 0.5, "4x quicker": 0.25, "2x slower": 2.0}


def _show_drift(seeds: int) -> None:
    """Lag and part of the looks of every `m`, before and after a model changes at its fortieth job: medians over the seeds."""
    print(
        "| since job 40 | spread | m, s | an end is | jobs 21-40: lag, part | 41-50 | 51-60 | 61-80 | 81-140 |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, factor in DRIFTS.items():
        for sigma in (0.05, 0.2):
            for minimum in MINIMA[1:]:
                for how in ("when it was seen", "between two looks"):
                    rows = [
                        _drifted(factor, sigma, minimum, seed, how == "between two looks")
                        for seed in range(seeds)
                    ]
                    cells = [
                        f"{statistics.median(row[at][0] for row in rows):.2f}, "
                        f"{statistics.median(row[at][1] for row in rows):.2f}"
                        for at in range(len(SPANS))
                    ]
                    print(f"| {name} | {sigma} | {minimum:g} | {how} | {' | '.join(cells)} |", flush=True)


def _drifted(
    factor: float, sigma: float, minimum: float, seed: int, between: bool
) -> list[tuple[float, float]]:
    chance, known, seen = random.Random(seed), Experience(), []
    for number in range(SPANS[-1][1]):
        ends = MEDIAN * (1.0 if number < 40 else factor) * chance.lognormvariate(0.0, sigma)
        schedule = known.schedule(minimum, **SAID)
        took, looks = looked_at(ends, *_of(schedule))
        known.learn(took if between else Took(took.seen))
        seen.append((took.seen - ends, looks, ceil(ends / minimum)))
    return [
        (
            statistics.fmean(lag for lag, *_ in seen[start:end]),
            sum(looks for _, looks, _ in seen[start:end]) / sum(every for *_, every in seen[start:end]),
        )
        for start, end in SPANS
    ]


if __name__ == "__main__":
    main()
