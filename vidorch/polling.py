"""When to look at a job again: seldom while it cannot be done, often when it should be, never more than its vendor allows."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from vidorch.contract import Progress
from vidorch.inspection import Inspection, inspect
from vidorch.latencies import Took, law_of
from vidorch.offer import Offer

__all__ = ["LONGEST", "Experience", "Schedule", "Timetable", "after_lost_poll", "deadline_after", "next_poll"]

LONGEST = 30.0
LEAST_DEADLINE = (
    15 * 60.0
)  # a vendor's queue can stand still for minutes; waiting is free, giving up on a paid job is not
LEAST = 0.001
"""Seconds between two looks, should a vendor ask for none: a loop must not spin."""
LATE, LATE_PART = 0.135, 0.01
"""Seconds that an end may be seen later than by looks every `minimum`: so many, and no more than a hundredth of the median.
0.2 is what is promised; a law learned from twenty jobs is a little too sure of itself (benchmarks/polling.py)."""
BLURRED = 0.02
"""The part of the minimum that is taken off that: what was seen by looks far apart is known less well."""
HALF = 0.493
"""The part of the looks of one every `minimum` seconds that a nearer end is worth, by what is known. Half is promised."""
UNSURE = 0.005
"""The part of the median that is added to it while nothing but the catalog is known."""
POINTS = 90
STRETCH = 12.0
"""No gap is longer than so many minimal ones, or LONGEST: what fails or comes out of a cache ends before its time."""
EARLY, BEFORE = 3.0, 9.0
"""A look after 3 minimal gaps, where none is planned before 9 and so few are that there may be one more: what was wrong from the
start is seen then."""
NEARLY_ALL, OVERRUN = 0.97, 0.25
"""What is not done when nearly all should be is most likely a little late: gaps begin small again, and grow with that time."""
EASES = 0.1
"""Past everything that was ever seen, a gap is this part of the time since then; of the whole time, where nothing is known."""
PEEKS = {7: 0.75, 15: 0.5}
"""Of sixteen jobs two are looked at before the first look that is planned, after this part of that time."""
UNLIKELY, ANEW, NEVER = 0.03, 0.5, 0.01
"""How likely it is, against its contrary, that jobs have become quicker while nothing speaks for it; how likely any end is once
they have; and how likely the least likely end is while they have not."""
KEPT = 200
"""So many jobs are remembered: the longest of a hundred is seldom among fewer."""
HASTE = 3
"""So many jobs after the last one a new timetable is made when they seem to be quicker."""
HINTS = 8
"""So many looks at a job may be brought forward by what its vendor says of its end: progress bars stand still at 99 %."""
AGREE = 0.1
"""By how much of the time left two such words in a row may differ, to be believed."""


def next_poll(offer: Offer, progress: Progress) -> float:
    """Seconds until a look that is wanted as soon as may be: never less than the vendor asks for."""
    return max(offer.min_poll, progress.poll_after or 0.0)


def after_lost_poll(offer: Offer, lost: int) -> float:
    """Seconds to wait after the `lost`-th look in a row that got no answer: doubling, at most half a minute."""
    return float(min(LONGEST, max(offer.min_poll, 0.5) * 2 ** min(lost - 1, 10)))


def deadline_after(offer: Offer, accepted_at: float, p99: float | None = None) -> float:
    """Until when to wait for a job: the longer of 15 minutes and three times the longest the catalog knows of."""
    return accepted_at + max(LEAST_DEADLINE, 3 * (p99 or offer.latency.high))


class Timetable:
    """When jobs of one offer and task are looked at: made once from what is known of them, shared by all, never changed.

    Args:
        minimum: the least seconds between two looks. longest: the most; half a minute or twelve minimal gaps when left out.
        latencies: what jobs before took, newest first. expected, low, high: the catalog's seconds,
            0 where it says nothing. doubt: from 0 to 1, how likely it is that jobs are quicker by now.

    Attributes:
        planned: seconds until the first look that finds jobs done by what is known; 0 when nothing is.
    """

    def __init__(
        self,
        minimum: float,
        *,
        latencies: Sequence[Took] = (),
        expected: float = 0.0,
        low: float = 0.0,
        high: float = 0.0,
        longest: float | None = None,
        doubt: float = 0.0,
    ) -> None:
        self.minimum = least = max(minimum, LEAST)
        self.longest = max(least, max(LONGEST, STRETCH * least) if longest is None else longest)
        self.planned = self._late = self._early = 0.0
        self._plan: Inspection | None = None
        self._law = law = law_of(latencies, minimum=least, expected=expected, low=low, high=high, doubt=doubt)
        if law is not None:
            half = law.quantile(0.5)
            late = min(LATE - BLURRED * least, LATE_PART * half) + UNSURE * half / (1 + len(latencies) ** 2)
            self._plan = inspect(
                *law.sample(POINTS), minimum=least, lag=max(0.0, least / 2 + late), part=HALF
            )
            self._late = law.quantile(NEARLY_ALL)
            self._early = EARLY * least if self._plan.spare >= 1 else 0.0
            self.planned = self._plan.gap(0.0)

    def foreseen(self, took: Took) -> float:
        """How likely it was that a job ends between the two looks that it ended between; 1 where nothing was known."""
        return 1.0 if self._law is None else self._law.share(took.seen) - self._law.share(took.working or 0.0)

    def gap(self, elapsed: float, since: float = 0.0) -> float:
        """Seconds until the next look, from one that found it at work.

        Args:
            elapsed: seconds since the job was accepted. since: how old it was when it was first looked at by this process, or
                after a long sleep: past all that is known, gaps begin small from there.
        """
        plan, least = self._plan, self.minimum
        if plan is None:
            gap = min(EASES * elapsed, elapsed - since, LONGEST)
        elif elapsed >= plan.end:
            gap = min(EASES * (elapsed - max(plan.end, since)), LONGEST)
        else:
            gap = plan.gap(elapsed)
            if elapsed < self._early and elapsed + gap > BEFORE * least:
                gap = self._early - elapsed
            if elapsed > self._late:
                gap = min(gap, least + OVERRUN * (elapsed - max(self._late, since)))
        return max(least, min(gap, self.longest))


class Experience:
    """What is known of how long jobs of one offer and task take: gives out schedules, and learns from what they see.

    Where jobs are done at the first look at them, nobody would learn that they have become quicker. So some are looked at before,
    and each that ends before it was likely to makes a change likelier, by Bayes' rule; what does not, less likely.

    Args:
        took: of jobs before, newest first.

    Attributes:
        took: of all jobs known, newest first.
    """

    def __init__(self, took: Sequence[Took] = ()) -> None:
        self.took = list(took)
        self._timetable: Timetable | None = None
        self._news = self._given = 0
        self._odds = UNLIKELY
        self._surprised = False

    def reread(self, took: Sequence[Took]) -> None:
        """Go on from what a ledger knows by now."""
        self.took = list(took)
        self._timetable = None

    @property
    def doubt(self) -> float:
        """How likely it is that jobs are quicker by now, from 0 (no likelier than not) to 1."""
        return max(0.0, (self._odds - 1) / (self._odds + 1))

    def schedule(
        self, minimum: float, *, expected: float, low: float, high: float, longest: float | None = None
    ) -> Schedule:
        """When to look at the next job. The arguments are those of `Timetable`."""
        # Some milliseconds of work, so not after each of a thousand jobs: a fifth more than it was made from is news.
        if (
            self._timetable is None
            or self._news * 5 > len(self.took)
            or (self._surprised and self._news >= HASTE)
        ):
            self._news, self._surprised = 0, False
            self._timetable = Timetable(
                minimum, latencies=self.took, expected=expected, low=low, high=high, longest=longest, doubt=self.doubt
            )  # fmt: skip
        self._given += 1
        return Schedule(self._timetable, peek=PEEKS.get(self._given % 16, 0.0))

    def learn(self, took: Took) -> None:
        """Learn from a job that has just been seen done."""
        if self._timetable is not None:
            early = took.is_wide(self._timetable.minimum)
            likely = max(self._timetable.foreseen(took), NEVER) if early else 1.0
            self._odds = min(max(self._odds * ANEW / likely, UNLIKELY), 1 / UNLIKELY)
            self._surprised |= self._odds > 1
        self.took = [took, *self.took[: KEPT - 1]]
        self._news += 1


class Schedule:
    """When to look at one job: by the timetable, and sooner where its vendor says, believably, that it ends sooner.

    What a vendor says only brings a look forward, never puts one off: many progress bars are made up.

    Args:
        peek: look once before anything is expected, after this part of the time until then.
    """

    def __init__(self, timetable: Timetable, *, peek: float = 0.0) -> None:
        self._timetable = timetable
        self._peek = timetable.planned * peek
        self._since: float | None = None
        self._behind = 0.0
        self._last = 0.0
        self._due = 0.0
        self._end: float | None = None
        self._mark: tuple[float, float] | None = None
        self._hints = 0

    def first(self) -> float:
        """Seconds from the moment it was accepted until the first look."""
        return self._gap(0.0)

    def next(self, elapsed: float, progress: Progress | None = None) -> float:
        """Seconds until the next look: never less than the vendor's minimum, nor than what it asks for now.

        Args:
            elapsed: seconds since it was accepted, by a clock that may jump. progress: what the look now found.
        """
        now = self._age(elapsed)
        gap = self._gap(now)
        if progress is not None:
            end = self._said_end(now, progress)
            if end is not None and end - now < gap and self._hints < HINTS:
                self._hints += 1
                gap = max(self._timetable.minimum, end - now)
            if progress.poll_after is not None and isfinite(progress.poll_after):
                gap = max(gap, progress.poll_after)
        self._last, self._due = now, now + gap
        return gap

    def _gap(self, now: float) -> float:
        gap = self._timetable.gap(now, self._since or 0.0)
        return self._peek - now if now + self._timetable.minimum <= self._peek < now + gap else gap

    def _age(self, elapsed: float) -> float:
        """How old the job is. That only grows, whatever the clock does."""
        now = elapsed + self._behind
        if now < self._last:  # the clock was set back: count on from where it was
            self._behind += self._last - now
            now = self._last
        if self._since is None:
            self._since = now if now > self.first() + LONGEST else 0.0
        elif now > self._due + LONGEST:  # it slept
            self._since = now
        return now

    def _said_end(self, now: float, progress: Progress) -> float | None:
        """The age at which it ends as the vendor has it, if it said about the same at the look before."""
        end: float | None = None
        if progress.eta is not None and isfinite(progress.eta):
            end = now + max(0.0, progress.eta)
        elif progress.fraction is not None and isfinite(progress.fraction):
            before, self._mark = self._mark, (now, progress.fraction)
            if before is not None and before[0] < now and before[1] < progress.fraction:
                rate = (progress.fraction - before[1]) / (now - before[0])
                end = now + max(0.0, 1 - progress.fraction) / rate
        said, self._end = self._end, end
        if end is None or said is None:
            return None
        return end if abs(end - said) <= max(self._timetable.minimum, AGREE * (end - self._last)) else None
