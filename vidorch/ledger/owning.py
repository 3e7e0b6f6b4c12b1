"""Who drives a job or a run: taken, renewed and given up by compare-and-swap."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from sqlalchemy import bindparam, or_, select, update

from vidorch.ledger.history import add_event, moved_meanwhile
from vidorch.ledger.refusals import MovedMeanwhile
from vidorch.ledger.rows import job_with, run_of
from vidorch.ledger.schema import jobs, runs
from vidorch.ledger.session import Session
from vidorch.ledger.store import Store
from vidorch.result import Job

__all__ = ["Owning"]

_RUN = select(runs).where(runs.c.id == bindparam("b_id"))
_TAKE = (
    update(jobs)
    .where(
        jobs.c.id == bindparam("b_id"),
        jobs.c.version == bindparam("b_version"),
        jobs.c.ended_at.is_(None),
        jobs.c.owner.is_not_distinct_from(bindparam("b_owner")),
    )
    .values(
        owner=bindparam("b_new_owner"),
        lease_until=bindparam("b_until"),
        host=bindparam("b_host"),
        process=bindparam("b_process"),
        version=jobs.c.version + 1,
        updated_at=bindparam("b_at"),
    )
)
_RUN_AT = update(runs).where(runs.c.id == bindparam("b_id"), runs.c.version == bindparam("b_version"))
_OPEN_RUN_AT = _RUN_AT.where(or_(runs.c.state == "open", runs.c.state == "waiting"))
_RENEW = {
    table.name: update(table)
    .where(table.c.owner == bindparam("b_owner"))
    .values(lease_until=bindparam("b_until"))
    for table in (jobs, runs)
}
_RELEASE = {
    table.name: update(table)
    .where(table.c.owner == bindparam("b_owner"))
    .values(owner=None, lease_until=None, updated_at=bindparam("b_at"))
    for table in (jobs, runs)
}
_RELEASE_ONE = {
    table.name: _RELEASE[table.name].where(table.c.id == bindparam("b_id")) for table in (jobs, runs)
}


class Owning:
    """The part of the ledger that knows owners."""

    _store: Store

    def take(self, job: Job, owner: str, host: str, process: int, until: float, at: float) -> Future[Job]:
        """Become the owner of a job, if nobody moved or took it since `job` was read.

        Raises (in the future):
            MovedMeanwhile: somebody did.
        """

        def work(db: Session) -> Job:
            where = {
                "b_id": job.id, "b_version": job.version, "b_owner": job.owner, "b_new_owner": owner, "b_until": until,
                "b_host": host, "b_process": process, "b_at": at,
            }  # fmt: skip
            if not db.run(_TAKE, where):
                raise moved_meanwhile(db, job)
            values = {
                "owner": owner, "lease_until": until, "host": host, "process": process, "version": job.version + 1,
                "updated_at": at,
            }  # fmt: skip
            add_event(db, at, job, "lease", None, None, job.version + 1, {"owner": owner, "from": job.owner})
            return job_with(job, values)

        return self._store.write(work)

    def take_run(
        self, run_id: str, version: int, owner: str, until: float, at: float, *, reopen: bool = False
    ) -> Future[dict[str, Any]]:
        """Become the owner of a run that was at `version`, which is open from then on.

        Args:
            reopen: also take one that has ended.

        Returns:
            A future of the run's row, as `run()` gives it.

        Raises (in the future):
            MovedMeanwhile: it is at another version, has ended, or is gone.
        """
        values = {
            "state": "open", "owner": owner, "lease_until": until, "ended_at": None, "version": version + 1, "updated_at": at,
        }  # fmt: skip
        statement = _RUN_AT if reopen else _OPEN_RUN_AT

        def work(db: Session) -> dict[str, Any]:
            changed = db.run(statement, {**values, "b_id": run_id, "b_version": version})
            row = db.row(_RUN, {"b_id": run_id})
            if not changed or row is None:
                state = "gone" if row is None else f"{row['state']}, at version {row['version']},"
                raise MovedMeanwhile(f"The run {run_id} is {state} by now.", run_id=run_id)
            return run_of(row)

        return self._store.write(work)

    def renew(self, owner: str, until: float) -> None:
        """Renew every lease of an owner, whatever its jobs do meanwhile; rides with the next commit."""
        values = {"b_owner": owner, "b_until": until}

        def work(db: Session) -> None:
            for statement in _RENEW.values():
                db.run(statement, values)

        self._store.ride(work)

    def release(
        self,
        owner: str,
        at: float,
        *,
        job_ids: Iterable[str] | None = None,
        run_ids: Iterable[str] | None = None,
    ) -> Future[None]:
        """Give up what `owner` owns: the jobs and runs named, or everything when neither is given."""
        named = {"jobs": job_ids, "runs": run_ids}
        everything = job_ids is None and run_ids is None
        chosen = {table: list(ids or ()) for table, ids in named.items()}

        def work(db: Session) -> None:
            where = {"b_owner": owner, "b_at": at}
            for table, ids in chosen.items():
                if everything:
                    db.run(_RELEASE[table], where)
                for one in ids:
                    db.run(_RELEASE_ONE[table], where | {"b_id": one})

        return self._store.write(work)
