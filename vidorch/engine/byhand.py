"""What a person says of a job that nobody else can tell about."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from vidorch.contract import Clock
from vidorch.errors import InvalidRequest
from vidorch.ledger.ledger import Claimed, Ledger, MovedMeanwhile
from vidorch.ledger.moves import ENDS, State
from vidorch.offloop import written
from vidorch.result import Job

__all__ = ["ByHand"]


@dataclass(frozen=True, slots=True)
class ByHand:
    """A person's word on one job."""

    ledger: Ledger
    clock: Clock

    async def adopt(self, job: Job, remote_id: str) -> Job:
        """The job at the vendor that this one is.

        Raises:
            InvalidRequest: it is not unknown, or the id belongs to another job.
        """
        if not remote_id.strip() or not remote_id.isprintable():
            raise InvalidRequest(
                "The vendor's id is empty.", field="remote_id", value=remote_id, allowed="the id as the vendor shows it"
            )  # fmt: skip
        if job.state not in (State.UNKNOWN, State.SENDING):
            raise _not_open(job, "Only a job that is unknown can be adopted")
        now = self.clock.now()
        try:
            if job.state == State.SENDING:
                job = await written(self.ledger.move(job, State.UNKNOWN, now))
            return await written(
                self.ledger.move(
                    job, State.ACCEPTED, now, changes={"remote_id": remote_id.strip(), "owner": None, "lease_until": None},
                    note={"by_hand": True},
                )
            )  # fmt: skip
        except Claimed as error:
            raise InvalidRequest(
                f"{error.message} Nothing was changed.",
                field="remote_id",
                value=remote_id,
                allowed="an id of no other job",
            ) from error
        except MovedMeanwhile as error:
            raise _moved(job) from error

    async def settle(self, job: Job, charged: Decimal | None) -> Job:
        """What it cost, in USD; None when it was not charged.

        Raises:
            InvalidRequest: nothing about its cost is open.
        """
        now, state = self.clock.now(), State(job.state)
        by_hand = {"by_hand": True}
        try:
            if state is State.UNKNOWN and charged is None:
                move = self.ledger.move(job, State.REJECTED, now, changes={"charged": 0}, note=by_hand)
            elif state in (State.UNKNOWN, State.LOST):
                changes = {"cost_basis": "reported", "charged": int(bool(charged))}
                move = self.ledger.move(
                    job, State.SETTLED, now, changes=changes, cost=charged or Decimal(0), note=by_hand
                )  # fmt: skip
            elif state in ENDS and job.cost_basis == "assumed":
                move = self.ledger.correct(job.id, charged, now)
            else:
                raise _not_open(
                    job, "Only a job that is unknown or lost, or whose cost was assumed, is settled by hand"
                )
            return await written(move)
        except MovedMeanwhile as error:
            raise _moved(job) from error


def _not_open(job: Job, rule: str) -> InvalidRequest:
    basis = f", its cost {job.cost_basis}" if job.cost_basis else ""
    return InvalidRequest(
        f"{rule}; {job.id} is {job.state}{basis}. Nothing was changed.", field="job_id", value=job.id,
        allowed="see `vidorch jobs list --state unknown`", run_id=job.run_id, job_id=job.id,
    )  # fmt: skip


def _moved(job: Job) -> InvalidRequest:
    return InvalidRequest(
        f"The job {job.id} moved on meanwhile. Nothing was changed.", hint=f"See: vidorch jobs show {job.id}", field="job_id",
        value=job.id, run_id=job.run_id, job_id=job.id,
    )  # fmt: skip
