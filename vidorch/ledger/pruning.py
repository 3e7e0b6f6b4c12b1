"""Forgetting what is long over, without forgetting what was spent."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, exists, func, or_, select

from vidorch.ledger.schema import balances, deliveries, events, jobs, outputs, reservations, runs
from vidorch.ledger.session import Session

__all__ = ["Pruned", "prune"]

BATCH = 20  # runs in one transaction: some twenty milliseconds in a ledger of a hundred thousand, in which nobody else writes


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows went."""

    runs: int = 0
    jobs: int = 0
    events: int = 0
    outputs: int = 0

    def __add__(self, other: Pruned) -> Pruned:
        return Pruned(
            self.runs + other.runs,
            self.jobs + other.jobs,
            self.events + other.events,
            self.outputs + other.outputs,
        )


_child = runs.alias("child")
_below = runs.alias("below")
_is_under_way = or_(
    exists().where(_child.c.parent_id == runs.c.id, _child.c.ended_at.is_(None)),
    exists().where(jobs.c.run_id == runs.c.id, jobs.c.ended_at.is_(None)),
    exists().where(_below.c.parent_id == runs.c.id, jobs.c.run_id == _below.c.id, jobs.c.ended_at.is_(None)),
)
_OVER = (
    select(runs.c.id)
    .where(
        func.coalesce(runs.c.parent_id, "")
        == "",  # written so that the oldest are read first, and not all that have no parent
        runs.c.created_at < bindparam("b_before"),
        runs.c.ended_at < bindparam("b_before"),
        ~_is_under_way,
    )
    .order_by(runs.c.created_at)
    .limit(BATCH)
)
_CHILDREN = select(runs.c.id).where(runs.c.parent_id == bindparam("b_run")).limit(BATCH)
_JOBS_OF = select(jobs.c.id).where(jobs.c.run_id == bindparam("b_run"))
_FORGET_DELIVERIES = delete(deliveries).where(deliveries.c.job_id == bindparam("b_job"))
_FORGET_RESERVATIONS = delete(reservations).where(
    reservations.c.job_id == bindparam("b_job"),
    or_(reservations.c.state != "settled", reservations.c.settled == 0),
)
_FORGET_OUTPUTS = delete(outputs).where(outputs.c.run_id == bindparam("b_run"))
_FORGET_EVENTS = delete(events).where(events.c.run_id == bindparam("b_run"))
_FORGET_JOBS = delete(jobs).where(jobs.c.run_id == bindparam("b_run"))
_FORGET_BALANCE = delete(balances).where(balances.c.account == bindparam("b_run"))
_FORGET_RUN = delete(runs).where(runs.c.id == bindparam("b_run"))


def prune(db: Session, before: float) -> Pruned:
    """Forget up to `BATCH` runs that ended before a moment and belong to a call that is wholly over; children first."""
    gone = Pruned()
    room = BATCH
    for root in db.rows(_OVER, {"b_before": before}):
        ids = [row["id"] for row in db.rows(_CHILDREN, {"b_run": root["id"]})]
        for run_id in (*ids, root["id"])[:room]:
            gone += _forget(db, run_id)
        room -= len(ids) + 1
        if room <= 0:
            break
    return gone


def _forget(db: Session, run_id: str) -> Pruned:
    where = {"b_run": run_id}
    for job in db.rows(_JOBS_OF, where):
        db.run(_FORGET_DELIVERIES, {"b_job": job["id"]})
        db.run(_FORGET_RESERVATIONS, {"b_job": job["id"]})
    went_out, went_by = db.run(_FORGET_OUTPUTS, where), db.run(_FORGET_EVENTS, where)
    jobs_gone = db.run(_FORGET_JOBS, where)
    db.run(_FORGET_BALANCE, where)
    return Pruned(db.run(_FORGET_RUN, where), jobs_gone, went_by, went_out)
