"""Looking at a job that its vendor works on, until it is over there or nothing more is to be expected."""

from __future__ import annotations

import asyncio
import contextlib

from vidorch.contract import Done, Failed, Progress
from vidorch.engine.answers import polled_of
from vidorch.engine.errand import Errand
from vidorch.errors import TimedOut, VidorchError
from vidorch.latencies import SEEN_LATE, Took
from vidorch.ledger.moves import State
from vidorch.polling import Schedule, after_lost_poll, deadline_after, next_poll

__all__ = ["Lookout"]

SLEPT = 60.0
"""Seconds that a pause may be too long before the machine is taken to have slept, or its clock to have been set."""


class Lookout:
    """Polls one job."""

    def __init__(self, errand: Errand) -> None:
        self._errand = errand
        self._last_trouble = ""
        self._furthest = 0.0

    async def until_over(self) -> Done | Failed | None:
        """Poll until the vendor says that it is over. None: it was given up, and that is written down.

        Raises:
            TimedOut: its deadline passed; the job stays open.
        """
        errand = self._errand
        if not errand.purchase.calls_back:
            return await self._until_over()
        bell = errand.services.bell
        bell.wait(errand.job.id, errand.hear)
        try:
            return await self._until_over()
        finally:
            bell.forget(errand.job.id)

    async def _until_over(self) -> Done | Failed | None:
        errand = self._errand
        assert errand.accepted is not None
        offer, task, lost = errand.purchase.offer, errand.job.task, 0
        schedule = await errand.services.schedule(offer, task)
        if errand.p99 is None:
            await errand.learn_latency()
        began = errand.clock.now()
        accepted_at = errand.job.accepted_at or began
        # Whoever takes a job up gives it as much time again as one that has just begun.
        deadline = max(errand.job.deadline or 0.0, deadline_after(offer, began, errand.p99))
        due = errand.job.poll_at or accepted_at
        if errand.job.outlives_caller and began - accepted_at < 1.0:
            due = began + schedule.first()
            errand.working_at = accepted_at
            errand.note_look(due)
            await self._pause(due - began)
        while True:
            if errand.cancelled:
                with contextlib.suppress(VidorchError):  # what cannot be cancelled goes on to its end
                    await errand.stop_at_vendor()
            errand.polls += 1
            try:
                found = polled_of(await errand.provider.poll(errand.context(), errand.accepted))
                lost = 0
            except (Exception, BaseExceptionGroup, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and _are_cancelled():
                    raise
                lost += 1  # a lost look says nothing about the job
                self._last_trouble = str(errand.clean(error)) or type(error).__name__
                found = Progress("running", errand.fraction)
                await errand.must_be_known_by_its_id()
            if isinstance(found, Done | Failed):
                errand.watch.lap("run")
                now = errand.clock.now()
                if now - due > SEEN_LATE:
                    errand.unseen_since = None if errand.job.downloading_at else due
                elif isinstance(found, Done):
                    errand.services.took(offer, task, _took(accepted_at, errand.working_at, now))
                return found
            began_to_work = found.stage == "running" and errand.job.state == State.ACCEPTED
            # Hours that are paid for count from the last look that found it waiting, not from the first that found it at work.
            if not lost and (found.stage == "queued" if offer.price.rule == "hours" else began_to_work):
                errand.watch.lap("queue")
            if not lost and began_to_work:
                await errand.move(State.RUNNING)
            now = errand.clock.now()
            pause = self._next(schedule, now - accepted_at, found, lost)
            if not lost:
                errand.working_at, due = now, now + pause
            errand.tell(found, due)
            if not errand.job.outlives_caller and not lost and self._goes_on(found):
                deadline = max(deadline, deadline_after(offer, now, errand.p99))
            if now > deadline:
                if await self._give_up():
                    return None
                raise self._too_late(now - accepted_at)
            await self._pause(pause)
            if (woke := errand.clock.now()) > now + pause + SLEPT:  # as if it were taken up anew
                deadline = max(deadline, deadline_after(offer, woke, errand.p99))

    def _goes_on(self, found: Progress) -> bool:
        """Whether work of our own waits its turn or is further than it was: on one card a long queue takes its time."""
        before, self._furthest = self._furthest, max(self._furthest, found.fraction or 0.0)
        return found.stage == "queued" or self._furthest > before

    def _next(self, schedule: Schedule, age: float, found: Progress, lost: int) -> float:
        """Seconds until the next look."""
        offer = self._errand.purchase.offer
        if lost:
            return after_lost_poll(offer, lost)
        # What was asked of the vendor is soon true, whatever the schedule says.
        return next_poll(offer, found) if self._errand.cancelled else schedule.next(age, found)

    async def _pause(self, seconds: float) -> None:
        """Sleep: no longer than the vendor wants once its end has been asked for, and not at all once the vendor called."""
        errand = self._errand
        if errand.heard:
            errand.heard = False
            return
        began = errand.clock.now()
        errand.napping = task = asyncio.current_task()
        try:
            await errand.clock.sleep(seconds)
        except asyncio.CancelledError:
            # Roused, and by nobody else cancelled besides: see `Errand.rouse`.
            if not errand.roused or task is None or task.uncancel():
                raise
            if errand.heard:
                errand.heard = False
                return
            least = errand.purchase.offer.min_poll
            await errand.clock.sleep(min(least, max(0.0, began + least - errand.clock.now())))
        finally:
            errand.napping, errand.roused = None, False

    async def _give_up(self) -> bool:
        """Whether the job is over: nobody could take it up again, or the vendor keeps nothing any more."""
        errand = self._errand
        if not errand.job.outlives_caller:
            with contextlib.suppress(VidorchError):
                await errand.stop_at_vendor()
            errand.watch.lap("run")
            late = self._too_late(0)
            cost = errand.cost_of_hours(made=False) if errand.job.billed else None
            if cost is not None:
                late.charged = cost.charged
            await errand.end(State.FAILED, late, cost)
            return True
        if errand.is_over_for_good():
            await errand.lose("No end of it was seen within the time that the vendor keeps results.")
            return True
        return False

    def _too_late(self, seconds: float) -> TimedOut:
        job = self._errand.job
        goes_on = job.outlives_caller
        minutes = f" {seconds / 60:.0f} minutes after it was accepted" if seconds else " within its time"
        trouble = (
            f" The last look at it failed: {self._last_trouble.rstrip('.')}." if self._last_trouble else ""
        )
        return TimedOut(
            f"The job {job.id} has not finished{minutes}.{trouble} {'It stays open.' if goes_on else 'It was stopped.'}",
            hint=f"Look for it again with: vidorch jobs resume {job.run_id}" if goes_on else "",
            charged=None if goes_on else False,
            run_id=job.run_id, job_id=job.id, remote_id=job.remote_id, provider=job.provider,
        )  # fmt: skip


def _took(accepted_at: float, working_at: float | None, now: float) -> Took:
    return Took(now - accepted_at, None if working_at is None else max(0.0, working_at - accepted_at))


def _are_cancelled() -> bool:
    """Whether it is we who are called off, and not only something inside an adapter."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
