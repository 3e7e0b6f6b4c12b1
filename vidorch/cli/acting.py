"""What people say of jobs: `vidorch jobs cancel`, `adopt`, `settle` and `prune`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import typer

from vidorch.cli.books import find_job, find_one, now, reading
from vidorch.cli.cancelling import cancel_and_tell
from vidorch.cli.consent import must_say_yes
from vidorch.cli.exits import exit_of
from vidorch.cli.say import as_json, aside, error_document
from vidorch.cli.words import many, price_of_cancelling
from vidorch.client.aio import AsyncClient
from vidorch.errors import InvalidRequest
from vidorch.ledger.moves import ENDS, State
from vidorch.money import show_usd

__all__ = ["adopt", "cancel", "prune", "settle"]

T = TypeVar("T")


def cancel(word: str, *, yes: bool, as_document: bool) -> None:
    """Ask the vendor to end a job, or every open job of a run, after saying what that costs."""
    with reading() as ledger:
        kind, id_ = find_one(ledger, word)
        assert ledger is not None
        job = ledger.job(id_)
        jobs = ledger.jobs(run_id=id_) if job is None else [job]
        row = ledger.run(id_ if job is None else job.run_id)
        assert row is not None
    open_jobs = [one for one in jobs if State(one.state) not in ENDS]
    if not open_jobs and (kind == "job" or row["state"] not in ("open", "waiting")):
        state = row["state"] if job is None else job.state
        raise InvalidRequest(
            f"Nothing of {id_} is at work: it is {state}. Nothing was changed.", hint=f"See: vidorch jobs show {id_}",
            field="id", value=word, allowed="a run or job that is open", run_id=row["id"],
        )  # fmt: skip
    price = price_of_cancelling(open_jobs)
    what = f"{many(len(open_jobs), 'job')} of {id_}" if job is None and open_jobs else id_
    aside(f"Cancelling {what}. {price}")
    document = {"id": id_, "open": [one.id for one in open_jobs], "price": price} if as_document else None
    # One job that nobody knows at its vendor cannot be cancelled, so nobody is asked; `cancel` says what can be done.
    if job is None or job.state != State.UNKNOWN:
        must_say_yes("Cancel?", yes=yes, otherwise="Nothing was cancelled.", document=document)
    error = asyncio.run(cancel_and_tell(id_))
    if as_document:
        with reading() as ledger:
            assert ledger is not None
            after = [one for one in (ledger.job(before.id) for before in open_jobs) if one is not None]
        said = {"error": None} if error is None else error_document(error)
        as_json({"id": id_, "jobs": [one.to_dict() for one in after], **said})
    if error is not None:
        raise typer.Exit(exit_of(error))


def adopt(word: str, remote_id: str, *, as_document: bool) -> None:
    """Say which job at the vendor an unknown one is."""
    with reading() as ledger:
        job_id = find_job(ledger, word)
        before = None if ledger is None else ledger.job(job_id)
    job = asyncio.run(_with_client(lambda client: client.adopt(job_id, remote_id)))
    old = before.remote_id if before is not None else None
    instead = f", and not {old}" if old not in (None, job.remote_id) else ""
    aside(f"{job.id} is {job.remote_id} at {job.endpoint}{instead}.")
    aside(f"To fetch it: vidorch jobs resume {job.run_id}")
    aside(f"If that is the wrong one: vidorch jobs adopt {job.id} ID")
    if as_document:
        as_json(job.to_dict())


def settle(word: str, *, charged: str | None, not_charged: bool, as_document: bool) -> None:
    """Close a job by hand, with what it cost or as not charged."""
    if (charged is None) is not not_charged:
        raise InvalidRequest(
            "Say either --charged USD or --not-charged.", field="charged", value=charged, allowed="one of the two"
        )  # fmt: skip
    with reading() as ledger:
        job_id = find_job(ledger, word)
    job = asyncio.run(_with_client(lambda client: client.settle(job_id, charged)))
    what = f"charged {show_usd(job.cost)}" if job.cost else "not charged"
    aside(f"{job.id} is {job.state}, closed by hand: {what}.")
    if job.state == State.REJECTED:
        _say_what_may_be_sent(job.run_id)
    if as_document:
        as_json(job.to_dict())


def _say_what_may_be_sent(run_id: str) -> None:
    """What counts as never sent may be sent again, which is not to come as a surprise."""
    with reading() as ledger:
        row = None if ledger is None else ledger.run(run_id)
    if row is None or row["state"] == "cancelled":
        return
    aside("It counts as never sent from now on, so its run may send it again, and that is paid:")
    if row["key"]:
        aside(f"  the next call with the key {row['key']!r} does so")
    aside(f"  or: vidorch jobs resume {run_id}, then vidorch jobs proceed {run_id}")


def prune(before: str, *, yes: bool, as_document: bool) -> None:
    """Forget runs that ended before a day."""
    moment = _moment(before)
    with reading() as ledger:
        if ledger is None:
            gone = {"runs": 0, "jobs": 0, "events": 0, "outputs": 0}
            as_json(gone) if as_document else print("No jobs yet.")
            return
    said = moment.strftime("%Y-%m-%d %H:%M UTC")
    aside(f"Runs that ended before {said} are forgotten, with their jobs and history. Clips stay where they are, and what was "
          "spent stays counted in budgets. What is open stays.")  # fmt: skip
    document = {"before": moment.isoformat(), "pruned": None} if as_document else None
    must_say_yes("Forget them?", yes=yes, otherwise="Nothing was forgotten.", document=document)
    pruned = asyncio.run(_with_client(lambda client: client.prune(moment)))
    if as_document:
        as_json({"before": moment.isoformat(), "pruned": {
            "runs": pruned.runs, "jobs": pruned.jobs, "events": pruned.events, "outputs": pruned.outputs,
        }})  # fmt: skip
    else:
        print(f"{many(pruned.runs, 'run')} and {many(pruned.jobs, 'job')} forgotten.")


def _moment(text: str) -> datetime:
    """A day (its beginning, UTC), or so many days ago."""
    word = text.strip()
    try:
        if word.isdecimal():
            return datetime.fromtimestamp(now(), UTC) - timedelta(days=int(word))
        return datetime.combine(date.fromisoformat(word), datetime.min.time(), UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"--before {text!r} cannot be used. Allowed is a day, such as 2027-01-31, or a number of days.", field="before",
            value=text, allowed="a day, or a number of days",
        ) from None  # fmt: skip


async def _with_client(work: Callable[[AsyncClient], Awaitable[T]]) -> T:
    async with AsyncClient() as client:
        return await work(client)
