"""What is reserved and spent: whether a job fits its call and the budgets, and what becomes of its reservation.

Each billed job has one row in `reservations` for its call and one for each budget that applies. `balances` holds their sums
by account (the outermost run of a call, or a budget) and day, so that a check reads a few rows however long the history is;
both change in the transaction of whoever books. A reservation counts on the day (UTC) on which it was made, whatever
becomes of it later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, or_, select, update

from vidorch.budget import DEFAULT_CAP, Budget, BudgetState
from vidorch.errors import OverBudget
from vidorch.ledger.schema import balances, budgets, reservations, runs
from vidorch.ledger.session import Row, Session
from vidorch.money import from_micros, show_usd, to_micros

__all__ = ["book", "put_budget", "remove_budget", "reserve", "states_of"]

EVERY_SCOPE = "*"

_BUDGETS_OF = (
    select(budgets)
    .where(or_(budgets.c.scope == bindparam("b_scope"), budgets.c.scope == EVERY_SCOPE))
    .order_by(budgets.c.id)
    .with_for_update()
)
_ALL_BUDGETS = select(budgets).order_by(budgets.c.scope, budgets.c.name)
_ONE_BUDGET = select(budgets).where(budgets.c.id == bindparam("b_id"))
_ADD_BUDGET = insert(budgets).inline()
_CHANGE_BUDGET = (
    update(budgets)
    .where(budgets.c.id == bindparam("b_id"))
    .values(amount=bindparam("b_amount"), per=bindparam("b_per"), updated_at=bindparam("b_at"))
)
_REMOVE_BUDGET = delete(budgets).where(budgets.c.id == bindparam("b_id"))
_LOCK_ROOT = select(runs.c.id).where(runs.c.id == bindparam("b_root")).with_for_update()
_USED = select(
    func.coalesce(func.sum(balances.c.held), 0).label("held"),
    func.coalesce(func.sum(balances.c.settled), 0).label("settled"),
).where(
    balances.c.account == bindparam("b_account"),
    balances.c.day >= bindparam("b_from"),
    balances.c.day <= bindparam("b_to"),
)
_ADD_TO_BALANCE = (
    update(balances)
    .where(balances.c.account == bindparam("b_account"), balances.c.day == bindparam("b_day"))
    .values(held=balances.c.held + bindparam("b_held"), settled=balances.c.settled + bindparam("b_settled"))
)
_NEW_BALANCE = insert(balances).inline()
_RESERVED_FOR = select(reservations).where(reservations.c.job_id == bindparam("b_job"))
_CLOSE_RESERVATION = (
    update(reservations)
    .where(reservations.c.id == bindparam("b_id"))
    .values(
        state=bindparam("b_state"),
        settled=bindparam("b_settled"),
        basis=bindparam("b_basis"),
        updated_at=bindparam("b_at"),
    )
)

_FIRST, _LAST = "", "~"  # before and after every day


def reserve(
    db: Session,
    *,
    root: str,
    scope: str,
    jobs: Sequence[Mapping[str, Any]],
    cap: Decimal | None,
    client: Sequence[Budget],
    at: float,
    begins: bool = False,
) -> None:
    """Hold the high estimates of all billed `jobs` together, or none.

    Args:
        root: the outermost run of the call. cap: USD for the whole call; None for no limit of its own, or for
            `DEFAULT_CAP` where no budget applies. client: budgets of the caller's own, which are written down too.
        begins: whether the call begins in this transaction, so that nothing was ever held for it.

    Raises:
        OverBudget: they do not fit; names what they do not fit into.
    """
    billed = [job for job in jobs if job["billed"]]
    if not billed:
        return
    if not begins:
        db.row(_LOCK_ROOT, {"b_root": root})
    applying = _applying(db, scope)
    if _put_missing(db, client, applying, at):
        applying = _applying(db, scope)
    needed = sum(job["estimate_high"] for job in billed)
    _must_fit(db, None if begins else root, needed, cap, applying, at)
    accounts = [(root, None), *((row["id"], row["id"]) for row in applying)]
    day = day_of(at)
    for job in billed:
        for _, budget_id in accounts:
            db.later(
                reservations,
                {
                    "id": f"{job['id']}/{budget_id or 'call'}", "run_id": job["run_id"], "root_id": root, "job_id": job["id"],
                    "budget_id": budget_id, "scope": scope, "state": "held", "amount": job["estimate_high"], "settled": None,
                    "basis": None, "period": day, "created_at": at, "updated_at": at,
                },
            )  # fmt: skip
    for account, _ in accounts:
        if begins and account == root and needed:
            db.later(balances, {"account": root, "day": day, "held": needed, "settled": 0})
        else:
            _add_to_balance(db, account, day, held=needed, settled=0)


def _applying(db: Session, scope: str) -> list[dict[str, Any]]:
    """The budgets of a scope; nobody else changes them while we write, so they are read once in a transaction."""
    key = "budgets", scope
    if key not in db.known:
        db.known[key] = db.rows(_BUDGETS_OF, {"b_scope": scope})
    found: list[dict[str, Any]] = db.known[key]
    return found


def _put_missing(db: Session, client: Sequence[Budget], known: Iterable[Row], at: float) -> bool:
    """Write down those of the client's budgets that the ledger has not as they are. Whether there were any."""
    there = {(row["scope"], row["name"], row["per"], row["amount"]) for row in known}
    missing = [
        one for one in client if (_stored(one.scope), one.name, one.per, to_micros(one.amount)) not in there
    ]
    for budget in missing:
        put_budget(db, budget, at)
    return bool(missing)


def _must_fit(
    db: Session, root: str | None, needed: int, cap: Decimal | None, applying: Iterable[Row], at: float
) -> None:
    """`root` is None where the call begins."""
    by_default = cap is None and not applying
    limits: list[tuple[str, str | None, int, str]] = []  # name, account, millionths, per
    if cap is not None or by_default:
        limits.append(("max_cost", root, to_micros(DEFAULT_CAP if cap is None else cap), "call"))
    limits += [
        (row["name"], root if row["per"] == "call" else row["id"], row["amount"], row["per"])
        for row in applying
    ]
    over: list[tuple[int, str, int, str]] = []
    for name, account, limit, per in limits:
        held, settled = (0, 0) if account is None else _used(db, account, per, at)
        left = limit - held - settled
        if needed > left or limit == 0:
            over.append((max(left, 0), name, limit, per))
    if not over:
        return
    left, name, limit, per = min(over, key=lambda one: one[0])
    raise _over_budget(needed, left, name, limit, per, by_default=by_default)


def _over_budget(needed: int, left: int, name: str, limit: int, per: str, *, by_default: bool) -> OverBudget:
    high, room, whole = from_micros(needed), from_micros(left), show_usd(from_micros(limit))
    span = {"call": " per call", "day": " per day", "month": " per month", "total": ""}[per]
    name_it = "max_cost" if name == "max_cost" else f"the budget {name!r}"
    if by_default:
        name_it = "the default cap of a call"
    if name == "max_cost":
        span, hint = "", "Pass a higher max_cost, or ask for less."
    else:
        hint = {
            "call": "Raise it, or ask for less.",
            "day": "Raise it, ask for less, or wait until tomorrow (UTC).",
            "month": "Raise it, ask for less, or wait until next month (UTC).",
            "total": "Raise it, or ask for less.",
        }[per]
    room_in = (
        f"{name_it} is {whole}{span}"
        if left == limit
        else f"of {name_it} ({whole}{span}) {show_usd(room)} is left"
    )
    return OverBudget(
        f"This may cost up to {show_usd(high)}, and {room_in}. It was not sent.",
        hint=hint,
        needed=high,
        available=room,
        budget=name,
    )


def book(db: Session, job_id: str, cost: int | None, basis: str | None, at: float) -> int:
    """Settle what a job had reserved with what it cost, or release it where that is None. Books over what was booked before.

    Returns:
        What had been reserved for it, in millionths.
    """
    state = "released" if cost is None else "settled"
    spent = cost or 0
    reserved = 0
    for row in db.rows(_RESERVED_FOR, {"b_job": job_id}):
        held = row["amount"] if row["state"] == "held" else 0
        was = row["settled"] if row["state"] == "settled" else 0
        if row["budget_id"] is None:
            reserved = row["amount"]
        db.run(
            _CLOSE_RESERVATION,
            {"b_id": row["id"], "b_state": state, "b_settled": spent, "b_basis": basis, "b_at": at},
        )
        account = row["budget_id"] or row["root_id"]
        _add_to_balance(db, account, row["period"], held=-held, settled=spent - was)
    return reserved


def _add_to_balance(db: Session, account: str, day: str, *, held: int, settled: int) -> None:
    if not held and not settled:
        return
    values = {"b_account": account, "b_day": day, "b_held": held, "b_settled": settled}
    if not db.run(_ADD_TO_BALANCE, values):
        db.run(_NEW_BALANCE, {"account": account, "day": day, "held": held, "settled": settled})


def _used(db: Session, account: str, per: str, at: float) -> tuple[int, int]:
    first, last = _span(per, at)
    row = db.row(_USED, {"b_account": account, "b_from": first, "b_to": last})
    assert row is not None
    return int(row["held"]), int(row["settled"])


def day_of(at: float) -> str:
    """The day in UTC, such as "2027-01-15"."""
    return _day(int(at // 86_400))


@lru_cache(maxsize=8)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * 86_400, UTC).strftime("%Y-%m-%d")


def _span(per: str, at: float) -> tuple[str, str]:
    day = day_of(at)
    if per == "day":
        return day, day
    if per == "month":
        return f"{day[:7]}-01", f"{day[:7]}-31"
    return _FIRST, _LAST


def put_budget(db: Session, budget: Budget, at: float) -> None:
    """Write a budget down, or change the one of its name and scope."""
    scope = _stored(budget.scope)
    budget_id = _budget_id(scope, budget.name)
    amount = to_micros(budget.amount)
    db.known.clear()
    known = db.row(_ONE_BUDGET, {"b_id": budget_id})
    if known is None:
        row = {
            "id": budget_id, "name": budget.name, "scope": scope, "amount": amount, "per": budget.per, "created_at": at,
            "updated_at": at,
        }  # fmt: skip
        db.run(_ADD_BUDGET, row)
    elif (known["amount"], known["per"]) != (amount, budget.per):
        db.run(_CHANGE_BUDGET, {"b_id": budget_id, "b_amount": amount, "b_per": budget.per, "b_at": at})


def remove_budget(db: Session, name: str, scope: str | None) -> bool:
    """Take a budget away. What was spent under it is kept, should it come again. False: there was none."""
    db.known.clear()
    return bool(db.run(_REMOVE_BUDGET, {"b_id": _budget_id(_stored(scope), name)}))


def states_of(db: Session, at: float, scope: str | None) -> list[BudgetState]:
    """What is left of each budget that holds for a scope, or of all."""
    found = []
    for row in db.rows(_ALL_BUDGETS):
        if scope is not None and row["scope"] not in (scope, EVERY_SCOPE):
            continue
        per = row["per"]
        held, settled = (0, 0) if per == "call" else _used(db, row["id"], per, at)
        period = {"day": day_of(at), "month": day_of(at)[:7]}.get(per, "")
        whose = None if row["scope"] == EVERY_SCOPE else row["scope"]
        found.append(
            BudgetState(
                Budget(from_micros(row["amount"]), row["name"], per, whose),
                period,
                from_micros(settled),
                from_micros(held),
                from_micros(max(row["amount"] - held - settled, 0)),
            )
        )
    return found


def _stored(scope: str | None) -> str:
    return EVERY_SCOPE if scope is None else scope


def _budget_id(scope: str, name: str) -> str:
    word = f"{scope}\0{name}"
    return f"budget_{hashlib.sha256(word.encode()).hexdigest()[:26]}"
