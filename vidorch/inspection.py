"""When to look at something that ends at an unknown time, so that few looks see the end soon.

The problem of R. E. Barlow, L. C. Hunter, F. Proschan, "Optimum checking procedures" (J. SIAM 11, 1963): looks cost, and so does
the time that an end goes unseen. Here with a least time between looks, and solved backwards over points of time:

    cost(now) = unfinished(now) + price * (seconds unseen until the next look) + cost(next look)

The next look is either one chosen point (the minimum over all of them is that of straight lines in `done(now)`, so all points
together take as long as there are points), or, where points are too far apart for that, the first of many at the rate that
J. B. Keller found ("Optimum checking schedules for systems subject to random failure", Management Science 21, 1974).

Each price has its optimal plan, but from one price to the next lag and looks leap, most where looks every `minimum` seconds are
best: then one more or less at the start is all that a price decides. So every point is tried as the first look of every plan.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt

__all__ = ["Inspection", "inspect", "inspect_at"]

FINE = 10
"""Points closer together than a tenth of the least time between looks are close enough for choosing among them alone."""
TRIES = 24
CLOSE = 0.1


@dataclass(frozen=True, slots=True)
class Inspection:
    """What to do at each point of time.

    Attributes:
        times: points, rising from 0. steps: positive: look again at that time; negative: after so many seconds.
        lag: seconds that an end goes unseen, on average. looks: how many it takes, on average. spare: how many more it might.
    """

    times: Sequence[float]
    steps: Sequence[float]
    lag: float
    looks: float
    spare: float = inf

    @property
    def end(self) -> float:
        """After this nothing is planned: everything should have ended."""
        return self.times[-1]

    def gap(self, now: float) -> float:
        """Seconds until the next look, from one at `now` that saw no end. Not less than 0."""
        step = self.steps[max(0, bisect_right(self.times, now) - 1)]
        return -step if step < 0 else max(0.0, step - now)


def inspect(
    times: Sequence[float], done: Sequence[float], *, minimum: float, lag: float, part: float = inf
) -> Inspection:
    """The fewest looks that see an end `lag` seconds late on average, or as near to that as looks every `minimum` seconds come.

    Args:
        times: points, rising from 0. done: the share that has ended by then, from 0 to 1. minimum: seconds between two looks.
        part: of the looks of one every `minimum` seconds, how many a nearer end is worth at most.
    """
    ground = _Ground(times, done, minimum)
    most = max(2.0, part * (ground.middles[-1] / minimum + 0.5))
    # Looks every g seconds cost 1 / g and g / 2 of lag: the price at which g is `minimum`, over the time in which most ends.
    guess = log(2 * (times[-1] - times[len(times) // 4] + minimum) / minimum**2)
    # A second unseen is worth a look every `minimum` seconds at least, so that no rare end waits for very long.
    least = -log(minimum)
    cheap, dear, chosen = -inf, inf, None
    price = max(guess, least)
    soonest = bisect_left(times, minimum)
    for _ in range(TRIES):
        found = _solve(ground, minimum, exp(price))
        for first in (0, *range(soonest, len(times))):
            looks = found.costs[first] - found.price * found.lags[first] + (1 if first else 0)
            late = found.lags[first] + ground.bases[first]  # what has ended before is seen so late
            if chosen is not None and (
                looks > chosen[0][0] or (late > chosen[0][1] and chosen[0][0] <= most)
            ):
                continue
            # What nobody can do is done as nearly as those looks allow.
            rank = (max(most, looks), max(lag, late), looks)
            if chosen is None or rank < chosen[0]:
                chosen = rank, found, first, late
        if found.looks > most or found.lag <= lag:
            dear = price
        else:
            cheap = price
        if dear - cheap < CLOSE:
            break
        if (price <= least and cheap == -inf) or price > guess + 12:
            break  # no price buys more than a look every `minimum` seconds
        price = max(price - 2, least) if cheap == -inf else price + 2 if dear == inf else (cheap + dear) / 2
    assert chosen is not None
    (_, _, looks), found, first, late = chosen
    steps = [times[first] if first else found.steps[0], *found.steps[1:]]
    return Inspection(times, steps, late, looks, most - looks)


def inspect_at(times: Sequence[float], done: Sequence[float], *, minimum: float, price: float) -> Inspection:
    """The plan with the least sum of looks and `price` times seconds of lag. The other arguments are those of `inspect`."""
    plan = _solve(_Ground(times, done, minimum), minimum, price)
    return Inspection(times, plan.steps, plan.lag, plan.looks)


class _Ground:
    """What is the same at every price.

    Attributes:
        times, done: the points. middles: for each, the seconds at which what has ended by then did, times its share.
        bases: what has ended by then waits so long for a look there, times its share.
        soonest: for each, the first point that is far enough for the next look.
        rates: where points lie close together, `(ends, still at work times width, most)` up to the next point; else None.
    """

    def __init__(self, times: Sequence[float], done: Sequence[float], minimum: float) -> None:
        self.times, self.done = list(times), list(done)
        count, last = len(times), times[-1]
        self.middles = middles = [0.0]
        for at in range(1, count):
            middles.append(middles[-1] + (done[at] - done[at - 1]) * (times[at] + times[at - 1]) / 2)
        self.bases = [time * share - middle for time, share, middle in zip(times, done, middles, strict=True)]
        self.soonest = [max(at + 1, bisect_left(times, now + minimum)) for at, now in enumerate(times)]
        self.rates: list[tuple[float, float, float] | None] = [None] * count
        for at in range(count - 1):
            width, ends = times[at + 1] - times[at], done[at + 1] - done[at]
            if width * FINE >= minimum and ends > 0:
                # However cheap the unseen is, nothing is put off beyond the end of what is known.
                self.rates[at] = (
                    ends,
                    (1 - done[at] - ends / 2) * width,
                    max(minimum, last - times[at]),
                )


@dataclass(frozen=True, slots=True)
class _Priced:
    """The cheapest plan at a price, from each point on.

    Attributes:
        costs, lags: what is to come from there, times how likely that is. steps: as in `Inspection`.
    """

    price: float
    costs: Sequence[float]
    lags: Sequence[float]
    steps: Sequence[float]

    @property
    def lag(self) -> float:
        return self.lags[0]

    @property
    def looks(self) -> float:
        return self.costs[0] - self.price * self.lags[0]


def _solve(ground: _Ground, minimum: float, price: float) -> _Priced:
    """The cheapest plan where a second unseen costs `price` looks. Written for speed: it runs ten times for a plan."""
    times, done, middles, bases = ground.times, ground.done, ground.middles, ground.bases
    count = len(times)
    costs, lags, steps = [0.0] * count, [0.0] * count, [0.0] * count
    slopes: list[float] = []  # the lower hull of what each later look would cost, as lines in `done(now)`
    heights: list[float] = []
    places: list[int] = []
    head, ahead, size = 0, count, 0
    for at in range(count - 1, -1, -1):
        now, share, soonest = times[at], done[at], ground.soonest[at]
        left = 1 - share
        while ahead > soonest:
            ahead -= 1
            slope = -price * times[ahead]
            height = costs[ahead] + price * bases[ahead]
            while size - head >= 2 and (height - heights[-2]) * (slopes[-1] - slopes[-2]) <= (
                heights[-1] - heights[-2]
            ) * (slope - slopes[-2]):
                slopes.pop(), heights.pop(), places.pop()
                size -= 1
            slopes.append(slope)
            heights.append(height)
            places.append(ahead)
            size += 1
        if size > head:
            best = heights[head] + slopes[head] * share
            while size - head >= 2 and (other := heights[head + 1] + slopes[head + 1] * share) <= best:
                head, best = head + 1, other
            to = places[head]
            cost = left + price * middles[at] + best
            lag = times[to] * (done[to] - share) - (middles[to] - middles[at]) + lags[to]
            # The first point that may be chosen lies a little after the first moment that may be.
            step = -minimum if to == ahead and times[to] < now + 1.5 * minimum else times[to]
        else:
            lag = (now + minimum) * left - (middles[-1] - middles[at])
            cost, step = left + price * lag, -minimum
        if (rates := ground.rates[at]) is not None:
            ends, worked, most = rates
            gap = max(minimum, min(most, sqrt(2 * worked / (price * ends))))
            if (rate := costs[at + 1] + worked / gap + price * ends * gap / 2) < cost:
                cost, lag, step = rate, lags[at + 1] + ends * gap / 2, -gap
        costs[at], lags[at], steps[at] = cost, lag, step
    return _Priced(price, costs, lags, steps)
