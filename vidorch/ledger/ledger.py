"""The ledger's verbs: write a run down, move a job, note, and read them back.

Everything a move changes (the job, its event, its reservation, the run's totals) is one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from vidorch.errors import KeyConflict, VidorchError
from vidorch.ledger.moves import ENDS, State, find_move
from vidorch.ledger.schema import events, jobs, outputs, reservations, runs
from vidorch.ledger.store import BUSY_SECONDS, Store
from vidorch.money import from_micros, to_micros
from vidorch.result import Event, Job, Timings

__all__ = ["Claimed", "IllegalMove", "Ledger", "MovedMeanwhile"]

_STAMPS = {state.value: f"{state.value}_at" for state in State if f"{state.value}_at" in jobs.c}

_MOVE = (
    update(jobs)
    .where(jobs.c.id == bindparam("b_id"), jobs.c.state == bindparam("b_state"), jobs.c.version == bindparam("b_version"))
)  # fmt: skip


class IllegalMove(VidorchError):
    """A step that is not in the table of moves: a mistake in vidorch, never in the request."""


class MovedMeanwhile(VidorchError):
    """Somebody else moved the job first. The one who lost the race looks again; nothing is done twice."""

    default_retryable = True


class Claimed(VidorchError):
    """Another job of ours already owns this job at the vendor. Nothing was changed."""


class Ledger:
    """The durable record. Thread-safe; one writer thread per process.

    Args:
        path: SQLite file; None keeps it in memory (free work only).
        busy_seconds: how long to wait for another process that holds the file.

    Raises:
        LedgerUnavailable: it cannot be opened and written.
    """

    def __init__(self, path: Path | None, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = path
        self._store = Store(path, busy_seconds=busy_seconds)

    @property
    def durable(self) -> bool:
        """Whether what is written survives this process. Nothing is paid for without that."""
        return self.path is not None

    # -- writing ----------------------------------------------------------------------------------------------------

    def record(
        self, run: Mapping[str, Any], new_jobs: Sequence[Mapping[str, Any]], held: Sequence[Mapping[str, Any]]
    ) -> Future[list[Job]]:
        """Write a run, its first jobs (as `reserved`) and what they reserve, all or nothing, before anything is sent.

        Returns:
            A future of the jobs as they are then, in order.

        Raises (in the future):
            KeyConflict: the scope already has a run with this key.
        """

        def work(connection: Connection) -> list[Job]:
            try:
                connection.execute(insert(runs), [dict(run)])
            except IntegrityError as error:
                if run.get("key") is not None and _broke(error, "runs_key", "runs.scope, runs.key"):
                    raise KeyConflict(
                        f"The key {run['key']!r} is taken in scope {run['scope']!r}."
                    ) from error
                raise
            for job in new_jobs:
                connection.execute(insert(jobs), [dict(job)])
                connection.execute(
                    insert(events),
                    [_event(job["created_at"], job["run_id"], job["id"], "move", None, State.RESERVED, 0)],
                )
            for reservation in held:
                connection.execute(insert(reservations), [dict(reservation)])
            return [_job(row) for job in new_jobs if (row := _job_row(connection, job["id"])) is not None]

        return self._store.write(work)

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
    ) -> Future[Job]:
        """Move a job by one step of the table, if it is still where `job` says: a compare-and-swap on state and version.

        Args:
            changes: further columns of the job. cost: what it cost, in USD, when the target is an end that cost something.
            made: rows for `outputs`, written in the same transaction. note: goes into the event.

        Returns:
            A future of the job as it is then. It is on disk when the future is done; whether to wait for it is in the table.

        Raises:
            IllegalMove: the step is not in the table, or not for this kind of job.
            MovedMeanwhile (in the future): the job is elsewhere by now.
            Claimed (in the future): the remote id in `changes` belongs to another job.
        """
        step = find_move(State(job.state), target)
        if step is None:
            raise IllegalMove(f"A job cannot move from {job.state} to {target}.", job_id=job.id)
        if step.in_process_only and job.outlives_caller:
            raise IllegalMove(
                f"{job.state} -> {target} is only for work that dies with its process.", job_id=job.id
            )
        values: dict[str, Any] = {
            "state": target.value,
            "version": job.version + 1,
            "updated_at": at,
            **(changes or {}),
        }
        if stamp := _STAMPS.get(target.value):
            values[stamp] = at
        if target in ENDS:
            values |= {"ended_at": at, "owner": None, "lease_until": None}
            if cost is not None:
                values["cost"] = to_micros(cost)

        def work(connection: Connection) -> Job:
            where = {"b_id": job.id, "b_state": job.state, "b_version": job.version}
            try:
                changed = connection.execute(_MOVE.values(values), where)
            except IntegrityError as error:
                if not _broke(error, "jobs_remote", "jobs.endpoint, jobs.account, jobs.remote_id"):
                    raise
                raise Claimed(
                    f"The vendor's job {values.get('remote_id')} belongs to another job of this ledger.",
                    job_id=job.id,
                    run_id=job.run_id,
                    remote_id=values.get("remote_id"),
                ) from error
            if changed.rowcount != 1:
                now = _job_row(connection, job.id)
                raise MovedMeanwhile(
                    f"The job {job.id} is {now['state'] if now else 'gone'} by now, not {job.state}.",
                    job_id=job.id,
                    run_id=job.run_id,
                )
            connection.execute(
                insert(events),
                [_event(at, job.run_id, job.id, "move", job.state, target, job.version + 1, note)],
            )
            for output in made:
                connection.execute(insert(outputs), [dict(output)])
            row = _job_row(connection, job.id)
            assert row is not None
            if target in ENDS:
                _close_reservations(connection, row, job.cost, cost, at)
            return _job(row)

        return self._store.write(work, waits=step.waits)

    def touch(self, job: Job, at: float, **changes: Any) -> None:
        """Note progress or a renewed lease on a job; rides with the next commit, and is dropped if the job has moved on."""

        def work(connection: Connection) -> None:
            where = {"b_id": job.id, "b_state": job.state, "b_version": job.version}
            connection.execute(_MOVE.values(updated_at=at, **changes), where)

        self._store.write(work, waits=False)

    def renew(self, owner: str, until: float) -> None:
        """Renew every lease of an owner, whatever its jobs do meanwhile; rides with the next commit."""

        def work(connection: Connection) -> None:
            for table in (jobs, runs):
                connection.execute(update(table).where(table.c.owner == owner).values(lease_until=until))

        self._store.write(work, waits=False)

    def note(self, run_id: str, job_id: str | None, at: float, kind: str, data: Mapping[str, Any]) -> None:
        """Add an event that is not a move; rides with the next commit."""
        self._store.write(
            lambda c: c.execute(insert(events), [_event(at, run_id, job_id, kind, None, None, None, data)]),
            waits=False,
        )

    def end_run(self, run_id: str, state: str, at: float, **changes: Any) -> Future[None]:
        """Close a run as finished, failed or cancelled."""

        def work(connection: Connection) -> None:
            connection.execute(
                update(runs)
                .where(runs.c.id == run_id, runs.c.state.in_(("open", "waiting")))
                .values(
                    state=state,
                    version=runs.c.version + 1,
                    updated_at=at,
                    ended_at=at,
                    owner=None,
                    lease_until=None,
                    **changes,
                )
            )

        return self._store.write(work)

    # -- reading ----------------------------------------------------------------------------------------------------

    def run(self, run_id: str) -> dict[str, Any] | None:
        """One run's row, with its JSON columns read; None when there is none."""

        def work(connection: Connection) -> dict[str, Any] | None:
            row = connection.execute(select(runs).where(runs.c.id == run_id)).mappings().first()
            return None if row is None else _run(row)

        return self._store.read(work)

    def runs(self, *, limit: int = 100, state: str | None = None) -> list[dict[str, Any]]:
        """Runs, newest first."""
        query = select(runs).order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(runs.c.state == state)
        return self._store.read(
            lambda connection: [_run(row) for row in connection.execute(query).mappings()]
        )

    def job(self, job_id: str) -> Job | None:
        """One job, or None."""

        def work(connection: Connection) -> Job | None:
            row = _job_row(connection, job_id)
            return None if row is None else _job(row)

        return self._store.read(work)

    def jobs(
        self, *, run_id: str | None = None, state: str | None = None, limit: int | None = None
    ) -> list[Job]:
        """Jobs of one run in order of candidates, or all jobs, newest first."""
        query = select(jobs)
        if run_id is not None:
            query = query.where(jobs.c.run_id == run_id).order_by(jobs.c.candidate, jobs.c.attempt)
        else:
            query = query.order_by(jobs.c.created_at.desc(), jobs.c.id.desc())
        if state is not None:
            query = query.where(jobs.c.state == state)
        if limit is not None:
            query = query.limit(limit)
        return self._store.read(
            lambda connection: [_job(row) for row in connection.execute(query).mappings()]
        )

    def outputs(self, run_id: str) -> list[dict[str, Any]]:
        """Outputs of a run, in order of jobs and numbers."""
        query = (
            select(outputs).where(outputs.c.run_id == run_id).order_by(outputs.c.created_at, outputs.c.number)
        )
        return self._store.read(
            lambda connection: [dict(row) for row in connection.execute(query).mappings()]
        )

    def events(self, run_id: str, *, job_id: str | None = None) -> list[Event]:
        """The history of a run, or of one of its jobs, oldest first."""
        query = select(events).where(events.c.run_id == run_id).order_by(events.c.id)
        if job_id is not None:
            query = query.where(events.c.job_id == job_id)

        def work(connection: Connection) -> list[Event]:
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
                for row in connection.execute(query).mappings()
            ]

        return self._store.read(work)

    def find(self, word: str) -> list[tuple[str, str]]:
        """Runs and jobs whose id starts or ends with `word`, as (kind, id): what a person may type instead of a whole id."""

        def work(connection: Connection) -> list[tuple[str, str]]:
            found = []
            for kind, table in (("run", runs), ("job", jobs)):
                matches = table.c.id.startswith(word, autoescape=True) | table.c.id.endswith(
                    word, autoescape=True
                )
                found += [
                    (kind, row[0]) for row in connection.execute(select(table.c.id).where(matches).limit(5))
                ]
            return found

        return self._store.read(work)

    def flush(self) -> None:
        """Wait until everything written so far is on disk."""
        self._store.flush()

    def close(self) -> None:
        """Write what waits and let go of the file."""
        self._store.close()


def _event(
    at: float, run_id: str, job_id: str | None, kind: str, source: str | None, target: State | None, version: int | None,
    data: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "at": at, "run_id": run_id, "job_id": job_id, "kind": kind, "source": source,
        "target": None if target is None else target.value, "version": version,
        "data": None if not data else json.dumps(dict(data), default=str),
    }  # fmt: skip


def _close_reservations(
    connection: Connection, row: RowMapping, before: Decimal | None, cost: Decimal | None, at: float
) -> None:
    """Settle what a job had reserved with what it cost, or release it, and add the cost to its run.

    `before` is what was booked already: a lost job is booked at its high until a person corrects it.
    """
    held = (reservations.c.job_id == row["id"], reservations.c.state.in_(("held", "settled")))
    if cost is None:
        connection.execute(
            update(reservations).where(*held).values(state="released", settled=0, updated_at=at)
        )
        return
    micros = to_micros(cost)
    connection.execute(
        update(reservations)
        .where(*held)
        .values(state="settled", settled=micros, basis=row["cost_basis"], updated_at=at)
    )
    total = runs.c.cost if row["billed"] else runs.c.imputed
    added = micros - (0 if before is None else to_micros(before))
    connection.execute(
        update(runs).where(runs.c.id == row["run_id"]).values({total: total + added, runs.c.updated_at: at})
    )


def _broke(error: IntegrityError, name: str, columns: str) -> bool:
    """Whether it is this constraint that was broken: PostgreSQL says its name, SQLite its columns."""
    return name in str(error.orig) or columns in str(error.orig)


def _job_row(connection: Connection, job_id: str) -> RowMapping | None:
    return (
        connection.execute(select(jobs).where(jobs.c.id == bindparam("one")), {"one": job_id})
        .mappings()
        .first()
    )


def _money(micros: int | None) -> Decimal | None:
    return None if micros is None else from_micros(micros)


def _job(row: RowMapping) -> Job:
    timings = json.loads(row["timings"] or "{}")
    return Job(
        id=row["id"], run_id=row["run_id"], candidate=row["candidate"], attempt=row["attempt"], scope=row["scope"],
        endpoint=row["endpoint"], provider=row["provider"], model=row["model"], task=row["task"], state=row["state"],
        version=row["version"], seed=row["seed"], remote_id=row["remote_id"], outlives_caller=bool(row["outlives_caller"]),
        owner=row["owner"], lease_until=row["lease_until"], progress=row["progress"], stage=row["stage"],
        estimate=from_micros(row["estimate"]), estimate_high=from_micros(row["estimate_high"]), cost=_money(row["cost"]),
        cost_basis=row["cost_basis"], charged=None if row["charged"] is None else bool(row["charged"]),
        error=row["error"], error_code=row["error_code"], error_stage=row["error_stage"], error_text=row["error_text"],
        created_at=row["created_at"], updated_at=row["updated_at"], sending_at=row["sending_at"],
        accepted_at=row["accepted_at"], ended_at=row["ended_at"], timings=Timings(**timings),
        settings=json.loads(row["settings"]), details=json.loads(row["details"] or "{}"),
    )  # fmt: skip


_JSON = ("request", "plan", "estimate", "options", "tags", "notes", "error")


def _run(row: RowMapping) -> dict[str, Any]:
    plain = dict(row)
    for name in _JSON:
        plain[name] = json.loads(plain[name]) if plain[name] else None
    for name in ("max_cost", "cost", "imputed"):
        plain[name] = _money(plain[name])
    return plain
