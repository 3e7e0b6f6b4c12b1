"""The ledger as commands read it: looking changes nothing and creates nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from vidorch.cli.here import ledger_here
from vidorch.databases import DatabaseUrl
from vidorch.errors import InvalidRequest
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.store import database_of
from vidorch.surroundings import surroundings

__all__ = ["find_job", "find_one", "find_run", "is_there", "now", "reading"]

Kind = Literal["run", "job"]


@contextlib.contextmanager
def reading() -> Iterator[Ledger | None]:
    """The ledger, or None when nothing was ever made: looking must not create it."""
    place = ledger_here()
    if not is_there(place):
        yield None
        return
    ledger = Ledger(place)
    try:
        yield ledger
    finally:
        ledger.close()


def is_there(place: Path | DatabaseUrl) -> bool:
    """Whether a ledger was made there.

    Raises:
        LedgerUnavailable: its server cannot be asked.
    """
    if isinstance(place, Path):
        return place.exists()
    return database_of(place).is_there()


def now(ledger: Ledger | None = None) -> float:
    """Seconds since 1970, by the clock that clients go by, which is that of the ledger where it has one."""
    world = surroundings()
    return time.time() + (ledger.ahead if ledger is not None else 0.0) if world is None else world.clock.now()


def find_one(ledger: Ledger | None, word: str) -> tuple[str, str]:
    """The one run or job that `word` is the id of, or the first or last letters of it, as (kind, id).

    Raises:
        InvalidRequest: there is none, or more than one.
    """
    found = [] if ledger is None or not word.strip() else ledger.find(word.strip())
    if len(found) != 1:
        could_be = ", ".join(id_ for _, id_ in found)
        raise InvalidRequest(
            f"{word!r} is not one run or job. It could be any of: {could_be}."
            if found else f"There is no run or job {word!r} in this ledger.",
            hint="See: vidorch jobs list", field="id", value=word, allowed="the id of a run or job, or its last letters",
        )  # fmt: skip
    return found[0]


def find_run(ledger: Ledger | None, word: str) -> str:
    """The id of the run that `word` means; a job's id leads to its run.

    Raises:
        InvalidRequest: as `find_one`.
    """
    kind, id_ = find_one(ledger, word)
    job = ledger.job(id_) if ledger is not None and kind == "job" else None
    return id_ if job is None else job.run_id


def find_job(ledger: Ledger | None, word: str) -> str:
    """The id of the job that `word` means; a run's id will do where it has one job alone.

    Raises:
        InvalidRequest: as `find_one`, or it is a run of several jobs.
    """
    kind, id_ = find_one(ledger, word)
    if kind == "job" or ledger is None:
        return id_
    jobs = ledger.jobs(run_id=id_)
    if len(jobs) != 1:
        named = f" Its jobs are: {', '.join(job.id for job in jobs)}." if jobs else " It has no jobs."
        raise InvalidRequest(
            f"{id_} is a run.{named}", hint=f"See: vidorch jobs show {id_}", field="id", value=word, allowed="the id of a job",
        )  # fmt: skip
    return jobs[0].id
