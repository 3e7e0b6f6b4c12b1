"""The way of a job to its vendor: made ready, its turn waited for, sent once, and its id on disk; or looked for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from vidorch.contract import Accepted, Rejected
from vidorch.engine.answers import accepted_of
from vidorch.engine.costing import quoted
from vidorch.engine.errand import Errand, Overtaken, typed
from vidorch.engine.hosts import LEASE
from vidorch.engine.lines import Line, Turn
from vidorch.engine.seeking import seek
from vidorch.engine.shielding import unless_cancelled_first
from vidorch.errors import LedgerUnavailable, Refused
from vidorch.frozen import changed
from vidorch.ledger.ledger import Claimed
from vidorch.ledger.moves import State
from vidorch.ledger.slots import NoRoom
from vidorch.money import to_micros
from vidorch.polling import deadline_after

__all__ = ["Sender"]

WRITES_AGAIN = 6
SUBMIT_SECONDS = 900.0


class Sender:
    """Takes a job to its vendor.

    Attributes:
        retry_after: seconds after which the vendor would take the same submit again; None when a repeat makes no sense.
    """

    def __init__(self, errand: Errand) -> None:
        self.retry_after: float | None = None
        self._errand = errand
        self._slots: asyncio.Semaphore | None = None
        self._line: Line | None = None

    async def send(self) -> bool:
        """Send what was never sent. True when there is something to wait or to look for: it is accepted or unknown."""
        errand, services = self._errand, self._errand.services
        purchase = errand.purchase
        assert purchase.request is not None  # what nobody can submit is never driven from here
        if errand.job.state == State.RESERVED:
            await errand.move(State.UPLOADING)
        try:
            prepared = await errand.provider.prepare(errand.context(), purchase.request, purchase.offer)
        except Rejected as rejected:
            self.retry_after = rejected.retry_after
            await errand.end(State.REJECTED, rejected.cause)
            return False
        except Exception as error:
            await errand.end(State.REJECTED, typed(errand.clean(error), errand.job.provider, sent=False))
            return False
        errand.watch.lap("upload")
        # Read now: between the vendor's answer and its id on disk there is to be nothing that can fail.
        await errand.learn_latency()
        self._line = services.line(errand.job, purchase.offer)
        if self._line is not None:
            return await self._in_turn(self._line, prepared)
        slots = services.slots(services.endpoint(errand.job.endpoint, errand.job.provider))
        await slots.acquire()
        self._slots = slots
        if errand.cancelled:
            await errand.end(State.CANCELLED, None)
            return False
        # From here until the vendor's id is on disk nobody may interrupt: a paid job without a written id is lost.
        return await unless_cancelled_first(self._submit(prepared))

    async def _in_turn(self, line: Line, prepared: Any) -> bool:
        """Send it as soon as the limits of its account leave room, counted over all processes."""
        errand = self._errand
        errand.tell_stage("waiting for a turn")
        turn = await line.turn()
        try:
            while not errand.cancelled:
                try:
                    return await unless_cancelled_first(self._submit(prepared, line, turn))
                except NoRoom as full:
                    us = asyncio.current_task()
                    if us is not None and us.cancelling():  # which the try kept to itself until it was over
                        raise asyncio.CancelledError from None
                    await turn.wait(full)
        finally:
            turn.give_back()
        await errand.end(State.CANCELLED, None)
        return False

    def free_slot(self) -> None:
        """Let the next in line go: the vendor works on this one no more."""
        if self._line is not None:
            self._line.somebody_ended()
        if self._slots is not None:
            self._slots.release()
            self._slots = None

    async def _submit(self, prepared: Any, line: Line | None = None, turn: Turn | None = None) -> bool:
        """Send it, once. True when it is accepted or unknown: there is something to look for.

        Raises:
            NoRoom: the limits of its line's account leave none; nothing was sent and nothing is changed.
        """
        errand = self._errand
        try:
            context = (
                errand.context()
            )  # asks for the credential, which may fail: before anything is said to be on its way
        except Exception as error:
            await errand.end(State.REJECTED, typed(errand.clean(error), errand.job.provider, sent=False))
            return False
        room = None if line is None else line.account
        await errand.move(State.SENDING, lease_until=errand.clock.now() + LEASE, room=room)
        if turn is not None:
            turn.give_back()
        errand.watch.lap("wait")
        try:
            async with asyncio.timeout(
                SUBMIT_SECONDS
            ):  # in real time: an adapter that hangs must not hold a closing client
                accepted = accepted_of(await errand.provider.submit(context, prepared))
        except Rejected as rejected:
            self.retry_after = rejected.retry_after
            refused = isinstance(rejected.cause, Refused)
            await errand.end(State.REFUSED if refused else State.REJECTED, rejected.cause)
            return False
        except (
            Exception,
            BaseExceptionGroup,
            asyncio.CancelledError,
        ) as error:  # cancelled: the loop itself goes down
            if not errand.job.outlives_caller:  # in our own process an exception is a clear answer
                await errand.end(State.REJECTED, typed(errand.clean(error), errand.job.provider, sent=False))
                return False
            errand.error = lost = typed(errand.clean(error), errand.job.provider, sent=True)
            await errand.move(State.UNKNOWN, error=type(lost).__name__, error_code=lost.code, error_text=str(lost),
                              request_id=lost.request_id)  # fmt: skip
            return True
        await self._accept(accepted)
        return True

    async def _accept(self, accepted: Accepted) -> None:
        """Get the vendor's id on disk, whatever it takes: it is the only way to what was paid for."""
        errand = self._errand
        now = errand.clock.now()
        changes: dict[str, Any] = {
            "remote_id": accepted.remote_id,
            "details": json.dumps(dict(accepted.details), default=str),
            "deadline": deadline_after(errand.purchase.offer, now, errand.p99),
            "owner": errand.services.host.owner,
            "lease_until": now + LEASE,
        }
        if (quote := quoted(errand.purchase, accepted.quote)) is not None:
            changes["quote"] = to_micros(quote, up=True)
        delay = 0.25
        for left in reversed(range(WRITES_AGAIN)):
            try:
                await errand.move(State.ACCEPTED, **changes)
                break
            except (
                Claimed
            ):  # another job of ours was found under this id first: this one's is still to be found
                if errand.job.state == State.SENDING:
                    self._note_id(accepted)
                    said = f"Its id at the vendor, {accepted.remote_id}, was claimed by an equal job of ours."
                    await errand.move(
                        State.UNKNOWN, error_text=said, possible_ids=json.dumps([accepted.remote_id])
                    )
                return
            except Overtaken as late:
                if late.job.remote_id != accepted.remote_id:
                    self._note_id(accepted)
                raise
            except LedgerUnavailable as error:
                if not left:
                    raise self._id_is_homeless(accepted, error) from error
                await asyncio.sleep(delay)  # the disk's time, not the job's
                delay *= 2
        errand.accepted = accepted
        errand.watch.lap("queue")

    def _note_id(self, accepted: Accepted) -> None:
        """Write down the vendor's id beside a job that cannot bear it: it is the only way to what was paid for."""
        job, at = self._errand.job, self._errand.clock.now()
        self._errand.ledger.note(
            job.run_id, job.id, at, "accepted elsewhere", {"remote_id": accepted.remote_id}
        )

    def _id_is_homeless(self, accepted: Accepted, error: LedgerUnavailable) -> LedgerUnavailable:
        job = self._errand.job
        return LedgerUnavailable(
            f"{job.provider} accepted the job {job.id} as {accepted.remote_id}, and the ledger cannot be written: "
            f"{error.message}",
            hint=f"It is paid for. Once the ledger can be written again: vidorch jobs adopt {job.id} {accepted.remote_id}",
            charged=True, run_id=job.run_id, job_id=job.id, remote_id=accepted.remote_id, provider=job.provider,
        )  # fmt: skip

    async def find(self) -> bool:
        """Look for a submit whose answer was lost. True once it is accepted."""
        errand = self._errand
        late, answered = errand.is_over_for_good(), not self._can_be_searched()
        async for found in seek(
            errand.job, errand.purchase, errand.services, errand.provider, errand.context
        ):
            if isinstance(found, tuple):
                answered = True
                if not found:
                    continue
                errand.ledger.touch(errand.job, errand.clock.now(), possible_ids=json.dumps(found))
                errand.job = changed(errand.job, possible_ids=found)
                continue
            await self._accept(found)
            if errand.job.state == State.ACCEPTED:
                return True
        if late and answered:  # a search that failed says nothing
            await errand.lose("It was not found within the time that the vendor keeps results.")
        return False

    def _can_be_searched(self) -> bool:
        errand = self._errand
        return errand.provider.find_mode(errand.purchase.offer) != "none"
