"""Cancelling at the vendor, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from vidorch.cli.books import reading
from vidorch.cli.say import aside
from vidorch.cli.words import amount
from vidorch.client.aio import AsyncClient
from vidorch.errors import VidorchError
from vidorch.ledger.moves import ENDS, State
from vidorch.offloop import in_thread
from vidorch.result import Job

__all__ = ["SECONDS_TO_STOP", "cancel_and_tell", "cancel_now"]

SECONDS_TO_STOP = 10.0
"""How long the end of what was cancelled is waited for."""
LOOK_EVERY = 0.1


async def cancel_and_tell(id_: str) -> VidorchError | None:
    """Cancel a run or a job, and say of each of its jobs how it ended and what it cost. Gives why it could not be cancelled."""
    error, jobs = await cancel_now(id_)
    if error is not None:
        aside(f"It could not be cancelled: {error}")
    for job in jobs:
        if State(job.state) in ENDS:
            aside(f"{job.id} {job.state}, {_cost(job)}")
        else:
            aside(f"{job.id} is still {job.state}. Look again with: vidorch jobs resume {job.run_id}")
    return error


async def cancel_now(id_: str) -> tuple[VidorchError | None, list[Job]]:
    """Ask for the end of a run or job, and wait a little for it.

    Returns:
        Why it could not be asked for, and those jobs that were at work, as they are then.
    """
    client = AsyncClient()
    error = None
    try:
        before = [job.id for job in _jobs_of(id_) if State(job.state) not in ENDS]
        try:
            await client.cancel(id_)
        except VidorchError as why:
            error = why
        if error is None and before:
            await _wait_for_the_end(client, id_, before)
    finally:
        with contextlib.suppress(VidorchError):
            await client.aclose()
    return error, [job for job in _jobs_of(id_) if job.id in before]


async def _wait_for_the_end(client: AsyncClient, id_: str, names: Sequence[str]) -> None:
    """Look on, in real time, until these jobs have ended: it is a vendor, or another process, that is waited for."""
    run = await client.run(_jobs_of(id_)[0].run_id)
    coming = asyncio.ensure_future(run.wait())
    try:
        async with asyncio.timeout(SECONDS_TO_STOP):
            while True:
                over = coming.done()
                left = [job for job in await in_thread(_jobs_of, id_) if job.id in names]
                if over or all(State(job.state) in (*ENDS, State.UNKNOWN) for job in left):
                    return
                await asyncio.wait([coming], timeout=LOOK_EVERY)
    except TimeoutError:
        return
    finally:
        coming.cancel()
        await asyncio.wait([coming])
        coming.cancelled() or coming.exception()  # how the run ended is told by its jobs


def _jobs_of(id_: str) -> list[Job]:
    with reading() as ledger:
        if ledger is None:
            return []
        job = ledger.job(id_)
        return ledger.jobs(run_id=id_) if job is None else [job]


def _cost(job: Job) -> str:
    if job.cost is None:
        return "at no cost"
    return f"{amount(job)} ({job.cost_basis})"
