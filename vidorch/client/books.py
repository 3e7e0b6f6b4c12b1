"""What a client reads in the ledger, and what a person writes there: jobs, their ends by hand, budgets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from vidorch.budget import Budget, BudgetState
from vidorch.client.opening import Opening
from vidorch.errors import InvalidRequest, shown
from vidorch.money import usd
from vidorch.offloop import in_thread, written
from vidorch.result import Job
from vidorch.spend import BY, By, Spend, spend_of

if TYPE_CHECKING:
    from vidorch.engine.byhand import ByHand
    from vidorch.ledger.ledger import Pruned

__all__ = ["Books"]

FAR = 1e12
"""Seconds since 1970: after all that happens."""


class Books(Opening):
    """The calls of a client that reach nobody but its ledger."""

    async def adopt(self, job_id: str, remote_id: str) -> Job:
        """Say which job at the vendor an `unknown` one is. It is polled and fetched by the next resume.

        A wrong id is put right by the same call with the right one, as long as nothing came of the wrong one.

        Raises:
            InvalidRequest: there is no such job, its id is known from the vendor, or another job of the ledger owns that id.
        """
        return await self._by_hand("adopt", job_id, lambda hand, job: hand.adopt(job, remote_id))

    async def settle(self, job_id: str, charged: Decimal | str | int | None) -> Job:
        """Close a job by hand with what it cost in USD, or as not charged (None).

        It is for jobs that are `unknown` or `lost`, for those whose cost was assumed, and for those that were adopted by hand
        and gave nothing.

        Raises:
            InvalidRequest: there is no such job, or nothing about it is open.
        """
        amount = None if charged is None else usd(charged, "charged")
        return await self._by_hand("settle", job_id, lambda hand, job: hand.settle(job, amount))

    async def _by_hand(self, verb: str, job_id: str, act: Callable[[ByHand, Job], Awaitable[Job]]) -> Job:
        from vidorch.engine.byhand import ByHand

        engine, job = await self._open(free=False), await self.job(job_id)
        after = await act(ByHand(self._opened_ledger(), self._clock), job)
        if after is not job:
            engine.telemetry.by_hand(verb, job, after)
        return after

    async def prune(self, before: float | datetime) -> Pruned:
        """Forget runs that ended before a day. What they cost stays counted in budgets, and their files stay where they are."""
        await self._open(free=False)
        return await in_thread(self._opened_ledger().prune, _moment(before), self._clock.now())

    async def set_budget(self, budget: Budget) -> None:
        """Keep a budget in the ledger: it holds for every paid call of its scope, from any process."""
        await self._open(free=False)
        await written(self._opened_ledger().set_budget(budget, self._clock.now()))

    async def remove_budget(self, name: str, scope: str | None = None) -> bool:
        """Take a budget out of the ledger. False when there was none."""
        await self._open(free=False)
        removed: Future[bool] = self._opened_ledger().remove_budget(name, scope)
        return await written(removed)

    async def budgets(self, scope: str | None = None) -> list[BudgetState]:
        """The ledger's budgets, with what is spent, held and left of each."""
        await self._open(free=False)
        return await in_thread(self._opened_ledger().budgets, self._clock.now(), scope)

    async def spend(
        self,
        by: By = "model",
        *,
        since: float | datetime = 0.0,
        until: float | datetime | None = None,
        scope: str | None = None,
    ) -> Spend:
        """What was spent, estimate against real, and how long clips took.

        Args:
            by: "day" (UTC), "model", "endpoint", "scope" or "tag". since, until: when the jobs were begun, the second not in it.
            scope: only one tenant's.

        Raises:
            InvalidRequest: `by` is none of these.
        """
        if by not in BY:
            raise InvalidRequest(
                f"by={shown(by)} cannot be used. Allowed is one of {', '.join(BY)}.",
                field="by",
                value=by,
                allowed=", ".join(BY),
            )
        await self._open(free=False)
        reading = self._opened_ledger()

        def read() -> Spend:
            jobs = reading.spend(
                since=_moment(since),
                until=FAR if until is None else _moment(until),
                scope=scope,
                tags=by == "tag",
            )
            return spend_of(jobs, by)

        return await in_thread(read)

    async def job(self, job_id: str) -> Job:
        """A job by its id, as the ledger has it.

        Raises:
            InvalidRequest: there is none in this ledger.
        """
        await self._open(free=False)
        job = await in_thread(self._opened_ledger().job, job_id)
        if job is None:
            raise InvalidRequest(
                f"There is no job {job_id!r} in this ledger.",
                field="job_id",
                value=job_id,
                allowed="an id from `vidorch jobs list`",
            )
        return job

    async def jobs(self, *, state: str | None = None, limit: int = 100) -> list[Job]:
        """Jobs, newest first."""
        await self._open(free=False)
        return await in_thread(lambda: self._opened_ledger().jobs(state=state, limit=limit))


def _moment(given: float | datetime) -> float:
    return given.timestamp() if isinstance(given, datetime) else float(given)
