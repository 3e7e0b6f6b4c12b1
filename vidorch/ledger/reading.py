"""What the ledger can be asked. Nothing here changes anything."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, or_, select

from vidorch.budget import BudgetState
from vidorch.doors import Try, try_of
from vidorch.latencies import SEEN_LATE, Took
from vidorch.ledger.accounts import states_of
from vidorch.ledger.moves import ENDS, State
from vidorch.ledger.rows import job_of, run_of
from vidorch.ledger.schema import budgets, events, jobs, outputs, reservations, runs
from vidorch.ledger.session import Session
from vidorch.ledger.store import Store
from vidorch.money import from_micros
from vidorch.result import Event, Job
from vidorch.spend import SpendJob

__all__ = ["OPEN_RUNS", "Below", "Reader", "Reserved", "Spent", "job_row"]


_SETTLED = State.SETTLED.value
FAR = 1e12
"""Seconds since 1970: after all that happens."""
_RUN = select(runs).where(runs.c.id == bindparam("b_id"))
_RUN_BY_KEY = select(runs).where(runs.c.scope == bindparam("b_scope"), runs.c.key == bindparam("b_key"))
_RUNS = select(runs).order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(bindparam("b_limit"))
_RUNS_IN = {
    ended: _RUNS.where(
        runs.c.state == bindparam("b_state"),
        runs.c.ended_at.is_not(None) if ended else runs.c.ended_at.is_(None),
    )
    for ended in (True, False)
}
_CHILDREN = (
    select(runs)
    .where(runs.c.parent_id == bindparam("b_id"))
    .order_by(runs.c.position, runs.c.created_at, runs.c.id)
)
_LISTED_BELOW = (
    select(runs.c.id, runs.c.state, runs.c.cost)
    .where(runs.c.parent_id == bindparam("b_id"))
    .order_by(runs.c.position, runs.c.created_at, runs.c.id)
    .limit(bindparam("b_limit"))
)
_SUMS_BELOW = (
    select(runs.c.state, func.count().label("runs"), func.sum(runs.c.cost).label("cost"))
    .where(runs.c.parent_id == bindparam("b_id"))
    .group_by(runs.c.state)
    .order_by(runs.c.state)
)
_STATES_BELOW = (
    select(runs.c.state, func.count().label("runs"))
    .where(runs.c.parent_id == bindparam("b_id"))
    .group_by(runs.c.state)
)
_OPEN_RUNS = select(runs).where(runs.c.ended_at.is_(None)).order_by(runs.c.created_at, runs.c.id)
_JOB = select(jobs).where(jobs.c.id == bindparam("b_id"))
_JOBS_OF = (
    select(jobs)
    .where(jobs.c.run_id == bindparam("b_run"))
    .order_by(jobs.c.candidate, jobs.c.attempt)
    .limit(bindparam("b_limit"))
)
_JOBS = select(jobs).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(bindparam("b_limit"))
_JOBS_IN = {
    ended: _JOBS.where(
        jobs.c.state == bindparam("b_state"),
        jobs.c.ended_at.is_not(None) if ended else jobs.c.ended_at.is_(None),
    )
    for ended in (True, False)
}
_JOBS_OF_SCOPE = _JOBS.where(jobs.c.scope == bindparam("b_scope"))
_JOBS_OF_SCOPE_IN = {
    ended: query.where(jobs.c.scope == bindparam("b_scope")) for ended, query in _JOBS_IN.items()
}
_OPEN_JOBS = select(jobs).where(jobs.c.ended_at.is_(None)).order_by(jobs.c.created_at, jobs.c.id)
_COUNT = select(func.count().label("jobs")).select_from(jobs)
_CLAIMED = select(jobs.c.id).where(
    jobs.c.endpoint == bindparam("b_endpoint"),
    jobs.c.account == bindparam("b_account"),
    jobs.c.remote_id == bindparam("b_remote"),
)
_LATENCIES = (
    select(
        (jobs.c.downloading_at - jobs.c.accepted_at).label("seen"),
        (jobs.c.working_at - jobs.c.accepted_at).label("working"),
    )
    .where(
        jobs.c.endpoint == bindparam("b_endpoint"),
        jobs.c.model == bindparam("b_model"),
        jobs.c.task == bindparam("b_task"),
        jobs.c.ended_at.is_not(None),
        jobs.c.state == State.SETTLED.value,
        jobs.c.accepted_at.is_not(None),
        jobs.c.downloading_at.is_not(None),
        or_(jobs.c.poll_at.is_(None), jobs.c.downloading_at <= jobs.c.poll_at + SEEN_LATE),
    )
    .order_by(jobs.c.ended_at.desc())
    .limit(bindparam("b_limit"))
)
_MONEY = select(
    jobs.c.created_at, jobs.c.endpoint, jobs.c.model, jobs.c.scope, jobs.c.ended_at, jobs.c.state, jobs.c.billed,
    jobs.c.samples, jobs.c.estimate, jobs.c.estimate_high, jobs.c.cost, jobs.c.cost_basis, jobs.c.timings,
).where(jobs.c.created_at >= bindparam("b_since"), jobs.c.created_at < bindparam("b_until"))  # fmt: skip
_TAGGED = _MONEY.add_columns(runs.c.tags).join_from(jobs, runs, jobs.c.run_id == runs.c.id)
_SPEND = {
    (tags, scoped): (query.where(jobs.c.scope == bindparam("b_scope")) if scoped else query)
    for tags, query in ((False, _MONEY), (True, _TAGGED))
    for scoped in (False, True)
}
"""By whether tags are asked for, and only one scope."""
_TRIES = (
    select(jobs.c.model, jobs.c.state, jobs.c.error, jobs.c.updated_at, jobs.c.created_at, jobs.c.details)
    .where(
        jobs.c.endpoint == bindparam("b_endpoint"),
        jobs.c.scope == bindparam("b_scope"),
        jobs.c.created_at > bindparam("b_since"),
    )
    .order_by(jobs.c.created_at.desc())
    .limit(bindparam("b_limit"))
)
_ROOT = select(runs.c.id, runs.c.parent_id).where(runs.c.id == bindparam("b_id"))
_SPENT = (
    select(
        reservations.c.state,
        jobs.c.state.label("job_state"),
        func.sum(reservations.c.amount).label("amount"),
        func.sum(reservations.c.settled).label("settled"),
    )
    .join(jobs, jobs.c.id == reservations.c.job_id)
    .where(reservations.c.root_id == bindparam("b_root"), reservations.c.budget_id.is_(None))
    .group_by(reservations.c.state, jobs.c.state)
)
_RESERVED = (
    select(
        reservations.c.job_id, reservations.c.state, reservations.c.amount, reservations.c.settled, reservations.c.period,
        budgets.c.name.label("budget"),
    )
    .outerjoin(budgets, budgets.c.id == reservations.c.budget_id)
    .where(reservations.c.run_id == bindparam("b_run"), or_(reservations.c.budget_id.is_(None), budgets.c.id.is_not(None)))
    .order_by(reservations.c.created_at, reservations.c.id)
)  # fmt: skip
_OUTPUTS = (
    select(outputs)
    .where(outputs.c.run_id == bindparam("b_run"))
    .order_by(outputs.c.created_at, outputs.c.number)
)
_EVENTS = select(events).where(events.c.run_id == bindparam("b_run")).order_by(events.c.id)
_EVENTS_OF_JOB = (
    select(events)
    .where(events.c.run_id == bindparam("b_run"), events.c.job_id == bindparam("b_job"))
    .order_by(events.c.id)
)
_FIND = {
    kind: (
        select(table.c.id)
        .where(table.c.id >= bindparam("b_first"), table.c.id < bindparam("b_after"))
        .limit(5),
        select(table.c.id).where(table.c.id.endswith(bindparam("b_word"), escape="\\")).limit(5),
    )
    for kind, table in (("run", runs), ("job", jobs))
}
OPEN_RUNS = ("open", "waiting")
"""The states of a run that has not ended."""
_MANY = 2**62


class Below(NamedTuple):
    """A run below a batch or film, as a list shows it. `cost`: USD."""

    id: str
    state: str
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Spent:
    """What a call has used of its cap, with all runs below it, in millionths of a dollar.

    Attributes:
        settled: really spent, or assumed so. held: reserved for what is under way. unknown: reserved for submits of which
            nobody can tell whether they were accepted.
    """

    settled: int = 0
    held: int = 0
    unknown: int = 0

    @property
    def total(self) -> int:
        """All that counts against the cap."""
        return self.settled + self.held + self.unknown


@dataclass(frozen=True, slots=True)
class Reserved:
    """One reservation: what a job may cost, as long as nobody knows what it does.

    Attributes:
        budget: in whose favour it counts; None for the call itself. state: "held", "settled" or "released".
        amount: USD that were reserved. settled: USD that it came to. period: the day (UTC) on which it counts.
    """

    job_id: str
    budget: str | None
    state: str
    amount: Decimal
    settled: Decimal | None
    period: str


def job_row(db: Session, job_id: str) -> Job | None:
    """One job, inside a transaction."""
    row = db.row(_JOB, {"b_id": job_id})
    return None if row is None else job_of(row)


class Reader:
    """The reading half of the ledger."""

    _store: Store

    def run(self, run_id: str) -> dict[str, Any] | None:
        """One run's row, with its JSON columns read and its money in dollars; None when there is none."""
        return self._one_run(_RUN, {"b_id": run_id})

    def run_by_key(self, scope: str, key: str) -> dict[str, Any] | None:
        """The run that owns a key in a scope, or None."""
        return self._one_run(_RUN_BY_KEY, {"b_scope": scope, "b_key": key})

    def runs(self, *, limit: int = 100, state: str | None = None) -> list[dict[str, Any]]:
        """Runs, newest first."""
        query = _RUNS if state is None else _RUNS_IN[state not in OPEN_RUNS]
        return self._runs(query, {"b_limit": limit} | _given(b_state=state))

    def children(self, parent_id: str) -> list[dict[str, Any]]:
        """The runs below a batch or film, in order of position."""
        return self._runs(_CHILDREN, {"b_id": parent_id})

    def listed_below(self, parent_id: str, *, limit: int | None = None) -> list[Below]:
        """The runs below a batch or film, in order of position, without what was asked of each."""
        values = {"b_id": parent_id, "b_limit": _MANY if limit is None else limit}
        rows = self._store.read(lambda db: db.tuples(_LISTED_BELOW, values))
        return [Below(str(run_id), str(state), from_micros(cost)) for run_id, state, cost in rows]

    def sums_below(self, parent_id: str) -> dict[str, tuple[int, Decimal]]:
        """How many runs below a batch or film are in each state, and what these cost, however many there are."""
        rows = self._store.read(lambda db: db.rows(_SUMS_BELOW, {"b_id": parent_id}))
        return {str(row["state"]): (int(row["runs"]), from_micros(int(row["cost"]))) for row in rows}

    def states_below(self, parent_id: str) -> dict[str, int]:
        """How many runs below a batch or film are in each state, however many there are."""
        rows = self._store.read(lambda db: db.rows(_STATES_BELOW, {"b_id": parent_id}))
        return {str(row["state"]): int(row["runs"]) for row in rows}

    def open_runs(self, scope: str | None = None) -> list[dict[str, Any]]:
        """Runs that are open or waiting, oldest first."""
        found = self._runs(_OPEN_RUNS, {})
        return found if scope is None else [run for run in found if run["scope"] == scope]

    def job(self, job_id: str) -> Job | None:
        """One job, or None."""
        return self._store.read(lambda db: job_row(db, job_id))

    def jobs(
        self,
        *,
        run_id: str | None = None,
        state: str | None = None,
        scope: str | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        """Jobs of one run in order of candidates, or all jobs (of a scope), newest first."""
        most = {"b_limit": _MANY if limit is None else limit}
        if run_id is not None:
            found = self._jobs(
                _JOBS_OF, most | {"b_run": run_id} | ({} if state is None else {"b_limit": _MANY})
            )
            return found if state is None else [job for job in found if job.state == state][:limit]
        if scope is None:
            query = _JOBS if state is None else _JOBS_IN[state in ENDS]
        else:
            query = _JOBS_OF_SCOPE if state is None else _JOBS_OF_SCOPE_IN[state in ENDS]
        return self._jobs(query, most | _given(b_state=state, b_scope=scope))

    def count_jobs(self) -> int:
        """How many jobs there are."""

        def work(db: Session) -> int:
            row = db.row(_COUNT, {})
            return 0 if row is None else int(row["jobs"])

        return self._store.read(work)

    def open_jobs(self, run_id: str | None = None) -> list[Job]:
        """Jobs that have not come to an end, oldest first; those of one run, or all."""
        if run_id is not None:
            return [job for job in self.jobs(run_id=run_id) if job.ended_at is None]
        return self._jobs(_OPEN_JOBS, {})

    def unknown_like(self, job: Job) -> list[Job]:
        """Unknown jobs of the same account that asked for the same, `job` among them if it is one; oldest first."""
        asked = (job.endpoint, job.account, job.settings_hash)
        unknown = reversed(self.jobs(state=State.UNKNOWN))
        return [one for one in unknown if (one.endpoint, one.account, one.settings_hash) == asked]

    def claimed(self, endpoint: str, account: str, remote_ids: Iterable[str]) -> set[str]:
        """Which of these jobs at the vendor belong to a job of ours."""

        def work(db: Session) -> set[str]:
            where = {"b_endpoint": endpoint, "b_account": account}
            return {one for one in remote_ids if db.row(_CLAIMED, where | {"b_remote": one}) is not None}

        return self._store.read(work)

    def owners(self, endpoint: str, account: str, remote_ids: Iterable[str]) -> dict[str, str]:
        """The ids of our jobs by those at the vendor, of these that belong to one."""

        def work(db: Session) -> dict[str, str]:
            where = {"b_endpoint": endpoint, "b_account": account}
            rows = ((one, db.row(_CLAIMED, where | {"b_remote": one})) for one in remote_ids)
            return {one: str(row["id"]) for one, row in rows if row is not None}

        return self._store.read(work)

    def latencies(self, endpoint: str, model: str, *, task: str, limit: int = 200) -> list[Took]:
        """How long settled jobs took at the vendor, from accepted to seen finished; newest first.

        Left out are those that were seen long after a look was due: nobody knows when they finished.
        """
        values = {"b_endpoint": endpoint, "b_model": model, "b_task": task, "b_limit": limit}
        return self._store.read(
            lambda db: [Took(row["seen"], row["working"]) for row in db.rows(_LATENCIES, values)]
        )

    def spend(
        self, *, since: float = 0.0, until: float = FAR, scope: str | None = None, tags: bool = False
    ) -> list[SpendJob]:
        """What every job that was begun in a stretch of time says about money and time.

        Args:
            since, until: seconds since 1970; the second is not in it. scope: only its jobs. tags: with the tags of their runs.
        """
        values = {"b_since": since, "b_until": until} | ({} if scope is None else {"b_scope": scope})
        query = _SPEND[tags, scope is not None]
        return self._store.read(lambda db: [_spend_job(row) for row in db.tuples(query, values)])

    def tries(self, endpoint: str, scope: str, *, since: float, limit: int) -> list[Try]:
        """How the jobs that a scope had at an endpoint of late have gone, newest first."""
        values = {"b_endpoint": endpoint, "b_scope": scope, "b_since": since, "b_limit": limit}
        return self._store.read(lambda db: [try_of(*row) for row in db.tuples(_TRIES, values)])

    def spent(self, run_id: str) -> Spent:
        """What the outermost run of this one has used of its cap, together with everything below it."""

        def work(db: Session) -> Spent:
            run = db.row(_ROOT, {"b_id": run_id})
            if run is None:
                return Spent()
            settled = held = unknown = 0
            for row in db.rows(_SPENT, {"b_root": run["parent_id"] or run["id"]}):
                if row["state"] == "settled":
                    settled += int(row["settled"])
                elif row["state"] == "held" and row["job_state"] == State.UNKNOWN:
                    unknown += int(row["amount"])
                elif row["state"] == "held":
                    held += int(row["amount"])
            return Spent(settled, held, unknown)

        return self._store.read(work)

    def reservations(self, run_id: str) -> list[Reserved]:
        """What each job of a run holds or held: for its call, and in every budget that is still there."""

        def work(db: Session) -> list[Reserved]:
            return [
                Reserved(row["job_id"], row["budget"], row["state"], from_micros(row["amount"]),
                         None if row["settled"] is None else from_micros(row["settled"]), row["period"])
                for row in db.rows(_RESERVED, {"b_run": run_id})
            ]  # fmt: skip

        return self._store.read(work)

    def budgets(self, at: float, scope: str | None = None) -> list[BudgetState]:
        """What is left of each budget that holds for a scope, or of all."""
        return self._store.read(lambda db: states_of(db, at, scope))

    def outputs(self, run_id: str) -> list[dict[str, Any]]:
        """Outputs of a run, in order of jobs and numbers."""
        return self._store.read(lambda db: [dict(row) for row in db.rows(_OUTPUTS, {"b_run": run_id})])

    def events(self, run_id: str, *, job_id: str | None = None) -> list[Event]:
        """The history of a run, or of one of its jobs, oldest first."""
        query = _EVENTS if job_id is None else _EVENTS_OF_JOB
        values = {"b_run": run_id} | _given(b_job=job_id)

        def work(db: Session) -> list[Event]:
            return [
                Event(
                    row["at"],
                    row["run_id"],
                    row["job_id"],
                    row["kind"],
                    row["source"],
                    row["target"],
                    json.loads(row["data"] or "{}"),
                )
                for row in db.rows(query, values)
            ]

        return self._store.read(work)

    def find(self, word: str) -> list[tuple[str, str]]:
        """Runs and jobs as (kind, id) whose id starts with `word`, or ends with it where none does: what a person may type."""
        literal = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

        def work(db: Session) -> list[tuple[str, str]]:
            whole = {"b_first": word, "b_after": f"{word}\U0010ffff"}
            found = {
                kind: [row["id"] for row in db.rows(starts, whole)] for kind, (starts, _) in _FIND.items()
            }
            if not any(found.values()):  # ends have no index, so every id is looked at
                found = {
                    kind: [row["id"] for row in db.rows(ends, {"b_word": literal})]
                    for kind, (_, ends) in _FIND.items()
                }
            return [(kind, one) for kind, ids in found.items() for one in ids[:5]]

        return self._store.read(work)

    def _one_run(self, query: Any, values: dict[str, Any]) -> dict[str, Any] | None:
        def work(db: Session) -> dict[str, Any] | None:
            row = db.row(query, values)
            return None if row is None else run_of(row)

        return self._store.read(work)

    def _runs(self, query: Any, values: dict[str, Any]) -> list[dict[str, Any]]:
        return self._store.read(lambda db: [run_of(row) for row in db.rows(query, values)])

    def _jobs(self, query: Any, values: dict[str, Any]) -> list[Job]:
        return self._store.read(lambda db: [job_of(row) for row in db.rows(query, values)])


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _spend_job(row: tuple[Any, ...]) -> SpendJob:
    (
        created,
        endpoint,
        model,
        scope,
        ended,
        state,
        billed,
        samples,
        estimate,
        high,
        cost,
        basis,
        timings,
        *tags,
    ) = row
    return SpendJob(
        created, endpoint, model, scope, ended is not None, state == _SETTLED, bool(billed), samples, estimate, high, cost, basis,
        timings, *tags,
    )  # fmt: skip
