"""What vendors delivered: which job it speaks of, once each, for whoever waits for it in any process."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from sqlalchemy import bindparam, func, insert, select

from vidorch.ledger.rows import job_of
from vidorch.ledger.schema import deliveries, jobs
from vidorch.ledger.session import Session
from vidorch.ledger.store import Store
from vidorch.result import Job

__all__ = ["Mail"]

_NEW = insert(deliveries).inline()
_BY_TOKEN = select(jobs).where(
    jobs.c.token == bindparam("b_token"), jobs.c.endpoint == bindparam("b_endpoint")
)
_BY_REMOTE = select(jobs).where(
    jobs.c.endpoint == bindparam("b_endpoint"),
    jobs.c.account == bindparam("b_account"),
    jobs.c.remote_id == bindparam("b_remote"),
)
_OF_JOB = (
    select(deliveries.c.remote_id)
    .where(deliveries.c.job_id == bindparam("b_job"))
    .order_by(deliveries.c.received_at.desc())
)
_COUNT = select(func.count().label("deliveries")).where(deliveries.c.job_id == bindparam("b_job"))
_KNOWN = select(deliveries.c.id).where(
    deliveries.c.endpoint == bindparam("b_endpoint"), deliveries.c.delivery_id == bindparam("b_delivery")
)


class Mail:
    """The verbs of deliveries. Part of the ledger."""

    _store: Store

    def job_of_delivery(
        self, endpoint: str, account: str, token: str | None, remote_id: str | None
    ) -> Job | None:
        """The job that a delivery speaks of: by the token in its URL, else by the vendor's id."""

        def work(db: Session) -> Job | None:
            row = None
            if token:
                row = db.row(_BY_TOKEN, {"b_token": token, "b_endpoint": endpoint})
            elif remote_id:
                row = db.row(
                    _BY_REMOTE, {"b_endpoint": endpoint, "b_account": account, "b_remote": remote_id}
                )
            return None if row is None else job_of(row)

        return self._store.read(work)

    def receive(self, row: Mapping[str, Any]) -> Future[bool]:
        """Write a delivery down. False: it was delivered before."""

        def work(db: Session) -> bool:
            if db.row(_KNOWN, {"b_endpoint": row["endpoint"], "b_delivery": row["delivery_id"]}) is not None:
                return False
            db.run(_NEW, row)
            return True

        return self._store.write(work)

    def delivered_id(self, job_id: str) -> str | None:
        """The vendor's id of a job, as the newest delivery for it names it; "" where it names none; None without any."""

        def work(db: Session) -> str | None:
            row = db.row(_OF_JOB, {"b_job": job_id})
            return None if row is None else str(row["remote_id"] or "")

        return self._store.read(work)

    def delivered(self, job_id: str) -> int:
        """How many deliveries spoke of a job: vendors may call at each step of it."""

        def work(db: Session) -> int:
            row = db.row(_COUNT, {"b_job": job_id})
            return 0 if row is None else int(row["deliveries"])

        return self._store.read(work)
