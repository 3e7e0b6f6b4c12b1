"""The run over the lines of a batch: one call, which fits as a whole before its first line is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from vidorch.budget import DEFAULT_CAP, BudgetState
from vidorch.call import Call
from vidorch.engine.rows import batch_row
from vidorch.engine.services import Services
from vidorch.errors import KeyConflict, OverBudget
from vidorch.ledger.ledger import KeyTaken
from vidorch.ledger.reading import OPEN_RUNS
from vidorch.money import from_micros, show_usd
from vidorch.offloop import in_thread, written

__all__ = ["Batches"]


class Batches:
    """Begins and ends the runs over batches."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ledger = services.ledger

    async def begin(self, call: Call, *, lines: int, needed: Decimal) -> str:
        """Write down the run over the lines of a batch, or find the one that has its key.

        It is one call: what its lines may cost on their first offers fits all together, before the first is sent.

        Args:
            needed: USD that those lines may cost of which something is still to be sent.

        Raises:
            OverBudget: the cap or a budget cannot hold them. KeyConflict: the key belongs to something else.
        """
        services, now = self._services, self._services.clock.now()
        if call.key is not None and (row := await in_thread(self._ledger.run_by_key, call.scope, call.key)):
            found, used = (
                _the_batch(row, call),
                from_micros((await in_thread(self._ledger.spent, row["id"])).total),
            )
        else:
            found, used = None, Decimal(0)
        if needed > 0:
            for budget in services.budgets:
                await written(self._ledger.set_budget(budget, now))
            _must_fit_together(
                call, lines, needed, used, await in_thread(self._ledger.budgets, now, call.scope)
            )
        if found is not None:
            return found
        run_id = services.ids.new("run")
        row = batch_row(run_id, call, lines, services, now)
        try:
            await written(self._ledger.record(row, [], cap=None, budgets=(), at=now))
        except KeyTaken as taken:
            row = await in_thread(self._ledger.run, taken.run_id or "")
            if row is None:
                raise
            return _the_batch(row, call)
        return run_id

    async def close(self, run_id: str) -> None:
        """End a batch whose lines have all ended."""
        states = await in_thread(self._ledger.states_below, run_id)
        if not states or any(state in OPEN_RUNS for state in states):
            return
        ending = "finished" if "finished" in states else "failed"
        await written(self._ledger.end_run(run_id, ending, self._services.clock.now()))


def _the_batch(row: Mapping[str, Any], call: Call) -> str:
    if row["kind"] != "batch":
        raise KeyConflict(
            f"The key {call.key!r} belongs to a run that is no batch. Nothing was sent.", run_id=row["id"]
        )
    return str(row["id"])


def _must_fit_together(
    call: Call, lines: int, needed: Decimal, used: Decimal, budgets: Sequence[BudgetState]
) -> None:
    what = f"These {lines} lines" if not used else f"What was not sent of these {lines} lines"
    may = f"{what} may cost up to {show_usd(needed)} together"
    for state in budgets:
        left = max(state.left - used, Decimal(0)) if state.budget.per == "call" else state.left
        if needed > left:
            raise OverBudget(
                f"{may}, and of the budget {state.budget.name!r} {show_usd(left)} is left. Nothing was sent.",
                hint="Raise it, or ask for less.", needed=needed, available=left, budget=state.budget.name,
            )  # fmt: skip
    cap = call.max_cost if call.max_cost is not None else None if budgets else DEFAULT_CAP
    if cap is not None and needed + used > cap:
        before = f", {show_usd(used)} of it used by the lines before" if used else ""
        raise OverBudget(
            f"{may}, and {'max_cost' if call.max_cost is not None else 'the default cap of a call'} is {show_usd(cap)}{before}. "
            "Nothing was sent.",
            hint=f"Pass max_cost='{needed + used}' to allow it.", needed=needed, available=max(cap - used, Decimal(0)),
        )  # fmt: skip
