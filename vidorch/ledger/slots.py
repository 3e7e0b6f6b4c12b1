"""Who may send next: jobs at an account count against its limits in every process, by the rows they have anyway.

A slot is a job in `sending`, `accepted` or `running`. A process that is killed leaks none: what it was sending counts until its
lease has run out, and what a vendor has counts until its deadline, since the vendor works on it all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, func, or_, select

from vidorch.ledger.moves import State
from vidorch.ledger.schema import jobs
from vidorch.ledger.session import Session

__all__ = ["DAY", "MINUTE", "Account", "NoRoom", "wait_for_room"]

MINUTE, DAY = 60.0, 86_400.0
"""Seconds over which `per_minute` and `per_day` count."""
_AT_WORK = (State.SENDING.value, State.ACCEPTED.value, State.RUNNING.value)


class NoRoom(Exception):
    """A job cannot be sent now.

    Attributes:
        wait: seconds until it can be by the clock; None where that depends on others.
    """

    def __init__(self, wait: float | None) -> None:
        super().__init__(f"The account's limits leave no room now: {wait}.")
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Account:
    """Whose limits they are, and what they are.

    Attributes:
        endpoint: counts its jobs, unless `name` says whose jobs count, whatever their endpoint. scope: only this tenant's; None
            for everybody's, where no credential tells them apart.
        at_once: jobs at work at the same time. per_minute, per_day: submits within any minute and 24 hours. None: no limit.
        model: for whose jobs alone those of these limits count that `each_model` names.
    """

    endpoint: str
    name: str = ""
    scope: str | None = None
    at_once: int | None = None
    per_minute: int | None = None
    per_day: int | None = None
    model: str | None = None
    each_model: frozenset[str] = frozenset()

    @property
    def limited(self) -> bool:
        """Whether there is anything to wait for."""
        return any(limit is not None for limit in (self.at_once, self.per_minute, self.per_day))


def wait_for_room(db: Session, account: Account, now: float) -> float | None:
    """Whether one more job may be sent in this transaction.

    Returns:
        None when it may; else seconds until that can change by the clock alone, infinity where only an end can make room.
    """
    if account.at_once is not None:
        kind, values = _whose(account, "at_once")
        busy = db.row(_BUSY[kind], {**values, "b_now": now})
        if busy is not None and int(busy["jobs"]) >= account.at_once:
            return float("inf")
    waits = [
        _wait_for(db, account, name, most, within, now)
        for name, most, within in (
            ("per_minute", account.per_minute, MINUTE),
            ("per_day", account.per_day, DAY),
        )
        if most is not None
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def _wait_for(db: Session, account: Account, name: str, most: int, within: float, now: float) -> float | None:
    """Seconds until fewer than `most` were sent `within` such a time; None where there are fewer now."""
    kind, values = _whose(account, name)
    sent = db.row(_SENT[kind], {**values, "b_since": now - within, "b_nth": most - 1})
    return None if sent is None else max(float(sent["sending_at"]) + within - now, 0.001)


_Kind = tuple[bool, bool, bool]


def _whose(account: Account, limit: str) -> tuple[_Kind, dict[str, str]]:
    """Whose jobs count against one of its limits: which of the statements below, and its values."""
    model = account.model if limit in account.each_model else None
    values = {"b_whose": account.name or account.endpoint, "b_scope": account.scope, "b_model": model}
    given = {name: value for name, value in values.items() if value is not None}
    return (bool(account.name), account.scope is not None, model is not None), given


_KINDS = {
    (named, scoped, modelled): (
        (jobs.c.account if named else jobs.c.endpoint) == bindparam("b_whose"),
        *([jobs.c.scope == bindparam("b_scope")] if scoped else []),
        *([jobs.c.model == bindparam("b_model")] if modelled else []),
    )
    for named in (False, True)
    for scoped in (False, True)
    for modelled in (False, True)
}
_BUSY = {
    kind: select(func.count().label("jobs")).where(
        *whose,
        jobs.c.ended_at.is_(None),
        or_(*(jobs.c.state == state for state in _AT_WORK)),
        or_(jobs.c.lease_until > bindparam("b_now"), jobs.c.deadline > bindparam("b_now")),
    )
    for kind, whose in _KINDS.items()
}
_SENT = {
    kind: select(jobs.c.sending_at)
    .where(*whose, jobs.c.sending_at.is_not(None), jobs.c.sending_at > bindparam("b_since"))
    .order_by(jobs.c.sending_at.desc())
    .offset(bindparam("b_nth"))
    .limit(1)
    for kind, whose in _KINDS.items()
}
