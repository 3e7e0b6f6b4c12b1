"""How long a job takes, as far as anybody can know: from jobs that were seen, and from what the catalog says.

The law is a mixture of even stretches, so its distribution is straight between knots and costs no special function.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import exp, inf, log, sqrt
from typing import NamedTuple

__all__ = ["SEEN_LATE", "Law", "Took", "law_of"]

SEEN_LATE = 60.0
"""Seconds after the look that was due: a job that is seen done later than that was done while nobody looked."""
FADES = 0.97
"""Weight of a job against the one after it: vendors change their machines, so the last thirty count most."""
MOST = 120
"""All that are older weigh three hundredths together."""
NARROWEST, WIDEST = 0.015, 0.35
"""How far a job speaks for its surroundings, at least and at most, in log time."""
REACH = 0.7
NEIGHBOURS = 2.0
"""Times the root of their number: so many neighbours on, REACH of the distance, is how far a job speaks."""
TAIL, FAR = 0.2, 2.5
"""A fifth of each job's weight reaches two and a half times as far: no two dozen jobs show the whole of their law."""
BLUR = 0.25
"""The least of that, in parts of the time between the two looks that a job ended between."""
WIDE, LONG = 0.35, 2.5
"""More than this part of a job's time, and than so many minimal gaps, between those two looks: nobody knows when it ended. Most
of the few that a law expects before its first look end near to it, so there they are put."""
SOONEST = 0.2
"""The part of the time until it was seen done before which no job is thought to have ended."""
SHORTEST, LONGEST = 1e-6, 1e9
"""Seconds: what is said to be outside of these is a mistake, and must not break the arithmetic."""


class Took(NamedTuple):
    """How long a job took, as far as looks can tell.

    Attributes:
        seen: seconds from accepted until a look found it done. working: until the last look before that, which found it at
            work; 0 when it was the first one, None where nobody knows.
    """

    seen: float
    working: float | None = None

    def unknown(self, minimum: float) -> float:
        """Seconds between the two looks that it ended between."""
        working = self.seen - minimum if self.working is None else self.working
        return self.seen - min(max(working, 0.0), self.seen)

    def is_wide(self, minimum: float) -> bool:
        """Whether that is so long that nobody knows when it ended."""
        return self.unknown(minimum) > max(WIDE * self.seen, LONG * minimum)


@dataclass(frozen=True, slots=True)
class Law:
    """How likely it is that a job is done by a time: straight between knots, nothing outside.

    Attributes:
        times: seconds since it was accepted, rising. done: the share of jobs that took at most so long, from 0 to 1.
    """

    times: tuple[float, ...]
    done: tuple[float, ...]

    def quantile(self, share: float) -> float:
        """Seconds within which that share of jobs is done."""
        at = min(max(1, bisect_left(self.done, share)), len(self.done) - 1)
        before, after = self.done[at - 1], self.done[at]
        part = (share - before) / (after - before) if after > before else 1.0
        return self.times[at - 1] + min(1.0, max(0.0, part)) * (self.times[at] - self.times[at - 1])

    def share(self, seconds: float) -> float:
        """The share of jobs that is done within so many seconds."""
        if not self.times[0] < seconds < self.times[-1]:
            return 0.0 if seconds <= self.times[0] else 1.0
        at = bisect_left(self.times, seconds)
        part = (seconds - self.times[at - 1]) / (self.times[at] - self.times[at - 1])
        return self.done[at - 1] + part * (self.done[at] - self.done[at - 1])

    def sample(self, count: int) -> tuple[list[float], list[float]]:
        """About `count` points of the law, and time 0 before them: close together where much happens, in log time elsewhere."""
        first, last = max(self.times[0], self.times[-1] * 1e-4), self.times[-1]
        stretch = log(last / first) or 1.0
        marks = [
            0.6 * done + 0.4 * log(max(time, first) / first) / stretch
            for time, done in zip(self.times, self.done, strict=True)
        ]
        times, shares, at = [0.0], [0.0], 0
        for number in range(count + 1):
            mark = marks[-1] * number / count
            while at < len(marks) - 2 and marks[at + 1] < mark:
                at += 1
            step = marks[at + 1] - marks[at]
            part = min(1.0, max(0.0, (mark - marks[at]) / step)) if step > 0 else 1.0
            time = self.times[at] + part * (self.times[at + 1] - self.times[at])
            if time > times[-1]:
                times.append(time)
                shares.append(self.done[at] + part * (self.done[at + 1] - self.done[at]))
        shares[-1] = 1.0
        return times, shares


def law_of(
    latencies: Sequence[Took],
    *,
    minimum: float,
    expected: float = 0.0,
    low: float = 0.0,
    high: float = 0.0,
    doubt: float = 0.0,
) -> Law | None:
    """The law of jobs like these. None when nothing at all is known.

    Args:
        latencies: what is known of each job, newest first. minimum: seconds between two looks.
        expected, low, high: what the catalog says, 0 where it says nothing. Counts for much as long as there are few jobs
            (half of it beside two of them, a twentieth beside twelve).
        doubt: from 0 to 1, how likely it is that jobs have become quicker: so much of each that ended between two looks far
            apart is spread evenly between them.
    """
    ends = [_end_of(took, minimum) for took in latencies[:MOST] if 0 <= took.seen < inf]
    said = _said(expected, low, high)
    if not ends and not said:
        return None
    trust = 1.0 if not ends else 1 / (1 + len(ends) / 4 + len(ends) ** 2 / 8)
    stretches = [
        (start, end, weight * (1 - trust if said else 1)) for start, end, weight in _spread(ends, doubt)
    ]
    stretches += [(start, end, weight * (trust if ends else 1)) for start, end, weight in said]
    return _mixed(stretches)


class _End(NamedTuple):
    """When a job ended: about `at`, known to `blur` seconds; or, by looks alone, anywhere in `between`."""

    at: float
    blur: float
    between: tuple[float, float] | None


def _end_of(took: Took, minimum: float) -> _End:
    seen = min(max(took.seen, SHORTEST), LONGEST)
    unknown = took.unknown(minimum)
    if unknown > WIDE * seen and took.is_wide(minimum):
        return _End(max(seen - minimum / 2, seen / 2), minimum, (max(seen - unknown, SOONEST * seen), seen))
    unknown = max(unknown, minimum)
    return _End(max(seen - unknown / 2, seen / 2), unknown, None)


def _said(expected: float, low: float, high: float) -> list[tuple[float, float, float]]:
    """The catalog's range: half of the weight about the middle of it, a tenth outside, for ranges go out of date."""
    low, expected, high = (
        min(max(value, SHORTEST), LONGEST) if 0 < value < inf else 0.0 for value in (low, expected, high)
    )
    told = [value for value in (low, expected, high) if value]
    if not told:
        return []
    middle = expected if expected in told else sqrt(told[0] * told[-1])
    least = min(low if low in told else middle / 3, middle)
    most = max(high if high in told else middle * 3, middle)
    return [
        (sqrt(least * middle), sqrt(middle * most), 0.5), (least, most, 0.4), (least / 3, most * 2, 0.1),
    ]  # fmt: skip


def _spread(ends: Sequence[_End], doubt: float) -> list[tuple[float, float, float]]:
    """Each job as two stretches about it, as wide as its neighbours are far: narrow in a mode, and no bridge between two."""
    count = len(ends)
    if not count:
        return []
    near = min(count - 1, max(1, round(NEIGHBOURS * sqrt(count))))
    least = max(NARROWEST, 0.3 / count)
    whole = (1 - FADES**count) / (1 - FADES)
    stretches = []
    far = _distances([log(end.at) for end in ends], near) if count > 1 else [inf]
    for age, end in enumerate(ends):
        width = min(WIDEST, max(least, REACH * far[age]))
        width = max(width, min(WIDEST, BLUR * end.blur / end.at))
        weight = FADES**age / whole
        if end.between is not None and doubt:
            stretches.append((*end.between, weight * doubt))
            weight *= 1 - doubt
        for reach, share in ((width, 1 - TAIL), (width * FAR, TAIL)):
            stretches.append((end.at * exp(-reach), end.at * exp(reach), weight * share))
    return stretches


def _distances(values: Sequence[float], near: int) -> list[float]:
    """From each of them to the one that is `near` neighbours away."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ordered = [values[place] for place in order]
    far, first, last = [0.0] * len(values), 0, near
    for place, value in zip(order, ordered, strict=True):
        while last + 1 < len(ordered) and ordered[last + 1] - value < value - ordered[first]:
            first, last = first + 1, last + 1
        far[place] = max(value - ordered[first], ordered[last] - value)
    return far


def _mixed(stretches: Sequence[tuple[float, float, float]]) -> Law:
    """Add up even stretches: the slope changes where one begins or ends."""
    bends: dict[float, float] = {}
    for start, end, weight in stretches:
        last = max(end, start * (1 + 1e-9))
        slope = weight / (last - start)
        bends[start] = bends.get(start, 0.0) + slope
        bends[last] = bends.get(last, 0.0) - slope
    times = sorted(bends)
    done, slope, total = [0.0], 0.0, 0.0
    for before, after in pairwise(times):
        slope += bends[before]
        total += max(0.0, slope) * (after - before)
        done.append(total)
    return Law(tuple(times), tuple(min(1.0, share / total) for share in accumulate(done, max)))
