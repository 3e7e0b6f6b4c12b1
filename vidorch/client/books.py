"""What a client reads in the ledger, and what a person writes there: jobs, their ends by hand, budgets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from vidorch.budget import Budget, BudgetState
from vidorch.client.opening import Opening
from vidorch.errors import InvalidRequest
from vidorch.money import usd
from vidorch.offloop import in_thread, written
from vidorch.result import Job

if TYPE_CHECKING:
    from vidorch.engine.byhand import ByHand
    from vidorch.ledger.ledger import Pruned

__all__ = ["Books"]


class Books(Opening):
    """The calls of a client that reach nobody but its ledger."""

    async def adopt(self, job_id: str, remote_id: str) -> Job:
        """Say which job at the vendor an `unknown` one is. It is polled and fetched by the next resume.

        A wrong id is put right by the same call with the right one, as long as nothing came of the wrong one.

        Raises:
            InvalidRequest: there is no such job, its id is known from the vendor, or another job of the ledger owns that id.
        """
        return await self._by_hand(job_id, lambda hand, job: hand.adopt(job, remote_id))

    async def settle(self, job_id: str, charged: Decimal | str | int | None) -> Job:
        """Close a job by hand with what it cost in USD, or as not charged (None).

        It is for jobs that are `unknown` or `lost`, for those whose cost was assumed, and for those that were adopted by hand
        and gave nothing.

        Raises:
            InvalidRequest: there is no such job, or nothing about it is open.
        """
        amount = None if charged is None else usd(charged, "charged")
        return await self._by_hand(job_id, lambda hand, job: hand.settle(job, amount))

    async def _by_hand(self, job_id: str, act: Callable[[ByHand, Job], Awaitable[Job]]) -> Job:
        from vidorch.engine.byhand import ByHand

        job = await self.job(job_id)
        return await act(ByHand(self._opened_ledger(), self._clock), job)

    async def prune(self, before: float | datetime) -> Pruned:
        """Forget runs that ended before a day. What they cost stays counted in budgets, and their files stay where they are."""
        until = before.timestamp() if isinstance(before, datetime) else float(before)
        await self._open(free=False)
        return await in_thread(self._opened_ledger().prune, until, self._clock.now())

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
