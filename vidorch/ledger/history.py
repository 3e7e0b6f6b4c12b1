"""Lines of a run's history, and the word for a step that came too late."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vidorch.ledger.reading import job_row
from vidorch.ledger.refusals import MovedMeanwhile
from vidorch.ledger.schema import events
from vidorch.ledger.session import Session
from vidorch.result import Job

__all__ = ["add_event", "event_row", "moved_meanwhile"]


def moved_meanwhile(db: Session, job: Job) -> MovedMeanwhile:
    """What whoever lost a race for `job` is told, inside a transaction."""
    now = job_row(db, job.id)
    is_now = "gone" if now is None else now.state
    was = (
        job.state
        if now is None or now.state != job.state
        else f"where it was: {now.owner or 'nobody'} has it"
    )
    return MovedMeanwhile(
        f"The job {job.id} is {is_now} by now, not {was}.", job_id=job.id, run_id=job.run_id
    )


def add_event(
    db: Session, at: float, job: Job, kind: str, source: str | None, target: str | None, version: int | None,
    data: Mapping[str, Any] | None,
) -> None:  # fmt: skip
    """Write down what happened to a job, inside a transaction."""
    db.later(events, event_row(at, job.run_id, job.id, kind, source, target, version, data))


def event_row(
    at: float, run_id: str, job_id: str | None, kind: str, source: str | None, target: str | None, version: int | None,
    data: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A row of `events`."""
    return {
        "at": at, "run_id": run_id, "job_id": job_id, "kind": kind, "source": source, "target": target, "version": version,
        "data": None if not data else json.dumps(dict(data), default=str),
    }  # fmt: skip
