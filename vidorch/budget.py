"""Budgets: how much may be spent in a call, a day, a month or in all. The ledger keeps count; here is what one says."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, get_args

from vidorch.errors import InvalidRequest, shown
from vidorch.money import usd

__all__ = ["DEFAULT_CAP", "Budget", "BudgetState", "Period"]

DEFAULT_CAP = Decimal(5)
"""USD: what a call without `max_cost` and without a budget may cost at most."""

Period = Literal["call", "day", "month", "total"]
_PERIODS: tuple[Period, ...] = get_args(Period)
_LONGEST = 200


@dataclass(frozen=True)
class Budget:
    """A limit on spending. What is settled, reserved and unknown counts, over every process that shares the ledger.

        Budget("20.00", name="spring", per="day")

    Args:
        amount: USD, as text, int or Decimal. 0 refuses every paid submit.
        name: what it is called in errors and lists. A client that gives the same name again changes the same budget.
        per: "call" (each call by itself, a batch or a film being one), "day" or "month" (UTC), or "total".
        scope: whose calls it holds for; None for everybody's.

    Raises:
        InvalidRequest: a field that cannot be used.
    """

    amount: Decimal
    name: str = "budget"
    per: Period = "total"
    scope: str | None = None

    def __init__(
        self,
        amount: str | int | Decimal,
        name: str = "budget",
        per: Period = "total",
        scope: str | None = None,
    ) -> None:
        set_once = object.__setattr__
        set_once(self, "amount", usd(amount, "budget"))
        set_once(self, "name", _word("name", name))
        if per not in _PERIODS:
            raise _bad("per", per, " or ".join(repr(one) for one in _PERIODS))
        set_once(self, "per", per)
        set_once(self, "scope", None if scope is None else _word("scope", scope))


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget and what is left of it.

    Attributes:
        period: the day "2027-01-15" or month "2027-01" (UTC) that the figures are of; empty for "total" and "call".
        settled, held: USD spent, and reserved for what is open or unknown. left: USD, never below 0.
            Of a budget per call, which begins anew with each, nothing is ever used.
    """

    budget: Budget
    period: str
    settled: Decimal
    held: Decimal
    left: Decimal


def _word(field: str, value: Any) -> str:
    if (
        not isinstance(value, str)
        or not value.strip()
        or len(value) > _LONGEST
        or not value.isprintable()
        or (field == "scope" and value == "*")  # stands for every scope in the ledger
    ):
        raise _bad(field, value, f"a word of at most {_LONGEST} printable characters")
    return value


def _bad(field: str, value: Any, allowed: str) -> InvalidRequest:
    return InvalidRequest(
        f"A budget's {field}={shown(value)} cannot be used. Allowed is {allowed}.",
        field=field,
        value=value,
        allowed=allowed,
    )
