"""Looking for a submit whose answer was lost: by our own id where the vendor took it, else in the vendor's list.

Not finding it proves nothing, so nothing here ever leads to another submit.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from vidorch.contract import Accepted, Context, FoundJob, LookFor, Provider
from vidorch.engine.purchase import Purchase
from vidorch.engine.services import Services
from vidorch.ledger.moves import State
from vidorch.result import Job

__all__ = ["seek"]

SKEW = 60.0
"""Seconds that the vendor's clock may be behind ours."""
LOOK_EVERY = 5.0


async def seek(
    job: Job, purchase: Purchase, services: Services, provider: Provider, context: Callable[[], Context]
) -> AsyncIterator[Accepted | tuple[str, ...]]:
    """Look until the vendor's stated lag is over: at least once.

    Yields:
        The vendor's job that is ours: the caller claims it and stops, or goes on when somebody else was first.
        Or the ids of those that could be, where they cannot be told apart; none where the vendor answered and named none.
    """
    offer = purchase.offer
    mode = provider.find_mode(offer)
    if mode == "none" and not purchase.calls_back:
        return
    sent_at = job.sending_at or job.created_at
    until = sent_at + offer.find_lag
    if purchase.calls_back:  # its own word comes when the work is done
        until = max(until, sent_at + offer.latency.high)
    wanted = LookFor(job.id, job.settings, offer, sent_at)
    while True:
        found: Sequence[FoundJob] = ()
        if purchase.calls_back and (named := services.ledger.delivered_id(job.id)):
            yield Accepted(named)
        answered = False
        with contextlib.suppress(Exception):  # a search that fails says nothing
            found = await provider.find(context(), wanted) if mode != "none" else ()
            answered = mode != "none"
        if mode == "exact" or any(one.exact for one in found):
            exact = [one for one in found if one.exact or mode == "exact"]
            if exact:
                yield exact[0].accepted
        elif found:
            mine, possible = _mine(job, found, sent_at, services)
            if mine is not None:
                yield mine
            elif possible:
                yield possible
        if answered:
            yield ()
        if services.clock.now() >= until:
            return
        await services.clock.sleep(max(offer.min_poll, LOOK_EVERY))


def _mine(
    job: Job, found: Sequence[FoundJob], sent_at: float, services: Services
) -> tuple[Accepted | None, tuple[str, ...]]:
    """Which of the vendor's jobs is this one.

    Told only when there are as many without an owner as there are of ours without an id; else the ids that it could be.
    """
    ledger = services.ledger
    ids = [one.accepted.remote_id for one in found]
    claimed = ledger.claimed(job.endpoint, job.account, ids)
    free = sorted(
        (
            one
            for one in found
            if one.accepted.remote_id not in claimed
            and (one.created_at is None or one.created_at >= sent_at - SKEW)
        ),
        key=lambda one: (one.created_at or 0.0, one.accepted.remote_id),
    )
    ours = sorted(ledger.unknown_like(job), key=lambda one: (one.sending_at or 0.0, one.id))
    on_their_way = [
        one for one in ledger.jobs(state=State.SENDING, limit=1_000)
        if (one.endpoint, one.account, one.settings_hash) == (job.endpoint, job.account, job.settings_hash)
    ]  # fmt: skip
    place = next((number for number, one in enumerate(ours) if one.id == job.id), None)
    if place is not None and len(free) == len(ours) and not on_their_way:
        return free[place].accepted, ()
    return None, tuple(one.accepted.remote_id for one in free)
