"""When to look at a job again."""

from __future__ import annotations

from collections.abc import Sequence

from vidorch.contract import Progress
from vidorch.offer import Offer

__all__ = ["LONGEST", "Schedule", "after_lost_poll", "deadline_after", "next_poll"]

LONGEST = 30.0
LEAST_DEADLINE = (
    15 * 60.0
)  # a vendor's queue can stand still for minutes; waiting is free, giving up on a paid job is not


def next_poll(offer: Offer, progress: Progress) -> float:
    """Seconds to wait after a look that found the job still at work: never less than the vendor asks for."""
    return max(offer.min_poll, progress.poll_after or 0.0)


def after_lost_poll(offer: Offer, lost: int) -> float:
    """Seconds to wait after the `lost`-th look in a row that got no answer: doubling, at most half a minute."""
    return float(min(LONGEST, max(offer.min_poll, 0.5) * 2 ** min(lost - 1, 10)))


def deadline_after(offer: Offer, accepted_at: float, p99: float | None = None) -> float:
    """Until when to wait for a job: the longer of 15 minutes and three times the longest the catalog knows of."""
    return accepted_at + max(LEAST_DEADLINE, 3 * (p99 or offer.latency.high))


class Schedule:
    """When to look at a job: every `minimum` seconds, or later where its vendor asks for that."""

    def __init__(
        self,
        minimum: float,
        *,
        latencies: Sequence[float] = (),
        expected: float = 0.0,
        low: float = 0.0,
        high: float = 0.0,
    ) -> None:
        self._minimum = minimum

    def first(self) -> float:
        """Seconds from the moment it was accepted until the first look."""
        return self._minimum

    def next(self, elapsed: float, progress: Progress | None = None) -> float:
        """Seconds until the next look."""
        return max(self._minimum, (progress.poll_after or 0.0) if progress is not None else 0.0)
