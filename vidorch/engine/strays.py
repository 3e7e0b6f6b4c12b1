"""Runs of other processes: waited for by the ledger, and closed when their process is gone and their work with it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from vidorch.contract import Clock
from vidorch.engine.handover import hand_over, sweep, target_again
from vidorch.engine.hosts import is_orphan
from vidorch.engine.results import chosen_output
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
    run = ledger.run(run_id)
    jobs = ledger.jobs(run_id=run_id)
    for job in jobs:
        state = State(job.state)
        if (
            state in ENDS
            or not is_orphan(job.owner, job.lease_until, clock.now())
            or not (state in BEFORE_SENDING or not job.outlives_caller)
        ):
            continue
        try:
            ledger.move(job, State.ABANDONED, clock.now(), changes={"charged": 0}).result()
        except MovedMeanwhile:  # it lives after all
            continue
        if run is not None:
            sweep(run, job)
    jobs = ledger.jobs(run_id=run_id)
    if (
        run is not None
        and all(State(job.state) in ENDS for job in jobs)
        and _is_left_open(ledger.run(run_id), jobs, clock.now())
    ):
        _close(ledger, run, jobs, clock)
    return jobs


def _close(ledger: Ledger, run: dict[str, Any], jobs: list[Job], clock: Clock) -> None:
    """End a run whose owner is gone, with what came of it: the hand-over that it did not get to is made up for."""
    chosen = chosen_output(ledger, run["id"])
    changes: dict[str, Any] = {}
    if chosen is not None:
        changes["chosen_output"] = chosen["id"]
        target = target_again(run)
        if target is not None and target.file is not None and len(jobs) > 1:
            for job in jobs:
                sweep(run, job)
            if not target.file.exists() and (note := hand_over(run["id"], Path(chosen["uri"]), target)):
                changes["notes"] = json.dumps([*(run["notes"] or ()), note])
    ledger.end_run(run["id"], "finished" if chosen else "failed", clock.now(), **changes).result()


def _is_left_open(run: dict[str, Any] | None, jobs: list[Job], now: float) -> bool:
    """Whether nobody will end the run: whoever drives it hands the clip over first, which takes a moment, not a minute."""
    if run is None or run["state"] not in ("open", "waiting"):
        return False
    if is_orphan(run["owner"], run["lease_until"], now):
        return True
    return max((job.ended_at or 0.0 for job in jobs), default=0.0) + PATIENCE < now
