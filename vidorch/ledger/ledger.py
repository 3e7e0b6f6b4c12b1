"""The ledger's verbs: write a run down, reserve, move a job, take it over, book, note.

Everything that belongs together (a job, its event, its reservation, the run's totals) is one transaction.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from decimal import Decimal
from math import inf
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, insert, or_, select, update

from vidorch.budget import Budget
from vidorch.databases import DatabaseUrl
from vidorch.errors import InvalidRequest
from vidorch.ledger.accounts import book, put_budget, remove_budget, reserve
from vidorch.ledger.history import add_event, event_row, moved_meanwhile
from vidorch.ledger.mail import Mail
from vidorch.ledger.moves import ENDS, State, find_move
from vidorch.ledger.owning import Owning
from vidorch.ledger.pruning import Pruned, prune
from vidorch.ledger.reading import Reader, Spent, job_row
from vidorch.ledger.refusals import Claimed, IllegalMove, KeyTaken, MovedMeanwhile, NotOurs
from vidorch.ledger.rows import column_values, job_of, job_with
from vidorch.ledger.schema import events, jobs, outputs, runs
from vidorch.ledger.session import Session
from vidorch.ledger.slots import Account, NoRoom, wait_for_room
from vidorch.ledger.store import BUSY_SECONDS, Store
from vidorch.money import from_micros, to_micros
from vidorch.result import Job

__all__ = ["Claimed", "IllegalMove", "KeyTaken", "Ledger", "MovedMeanwhile", "NotOurs", "Pruned", "Spent"]

_Note = tuple[Job, float, Mapping[str, Any]]
"""(as it was, when, what to change)"""

_STAMPS = {state.value: f"{state.value}_at" for state in State if f"{state.value}_at" in jobs.c}
_IS_OPEN = or_(runs.c.state == "open", runs.c.state == "waiting")

_RUN = select(runs).where(runs.c.id == bindparam("b_id"))
_LOCKED_RUN = _RUN.with_for_update()
_KEY_OWNER = select(runs.c.id).where(runs.c.scope == bindparam("b_scope"), runs.c.key == bindparam("b_key"))
_NEW_RUN, _NEW_JOB = (insert(table).inline() for table in (runs, jobs))
_MOVE = update(jobs).where(
    jobs.c.id == bindparam("b_id"),
    jobs.c.state == bindparam("b_state"),
    jobs.c.version == bindparam("b_version"),
)
_JOB_BY_ID = update(jobs).where(jobs.c.id == bindparam("b_id"))
_SCORE = update(outputs).where(outputs.c.id == bindparam("b_id")).values(scores=bindparam("b_scores"))
_RUN_BY_ID = update(runs).where(runs.c.id == bindparam("b_id"))
_OPEN_RUN = _RUN_BY_ID.where(_IS_OPEN).values(version=runs.c.version + 1)
_OPEN_RUN_OF = _OPEN_RUN.where(runs.c.owner == bindparam("b_owner"))
_ADDED = {name: {runs.c[name]: runs.c[name] + bindparam("b_added")} for name in ("cost", "imputed")}
_ADD_TO_RUN = {
    name: _RUN_BY_ID.values({**added, runs.c.updated_at: bindparam("b_at")}) for name, added in _ADDED.items()
}
_END_RUN = {name: _OPEN_RUN.values(added) for name, added in _ADDED.items()}


class Ledger(Reader, Owning, Mail):
    """The durable record. Thread-safe; one writer thread per process.

    Every verb returns a future that is done when its transaction is on disk, or holds the error that rolled it back alone;
    those without one ride with the next commit.

    Args:
        place: SQLite file, or the database that several machines share; None keeps it in memory (free work only).
        busy_seconds: how long to wait for another process that holds it, or for a server that is gone.

    Raises:
        LedgerUnavailable: it cannot be opened and written.
    """

    def __init__(self, place: Path | DatabaseUrl | None, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.place = place
        self._store = Store(place, busy_seconds=busy_seconds)
        self._touching = threading.Lock()
        self._touched: dict[str, _Note] = {}
        """By job, what is to be noted on it with the next commit."""

    @property
    def durable(self) -> bool:
        """Whether what is written survives this process. Nothing is paid for without that."""
        return self.place is not None

    @property
    def shared(self) -> bool:
        """Whether other machines may be on it."""
        return isinstance(self.place, DatabaseUrl)

    @property
    def ahead(self) -> float:
        """Seconds by which the clock that all go by is ahead of this machine's: 0 where the ledger is a file."""
        return self._store.database.ahead

    # -- runs and their jobs ----------------------------------------------------------------------------------------

    def record(
        self,
        run: Mapping[str, Any],
        new_jobs: Sequence[Mapping[str, Any]] = (),
        *,
        cap: Decimal | None = None,
        budgets: Sequence[Budget] = (),
        at: float,
    ) -> Future[list[Job]]:
        """Write a run and its first jobs (as `reserved`) and hold what they may cost, all or nothing, before anything is sent.

        Args:
            run, new_jobs: rows; the run may have no jobs yet.
            cap: USD for the whole call, that is for the outermost run and all below it; None for the default cap where no
                budget applies. budgets: the client's own, written down beside those of the ledger, which apply anyway.

        Returns:
            A future of the jobs as they are then, in order.

        Raises (in the future):
            KeyTaken: the scope already has a run with this key. OverBudget: they do not fit.
        """

        def work(db: Session) -> list[Job]:
            if run.get("key") is not None:
                _must_be_free(db, run)
            # What refuses goes before what writes: then nothing has to be taken back.
            parent = run.get("parent_id")
            reserve(db, root=parent or run["id"], scope=run["scope"], jobs=new_jobs, cap=cap, client=budgets, at=at,
                    begins=parent is None)  # fmt: skip
            self._insert_run(db, run)
            return _insert_jobs(db, new_jobs, at)

        return self._store.write(work)

    @staticmethod
    def _insert_run(db: Session, run: Mapping[str, Any]) -> None:
        row = column_values(run)
        if run.get("key") is None:
            db.run(_NEW_RUN, row)
            return
        try:
            with db.savepoint():
                db.run(_NEW_RUN, row)
        except db.integrity_error:  # somebody else was first, on a database where two write at the same time
            _must_be_free(db, run)
            raise

    def add_jobs(
        self,
        run_id: str,
        owner: str,
        new_jobs: Sequence[Mapping[str, Any]],
        *,
        cap: Decimal | None = None,
        budgets: Sequence[Budget] = (),
        at: float,
    ) -> Future[list[Job]]:
        """Write further jobs of a run that `owner` drives, and hold what they may cost, all or nothing.

        Args:
            cap, budgets: as in `record`.

        Raises (in the future):
            NotOurs: the run is not open, or not owned by `owner`. OverBudget: they do not fit.
        """

        def work(db: Session) -> list[Job]:
            run = db.row(_LOCKED_RUN, {"b_id": run_id})
            if run is None or run["state"] != "open" or run["owner"] != owner:
                state = "gone" if run is None else run["state"]
                whose = "nobody" if run is None or run["owner"] is None else run["owner"]
                raise NotOurs(
                    f"The run {run_id} is {state} and driven by {whose}, so nothing is added to it by {owner}.",
                    run_id=run_id,
                )
            root = run["parent_id"] or run["id"]
            reserve(db, root=root, scope=run["scope"], jobs=new_jobs, cap=cap, client=budgets, at=at)
            return _insert_jobs(db, new_jobs, at)

        return self._store.write(work)

    def set_run(self, run_id: str, at: float, *, owner: str | None = None, **columns: Any) -> Future[bool]:
        """Change columns of a run that is open or waiting. The future is False, and nothing is changed, when it is neither.

        Args:
            owner: change it only if this owner drives it. columns: plain values; lists and mappings become JSON.
        """
        values = column_values(columns) | {"updated_at": at}
        return self._store.write(lambda db: _change_open_run(db, run_id, owner, values))

    def end_run(
        self, run_id: str, state: str, at: float, *, owner: str | None = None, **columns: Any
    ) -> Future[bool]:
        """Close a run as finished, failed or cancelled. The future is False when it was closed already, or not `owner`'s."""
        values = _ending(state, columns, at)
        return self._store.write(lambda db: _change_open_run(db, run_id, owner, values))

    # -- moves ------------------------------------------------------------------------------------------------------

    def move(
        self,
        job: Job,
        target: State,
        at: float,
        *,
        changes: Mapping[str, Any] | None = None,
        cost: Decimal | None = None,
        made: Sequence[Mapping[str, Any]] = (),
        note: Mapping[str, Any] | None = None,
        run_ends: Mapping[str, Any] | None = None,
        room: Account | None = None,
    ) -> Future[Job]:
        """Move a job by one step of the table, if it is still where `job` says: a compare-and-swap on state and version.

        An end settles what the job had reserved with `cost`, or releases it without one. A cost above what was reserved is
        booked in full, with an event `overrun`.

        Args:
            changes: further columns of the job, as plain values. cost: what it cost, in USD, when the target is an end.
            made: rows for `outputs`, written in the same transaction. note: goes into the event.
            room: the account whose limits have to leave room for it.
            run_ends: the move ends its run too, in the same transaction, as finished with these columns, as `end_run` would.

        Returns:
            A future of the job as it is then. It is on disk when the future is done; whether to wait for it is in the table.

        Raises:
            IllegalMove: the step is not in the table, or not for this kind of job.
            MovedMeanwhile (in the future): the job is elsewhere by now.
            Claimed (in the future): the remote id in `changes` belongs to another job.
            NoRoom (in the future): the limits of `room` leave none; nothing was changed.
        """
        step = find_move(job.state, target)
        if step is None:
            raise IllegalMove(f"A job cannot move from {job.state} to {target}.", job_id=job.id)
        if step.in_process_only and job.outlives_caller:
            raise IllegalMove(
                f"{job.state} -> {target} is only for work that dies with its process.", job_id=job.id
            )
        values = column_values(changes or {})
        values |= {"state": target.value, "version": job.version + 1, "updated_at": at}
        if stamp := _STAMPS.get(target.value):
            values[stamp] = at
        micros = None if cost is None else to_micros(cost)
        if target in ENDS:
            values |= {"ended_at": at, "owner": None, "lease_until": None, "cost": micros}
        rows = [column_values(row) for row in made]
        ending = None if run_ends is None else _ending("finished", run_ends, at)
        where = {**values, "b_id": job.id, "b_state": job.state, "b_version": job.version}

        def work(db: Session) -> Job:
            if room is not None and (wait := wait_for_room(db, room, at)) is not None:
                raise NoRoom(None if wait == inf else wait)
            try:
                changed = db.run(_MOVE, where)
            except db.integrity_error as error:
                if not _broke(error, "jobs_remote", "jobs.endpoint, jobs.account, jobs.remote_id"):
                    raise
                raise Claimed(
                    f"The vendor's job {values.get('remote_id')} belongs to another job of this ledger.",
                    job_id=job.id,
                    run_id=job.run_id,
                    remote_id=values.get("remote_id"),
                ) from error
            if not changed:
                raise moved_meanwhile(db, job)
            after = job_with(job, values)
            add_event(db, at, job, "move", job.state, target.value, after.version, note)
            for row in rows:
                db.later(outputs, row)
            if target in ENDS:
                _settle(db, after, job.cost, micros, at, ending)
            elif ending is not None:
                _change_open_run(db, job.run_id, None, ending)
            return after

        return self._store.write(work, waits=step.waits)

    def touch(self, job: Job, at: float, **changes: Any) -> None:
        """Note progress or a renewed lease on a job; rides with the next commit, and is dropped if the job has moved on.

        Of several notes on one job only what is newest is written.
        """
        with self._touching:
            first = not self._touched
            before = self._touched.get(job.id)
            if before is not None and before[0].version == job.version:
                changes = {**before[2], **changes}
            self._touched[job.id] = job, at, changes
        if first:
            self._store.ride(self._notes_on_jobs())

    def _notes_on_jobs(self) -> Callable[[Session], None]:
        taken: list[_Note] = []

        def work(db: Session) -> None:
            with self._touching:
                taken.extend(self._touched.values())
                self._touched.clear()
            for job, at, changes in taken:
                values = column_values(changes)
                values |= {"updated_at": at, "b_id": job.id, "b_state": job.state, "b_version": job.version}
                db.run(_MOVE, values)

        return work

    def correct(
        self, job_id: str, cost: Decimal | None, at: float, *, error_text: str | None = None
    ) -> Future[Job]:
        """Book a person's word on what a job cost, where vidorch could only assume it or not tell. It stays in its state.

        Args:
            cost: USD; None when it was not charged. error_text: what is said of the job from then on; None changes nothing.

        Raises (in the future):
            InvalidRequest: there is no such job, it has not ended, or its cost is known already.
        """
        micros = 0 if cost is None else to_micros(cost)

        def work(db: Session) -> Job:
            job = job_row(db, job_id)
            if job is None:
                raise InvalidRequest(
                    f"There is no job {job_id!r} in this ledger.", field="job_id", value=job_id
                )
            open_question = job.cost_basis == "assumed" or (job.charged is None and job.state in ENDS)
            if job.state not in ENDS or not open_question:
                raise InvalidRequest(
                    f"What the job {job_id} cost is not open: it is {job.state}"
                    f"{'' if job.cost is None else f', at {job.cost} USD ({job.cost_basis})'}.",
                    field="job_id", value=job_id, allowed="an ended job whose cost was assumed or is not known",
                )  # fmt: skip
            values = {
                "cost": micros,
                "cost_basis": "reported",
                "charged": int(micros > 0),
                "version": job.version + 1,
                "updated_at": at,
                **({} if error_text is None else {"error_text": error_text}),
            }
            db.run(_JOB_BY_ID, {**values, "b_id": job_id})
            after = job_with(job, values)
            said = {"from": None if job.cost is None else str(job.cost), "to": str(after.cost)}
            add_event(db, at, job, "correction", None, None, after.version, said)
            _settle(db, after, job.cost, micros, at)
            return after

        return self._store.write(work)

    def score(self, reports: Mapping[str, Mapping[str, Any]]) -> None:
        """Note what a selection said of outputs, by their ids; rides with the next commit."""
        rows = [{"b_id": name, "b_scores": json.dumps(dict(report))} for name, report in reports.items()]
        self._store.ride(lambda db: [db.run(_SCORE, row) for row in rows])

    # -- budgets and housekeeping -----------------------------------------------------------------------------------

    def set_budget(self, budget: Budget, at: float) -> Future[None]:
        """Write a budget down, or change the one of its name and scope. It holds for every call from then on."""
        return self._store.write(lambda db: put_budget(db, budget, at))

    def remove_budget(self, name: str, scope: str | None = None) -> Future[bool]:
        """Take a budget away; False when there was none. What was spent under it counts again should it come back."""
        return self._store.write(lambda db: remove_budget(db, name, scope))

    def prune(self, before: float, at: float) -> Pruned:
        """Forget runs that ended before a moment, with everything below them, a few at a time so that nobody waits long.

        What is open stays, with its whole call, and so does what ended after `at` (now). Every reservation that was settled
        with an amount stays too: budgets remain true. Files are never touched.

        Returns:
            How many rows went.
        """
        total = Pruned()
        while (part := self._store.write(lambda db: prune(db, min(before, at))).result()).runs:
            total += part
        return total

    def note(self, run_id: str, job_id: str | None, at: float, kind: str, data: Mapping[str, Any]) -> None:
        """Add an event that is not a move; rides with the next commit."""
        row = event_row(at, run_id, job_id, kind, None, None, None, data)
        self._store.ride(lambda db: db.later(events, row))

    def flush(self) -> None:
        """Wait until everything written so far is on disk."""
        self._store.flush()

    def close(self) -> None:
        """Write what waits and let go of the file."""
        self._store.close()


def _must_be_free(db: Session, run: Mapping[str, Any]) -> None:
    owner = db.row(_KEY_OWNER, {"b_scope": run["scope"], "b_key": run["key"]})
    if owner is not None:
        raise KeyTaken(f"The key {run['key']!r} is taken in scope {run['scope']!r}.", run_id=owner["id"])


def _insert_jobs(db: Session, rows: Sequence[Mapping[str, Any]], at: float) -> list[Job]:
    written = []
    for row in rows:
        plain = column_values(row)
        db.run(_NEW_JOB, plain)
        job = job_of(plain)
        add_event(db, at, job, "move", None, State.RESERVED.value, job.version, None)
        written.append(job)
    return written


def _change_open_run(db: Session, run_id: str, owner: str | None, values: Mapping[str, Any]) -> bool:
    if owner is None:
        return bool(db.run(_OPEN_RUN, {**values, "b_id": run_id}))
    return bool(db.run(_OPEN_RUN_OF, {**values, "b_id": run_id, "b_owner": owner}))


def _ending(state: str, columns: Mapping[str, Any], at: float) -> dict[str, Any]:
    ended = {"state": state, "ended_at": at, "owner": None, "lease_until": None, "updated_at": at}
    return column_values(columns) | ended


def _settle(
    db: Session, job: Job, before: Decimal | None, cost: int | None, at: float, ending: Mapping[str, Any] | None = None
) -> None:  # fmt: skip
    """Book what an ended job cost, over what was booked `before`: in its reservations and in its run, which may end with it."""
    if job.billed:
        reserved = book(db, job.id, cost, job.cost_basis, at)
        if cost is not None and cost > reserved:
            said = {"reserved": str(from_micros(reserved)), "cost": str(from_micros(cost))}
            add_event(db, at, job, "overrun", None, None, job.version, said)
    added = (cost or 0) - (0 if before is None else to_micros(before))
    column = "cost" if job.billed else "imputed"
    if ending is not None and db.run(_END_RUN[column], {**ending, "b_id": job.run_id, "b_added": added}):
        return
    if added:
        db.run(_ADD_TO_RUN[column], {"b_id": job.run_id, "b_added": added, "b_at": at})


def _broke(error: Exception, name: str, columns: str) -> bool:
    """Whether it is this constraint that was broken: PostgreSQL says its name, SQLite its columns."""
    return name in str(error) or columns in str(error)
