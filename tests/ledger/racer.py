"""One of several processes that want the same: `python -m tests.ledger.racer URL NAME`; reads what and which, says how it went."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.ledger.rows import NOW, job_row, run_row
from vidorch.budget import Budget
from vidorch.errors import OverBudget
from vidorch.frozen import changed
from vidorch.home import ledger_path
from vidorch.ledger.ledger import Claimed, KeyTaken, Ledger
from vidorch.ledger.moves import State
from vidorch.ledger.slots import Account, NoRoom
from vidorch.result import Job


class Racer:
    """One of them.

    Args:
        name: no other has it.
    """

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger = ledger
        self._name = name

    def _job(self, what: str, number: str, *ways: State) -> Job:
        run, name = f"run-{what}-{number}-{self._name}", f"job-{what}-{number}-{self._name}"
        row = job_row(name, run, endpoint=f"{what}-{number}", lease_until=NOW + 60, deadline=NOW + 60)
        (job,) = self._ledger.record(run_row(run), [row], at=NOW).result()
        for way in ways:
            self._ledger.move(job, way, NOW)
            job = changed(job, state=way.value, version=job.version + 1)
        self._ledger.flush()
        return job

    def ready(self, what: str, number: str) -> None:
        """What comes before: each has a job of its own that is about to be sent, or was."""
        self._mine: Job | None = None
        if what == "slot":
            self._mine = self._job(what, number, State.UPLOADING)
        if what == "remote":
            self._mine = self._job(what, number, State.UPLOADING, State.SENDING, State.UNKNOWN)

    def go(self, what: str, number: str) -> str:
        """Try to be the one who gets it."""
        ledger, run = self._ledger, f"run-{what}-{number}-{self._name}"
        try:
            if what == "key":
                ledger.record(run_row(run, key=f"order-{number}"), at=NOW).result()
            elif what == "dollar":
                last = Budget("3.00", name="last", per="total", scope=f"tenant-{number}")
                row = job_row(f"job-{run}", run, scope=last.scope)
                ledger.record(run_row(run, scope=last.scope), [row], budgets=[last], at=NOW).result()
            elif what == "slot":
                assert self._mine is not None
                room = Account(f"{what}-{number}", at_once=1)
                ledger.move(self._mine, State.SENDING, NOW, room=room).result()
            else:
                assert self._mine is not None
                ledger.move(self._mine, State.ACCEPTED, NOW, changes={"remote_id": "r-1"}).result()
        except (KeyTaken, OverBudget, NoRoom, Claimed) as lost:
            return type(lost).__name__
        return "got it"


def main() -> None:
    """Read lines until there are none."""
    racer = Racer(Ledger(ledger_path(sys.argv[1], Path())), sys.argv[2])
    for line in sys.stdin:
        verb, what, number = line.split()
        said = "ready" if verb == "ready" else racer.go(what, number)
        if verb == "ready":
            racer.ready(what, number)
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
