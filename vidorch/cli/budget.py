"""`vidorch budget`: limits on spending that the ledger keeps, for every process that uses it."""

from __future__ import annotations

import asyncio
from typing import Any

from vidorch.budget import Budget, BudgetState
from vidorch.cli.books import now, reading
from vidorch.cli.say import as_json, aside, console, table_of
from vidorch.client.aio import AsyncClient
from vidorch.errors import InvalidRequest
from vidorch.money import show_usd
from vidorch.request import nearest_name

__all__ = ["document_of", "in_words", "list_budgets", "remove_budget", "set_budget"]


def set_budget(name: str, amount: str, *, per: str, scope: str | None, as_document: bool) -> None:
    """Write a budget down, or change it."""
    budget = Budget(amount, name, per, scope)  # type: ignore[arg-type] # checked there, with what is allowed

    async def put() -> list[BudgetState]:
        async with AsyncClient() as client:
            await client.set_budget(budget)
            return await client.budgets()

    states = asyncio.run(put())
    state = next(one for one in states if (one.budget.name, one.budget.scope) == (name, scope))
    if as_document:
        as_json(document_of(state))
    else:
        print(in_words(state))


def list_budgets(*, scope: str | None, as_document: bool) -> None:
    """Print the budgets with what is spent, held and left of each."""
    with reading() as ledger:
        states = [] if ledger is None else ledger.budgets(now(ledger), scope)
    if as_document:
        as_json([document_of(state) for state in states])
    elif not states:
        print(
            "No budgets. What a call may cost without --max-cost is 5 USD. To set one: vidorch budget set NAME USD"
        )
    else:
        rows = [
            [one.budget.name, one.budget.scope or "all", show_usd(one.budget.amount), one.budget.per, one.period or "-",
             *(["-"] * 3 if one.budget.per == "call" else [show_usd(one.settled), show_usd(one.held), show_usd(one.left)])]
            for one in states
        ]  # fmt: skip
        columns = ["budget", "scope", ">limit", "per", "period", ">spent", ">held", ">left"]
        console().print(table_of("", columns, rows))


def remove_budget(name: str, *, scope: str | None, as_document: bool) -> None:
    """Take a budget away."""

    async def take() -> bool:
        async with AsyncClient() as client:
            return await client.remove_budget(name, scope)

    with reading() as ledger:
        known = [] if ledger is None else [state.budget for state in ledger.budgets(now(ledger))]
    if (name, scope) not in {(budget.name, budget.scope) for budget in known} or not asyncio.run(take()):
        raise _no_such(name, scope, known)
    if as_document:
        as_json({"name": name, "scope": scope, "removed": True})
    else:
        aside(f"The budget {name!r} holds no more. What was spent under it counts again should it come back.")


def _no_such(name: str, scope: str | None, known: list[Budget]) -> InvalidRequest:
    whose = "" if scope is None else f" of scope {scope!r}"
    elsewhere = [one.scope for one in known if one.name == name]
    if elsewhere:
        where = " or ".join("without --scope" if one is None else f"with --scope {one}" for one in elsewhere)
        hint = f"There is one of that name: say it {where}."
    else:
        meant = nearest_name(name, [one.name for one in known])
        hint = f"Did you mean {meant}?" if meant else "See: vidorch budget list"
    return InvalidRequest(
        f"There is no budget {name!r}{whose}. Nothing was changed.", hint=hint, field="name", value=name,
        allowed="a name from `vidorch budget list`",
    )  # fmt: skip


def in_words(state: BudgetState) -> str:
    """A budget in one line."""
    budget = state.budget
    whose = "" if budget.scope is None else f" of scope {budget.scope}"
    span = {"call": " a call", "day": " a day", "month": " a month", "total": " in all"}[budget.per]
    if budget.per == "call":
        return f"{budget.name}{whose}: {show_usd(budget.amount)}{span}"
    held = f", {show_usd(state.held)} held" if state.held else ""
    period = f" on {state.period}" if budget.per == "day" else f" in {state.period}" if state.period else ""
    return (
        f"{budget.name}{whose}: {show_usd(budget.amount)}{span}; {show_usd(state.settled)} spent{period}{held}, "
        f"{show_usd(state.left)} left"
    )


def document_of(state: BudgetState) -> dict[str, Any]:
    """JSON-ready; money as text."""
    budget = state.budget
    return {
        "name": budget.name, "scope": budget.scope, "amount": str(budget.amount), "per": budget.per, "period": state.period,
        "spent": str(state.settled), "held": str(state.held), "left": str(state.left), "currency": "USD",
    }  # fmt: skip
