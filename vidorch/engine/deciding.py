"""What comes after a job has ended: nothing, or one more submit. A function of what happened, and of what the caller allowed.

This is where promise "submit once" lives: a further submission for a candidate is named here or nowhere.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from vidorch.call import Call
from vidorch.ledger.moves import ENDS, State
from vidorch.planning import PlannedOffer
from vidorch.result import Job

__all__ = ["MOST_TRANSIENT", "Again", "Tally", "has_unsent", "nothing_was_sent", "unsent_of", "what_next"]

MOST_TRANSIENT = 5
"""How often a submit that was rejected as transient is made again, one after the other, at the same offer."""

NEVER_SENT = frozenset({State.REJECTED, State.ABANDONED})


@dataclass(slots=True)
class Tally:
    """How many jobs a run has bought again so far, of those that the caller allowed."""

    retries: int = 0
    refills: int = 0


@dataclass(frozen=True, slots=True)
class Again:
    """One more submit.

    Attributes:
        entry: its place in the plan. delay: seconds to wait before it.
        seed_anew: whether another seed is wanted, since the same would give the same again.
        counts: which of the caller's allowances it uses up: "retries", "refills" or "".
    """

    entry: int
    delay: float = 0.0
    seed_anew: bool = False
    counts: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One job of a candidate as it ended, the entry that it went to, and after how long the vendor would take it again."""

    job: Job
    entry: int
    retry_after: float | None = None
    withheld: bool = False
    """Whether the job gave clips, but none for this candidate."""


def nothing_was_sent(jobs: Sequence[Job]) -> bool:
    """Whether provably no vendor has, or had, anything of this candidate."""
    return all(job.state in NEVER_SENT for job in jobs)


def unsent_of(candidates: int, jobs: Sequence[Job]) -> int:
    """Of how many candidates of a run provably nothing was ever sent.

    Args:
        jobs: all of the run.
    """
    return sum(
        nothing_was_sent([job for job in jobs if job.candidate <= one < job.candidate + job.samples])
        for one in range(candidates)
    )


def has_unsent(candidates: int, jobs: Sequence[Job]) -> bool:
    """Whether there is one of those."""
    return unsent_of(candidates, jobs) > 0


def what_next(
    attempts: Sequence[Attempt],
    order: Sequence[int],
    entries: Sequence[PlannedOffer],
    call: Call,
    tally: Tally,
    *,
    passed_over: Collection[int] = (),
    seconds_left: float | None = None,
) -> Again | None:
    """The next submit for one candidate that has no clip yet; None when there is to be none.

    Args:
        attempts: what was tried, oldest first. order: places in the plan, in the order in which this candidate tries them.
        passed_over: entries that did not fit the budget. seconds_left: of the caller's `timeout`.
    """
    left = [entry for entry in order if entry not in passed_over]
    if not attempts:
        return Again(left[0]) if left else None
    last = attempts[-1]
    state = State(last.job.state)
    later = _after(order, last.entry, left)
    same = last.entry if last.entry in left else None
    if state is State.REJECTED:
        delay = last.retry_after
        if (
            delay is not None
            and same is not None
            and _row_of_transients(attempts) <= MOST_TRANSIENT
            and (seconds_left is None or delay < seconds_left)
        ):
            return Again(same, delay=delay)
        return Again(later[0]) if later else None
    if state is State.UNKNOWN:
        return Again(later[0]) if later and call.on_unknown == "next" else None
    if state is State.REFUSED or last.withheld:
        return _after_refusal(attempts, last, same, later, call, tally)
    if state in (State.FAILED, State.LOST):
        if same is not None and tally.retries < call.retries:
            return Again(same, counts="retries")
        if same is not None and tally.refills < call.refill:
            return Again(same, seed_anew=True, counts="refills")
        listed = [entry for entry in later if entries[entry].choice > entries[last.entry].choice]
        return Again(listed[0]) if listed else None
    return None


def _after_refusal(
    attempts: Sequence[Attempt],
    last: Attempt,
    same: int | None,
    later: Sequence[int],
    call: Call,
    tally: Tally,
) -> Again | None:
    refused = sum(one.job.state == State.REFUSED or one.withheld for one in attempts)
    if same is not None and refused <= call.retry_refused:
        return Again(same, seed_anew=True)
    at_output = last.withheld or last.job.error_stage == "output"
    if same is not None and at_output and tally.refills < call.refill:
        return Again(same, seed_anew=True, counts="refills")
    return Again(later[0]) if later and call.fallback_on_refusal else None


def _row_of_transients(attempts: Sequence[Attempt]) -> int:
    """How many of the last attempts in a row the same offer rejected as transient."""
    count = 0
    for one in reversed(attempts):
        if one.entry != attempts[-1].entry or one.retry_after is None or one.job.state not in ENDS:
            break
        count += 1
    return count


def _after(order: Sequence[int], entry: int, left: Collection[int]) -> list[int]:
    place = order.index(entry) if entry in order else -1
    return [one for one in order[place + 1 :] if one in left]
