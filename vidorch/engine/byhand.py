"""What a person says of a job that nobody else can tell about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from vidorch.contract import Clock
from vidorch.engine.kept import CLOSED_BY_HAND
from vidorch.errors import InvalidRequest, ProviderFailed
from vidorch.ledger.ledger import Claimed, Ledger, MovedMeanwhile
from vidorch.ledger.moves import ENDS, State
from vidorch.money import show_usd
from vidorch.offloop import in_thread, written
from vidorch.result import Job

__all__ = ["ByHand"]


@dataclass(frozen=True, slots=True)
class ByHand:
    """A person's word on one job."""

    ledger: Ledger
    clock: Clock

    async def adopt(self, job: Job, remote_id: str) -> Job:
        """The job at the vendor that this one is. Of one that was adopted before and has given nothing yet: another one.

        Raises:
            InvalidRequest: its id is known from the vendor, or the new one belongs to another job.
        """
        remote_id = remote_id.strip()
        if not remote_id or not remote_id.isprintable():
            raise InvalidRequest(
                "The vendor's id is empty.", field="remote_id", value=remote_id, allowed="the id as the vendor shows it"
            )  # fmt: skip
        before = job.remote_id if await self._adopted_by_hand(job) else None
        if job.state not in (State.UNKNOWN, State.SENDING) and before is None:
            raise _not_open(
                job, "Only a job that is unknown can be adopted, or one that was adopted by hand and has given nothing yet"
            )  # fmt: skip
        if before == remote_id:
            return job
        now = self.clock.now()
        note: dict[str, object] = {"by_hand": True}
        if before is not None:
            note |= {"from": before, "to": remote_id}
        try:
            if await in_thread(self.ledger.claimed, job.endpoint, job.account, [remote_id]):
                raise Claimed(f"The vendor's job {remote_id} belongs to another job of this ledger.")
            if job.state == State.SENDING:
                job = await written(self.ledger.move(job, State.UNKNOWN, now))
            elif before is not None:
                job = await self._take_back(job, now)
            return await written(
                self.ledger.move(
                    job, State.ACCEPTED, now, changes={"remote_id": remote_id, "owner": None, "lease_until": None}, note=note
                )
            )  # fmt: skip
        except Claimed as error:
            raise InvalidRequest(
                f"{error.message} Nothing was changed.", field="remote_id", value=remote_id, allowed="an id of no other job",
                charged=job.charged, run_id=job.run_id, job_id=job.id,
            ) from error  # fmt: skip
        except MovedMeanwhile as error:
            raise _moved(job) from error

    async def settle(self, job: Job, charged: Decimal | None) -> Job:
        """What it cost, in USD; None when it was not charged. From then on that is what is said of it.

        Raises:
            InvalidRequest: nothing about its cost is open.
        """
        by_hand = {"by_hand": True}
        adopted = await self._adopted_by_hand(job)
        try:
            now = self.clock.now()
            if adopted:  # whatever it is there, it is not this job
                job = await self._take_back(job, now)
            state = State(job.state)
            if state is State.UNKNOWN and charged is None:
                changes = closed_by_hand(None, now) | {"charged": 0}
                move = self.ledger.move(
                    job, State.REJECTED, now, changes=changes, note=by_hand | {"before": job.error_text}
                )
            elif state in (State.UNKNOWN, State.LOST):
                changes = closed_by_hand(charged, now) | {
                    "cost_basis": "reported",
                    "charged": int(bool(charged)),
                }
                move = self.ledger.move(
                    job, State.SETTLED, now, changes=changes, cost=charged or Decimal(0),
                    note=by_hand | {"before": job.error_text},
                )  # fmt: skip
            elif state in ENDS and job.cost_basis == "assumed":
                said = (
                    ""
                    if job.error_text is None
                    else f"{job.error_text} {closed_by_hand(charged, now)['error_text']}"
                )
                move = self.ledger.correct(job.id, charged, now, error_text=said or None)
            else:
                raise _not_open(
                    job, "Only a job that is unknown or lost, or whose cost was assumed, is settled by hand; or one that was "
                    "adopted by hand and has given nothing yet"
                )  # fmt: skip
            return await written(move)
        except MovedMeanwhile as error:
            raise _moved(job) from error

    async def _adopted_by_hand(self, job: Job) -> bool:
        """Whether its id at the vendor is a person's word, and nothing came of it yet."""
        if job.state not in (State.ACCEPTED, State.RUNNING):
            return False
        events = await in_thread(lambda: self.ledger.events(job.run_id, job_id=job.id))
        accepted = [event for event in events if event.kind == "move" and event.target == State.ACCEPTED]
        return bool(accepted and accepted[-1].data.get("by_hand"))

    async def _take_back(self, job: Job, now: float) -> Job:
        """Unknown again, as before it was adopted. Whoever polls it under the old id finds that it has moved on."""
        changes = {
            "remote_id": None,
            "owner": None,
            "lease_until": None,
            "progress": None,
            "stage": None,
            "poll_at": None,
        }
        note = {"by_hand": True, "from": job.remote_id}
        return await written(self.ledger.move(job, State.UNKNOWN, now, changes=changes, note=note))


def closed_by_hand(charged: Decimal | None, at: float) -> dict[str, Any]:
    """Columns of a job that gave no clip, after a person has closed it: why is what it says in place of the old error."""
    day = datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d")
    what = f"charged {show_usd(charged)}" if charged else "not charged"
    return {
        "error": ProviderFailed.__name__, "error_code": CLOSED_BY_HAND, "error_stage": None,
        "error_text": f"Closed by hand on {day}: {what}.",
    }  # fmt: skip


def _not_open(job: Job, rule: str) -> InvalidRequest:
    basis = f", its cost {job.cost_basis}" if job.cost_basis else ""
    return InvalidRequest(
        f"{rule}; {job.id} is {job.state}{basis}. Nothing was changed.", field="job_id", value=job.id,
        allowed="see `vidorch jobs list --state unknown`", run_id=job.run_id, job_id=job.id, charged=job.charged,
    )  # fmt: skip


def _moved(job: Job) -> InvalidRequest:
    return InvalidRequest(
        f"The job {job.id} moved on meanwhile. Nothing was changed.", hint=f"See: vidorch jobs show {job.id}", field="job_id",
        value=job.id, run_id=job.run_id, job_id=job.id, charged=job.charged,
    )  # fmt: skip
