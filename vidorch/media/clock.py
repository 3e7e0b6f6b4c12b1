"""Frame times in exact fractions. Floats drift: 0.1 + 0.2 over a thousand joins is a frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

from vidorch.errors import InvalidRequest

# Rates that cameras, vendors and models really use; a measured rate is snapped to one of them before it is believed.
COMMON_RATES = tuple(Fraction(n) for n in (24, 25, 30, 50, 60, 8, 10, 12, 15, 16, 20, 48, 100, 120)) + tuple(
    Fraction(n * 1000, 1001) for n in (24, 30, 60, 120, 48)
)


def exact_rate(value: float | Fraction) -> Fraction:
    """Return frames per second as an exact fraction; `23.976` and `29.97` mean 24000/1001 and 30000/1001.

    Raises:
        InvalidRequest: for anything that is not a number above 0 and up to 1000.
    """
    given: object = value  # callers without a type checker hand over anything; True is an int, and no rate
    if isinstance(given, bool) or not isinstance(given, (int, float, Fraction)) or not math.isfinite(given):
        raise _bad_rate(value)
    rate = Fraction(value)
    if isinstance(value, float):
        near = min(COMMON_RATES, key=lambda common: abs(common - rate))
        # 23.976 and 23.98 are both written for 24000/1001; 0.005 keeps 24 and 23.976 (0.024 apart) distinct.
        rate = near if abs(near - rate) <= Fraction(5, 1000) else rate.limit_denominator(1001)
    if not 0 < rate <= 1000:
        raise _bad_rate(value)
    return rate


def _bad_rate(value: object) -> InvalidRequest:
    return InvalidRequest(
        f"fps is {value!r}.", field="fps", value=value, allowed="a number above 0 and up to 1000",
        hint="Give frames per second, such as 24 or Fraction(24000, 1001).",
    )  # fmt: skip


def time_of(index: int, fps: Fraction) -> Fraction:
    """Return the second at which frame `index` (from 0) appears."""
    return Fraction(index) / fps


def frame_at(seconds: Fraction | float, fps: Fraction) -> int:
    """Return the index of the frame that is on screen at `seconds`."""
    return math.floor(as_seconds(seconds) * fps)


def as_seconds(value: Fraction | float) -> Fraction:
    """Return seconds as an exact fraction. A float stands for the plain fraction it was written for: 1/24, 0.1."""
    # 1 / 24 as a float lies just below a twenty-fourth and would name the frame before.
    return Fraction(value).limit_denominator(1_000_000) if isinstance(value, float) else Fraction(value)


def steady_rate(ticks: Sequence[int], time_base: Fraction, claimed: Iterable[Fraction]) -> Fraction | None:
    """Return the rate at which frames shown at `ticks` (sorted, in units of `time_base`) are evenly spaced, else None.

    `claimed` are rates the file's header names, the most trusted first. A rate holds when no frame is more than one
    tick from where it should be: containers with millisecond clocks (WebM) write 24 fps as 0, 42, 83, 125.
    """
    steps = len(ticks) - 1
    if steps < 1:
        return None
    span = ticks[-1] - ticks[0]
    if span <= 0:
        return None
    measured = Fraction(steps, span) / time_base
    for rate in (*claimed, *COMMON_RATES, measured.limit_denominator(1001), measured):
        if rate > 0 and _fits(ticks, 1 / (rate * time_base)):
            return rate
    return None


def _fits(ticks: Sequence[int], step: Fraction) -> bool:
    numerator, denominator = step.numerator, step.denominator
    first = ticks[0]
    last = len(ticks) - 1
    # The far end rules out nearly every wrong rate, so look there first. Integers: a thousand Fractions are slow.
    if abs((ticks[last] - first) * denominator - last * numerator) > denominator:
        return False
    return all(
        abs((tick - first) * denominator - i * numerator) <= denominator for i, tick in enumerate(ticks)
    )
