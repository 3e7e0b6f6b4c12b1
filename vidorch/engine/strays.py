"""Runs of other processes: waited for by the ledger, and closed when their process is gone and their work with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from typing import Any

from vidorch.contract import Clock
from vidorch.engine.results import chosen_output
from vidorch.engine.targets import target_of
from vidorch.errors import InvalidRequest
from vidorch.home import run_folder
from vidorch.ledger.ledger import Ledger, MovedMeanwhile
from vidorch.ledger.moves import BEFORE_SENDING, ENDS, State
from vidorch.result import Job

__all__ = ["close_abandoned", "wait_for_other_process"]

LOOK_EVERY = 0.5
PATIENCE = 60.0


async def wait_for_other_process(ledger: Ledger, run_id: str, clock: Clock) -> None:
    """Return once the run has ended, whoever drives it."""
    while True:
        await asyncio.to_thread(close_abandoned, ledger, run_id, clock)
        run = await asyncio.to_thread(ledger.run, run_id)
        if run is None or run["state"] not in ("open", "waiting"):
            return
        await clock.sleep(LOOK_EVERY)


def close_abandoned(ledger: Ledger, run_id: str, clock: Clock) -> list[Job]:
    """Mark what died with its process as `abandoned`, at no cost, and close the run if that was the last. Returns its jobs."""
    jobs = ledger.jobs(run_id=run_id)
    for job in jobs:
        state = State(job.state)
        if (
            state in ENDS
            or not _is_orphan(job.owner, job.lease_until, clock.now())
            or not (state in BEFORE_SENDING or not job.outlives_caller)
        ):
            continue
        try:
            ledger.move(job, State.ABANDONED, clock.now(), changes={"charged": 0}).result()
        except MovedMeanwhile:  # it lives after all
            continue
        _sweep(ledger, job)
    jobs = ledger.jobs(run_id=run_id)
    if all(State(job.state) in ENDS for job in jobs) and _is_left_open(ledger.run(run_id), jobs, clock.now()):
        chosen = chosen_output(ledger, run_id)
        ledger.end_run(
            run_id,
            "finished" if chosen else "failed",
            clock.now(),
            chosen_output=chosen["id"] if chosen else None,
        ).result()
    return jobs


def _sweep(ledger: Ledger, job: Job) -> None:
    """Remove the unfinished files of a job that nobody will finish; they carry its id, so they are nobody else's."""
    run = ledger.run(job.run_id)
    if run is None or run["home"] is None:
        return
    own = run_folder(Path(run["home"]), run["id"], run["created_at"])
    try:
        target = target_of(run["output"], True, own)
    except InvalidRequest:  # what was a folder then is a file now
        return
    folder = target.path(job.candidate, run["candidates"], job.endpoint, job.model, ".mp4").parent
    for file in folder.glob(f".*{job.id}*.part"):
        with contextlib.suppress(OSError):
            file.unlink()


def _is_left_open(run: dict[str, Any] | None, jobs: list[Job], now: float) -> bool:
    """Whether nobody will end the run: whoever drives it hands the clip over first, which takes a moment, not a minute."""
    if run is None or run["state"] not in ("open", "waiting"):
        return False
    if _is_orphan(run["owner"], run["lease_until"], now):
        return True
    return max((job.ended_at or 0.0 for job in jobs), default=0.0) + PATIENCE < now


def _is_orphan(owner: str | None, lease_until: float | None, now: float) -> bool:
    """Whether nobody drives it: its process on this host is gone, or its lease on another one ran out."""
    if owner is None:
        return True
    host, _, rest = owner.partition(":")
    process = rest.partition(":")[0]
    if host == socket.gethostname() and process.isdigit() and os.name != "nt":  # there os.kill would end it
        return not _alive(int(process))
    return lease_until is not None and lease_until < now


def _alive(process: int) -> bool:
    if process == os.getpid():
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there, and somebody else's
        return True
    return True
