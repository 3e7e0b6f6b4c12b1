"""One run of this process: its candidates are served side by side, each with as many jobs as it takes and may take."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

from vidorch.contract import Accepted, Cancelled
from vidorch.engine.asked import Asked, chunks
from vidorch.engine.carried import Carried
from vidorch.engine.closing import Closing
from vidorch.engine.costing import cost_of_abandoned
from vidorch.engine.deciding import Again, Attempt, Tally, nothing_was_sent, what_next
from vidorch.engine.driving import JobDriver
from vidorch.engine.errand import Overtaken
from vidorch.engine.handover import sweep
from vidorch.engine.hosts import LEASE, is_orphan
from vidorch.engine.masking import mask
from vidorch.engine.paying import must_be_payable, unwritten
from vidorch.engine.progress import ProgressBoard
from vidorch.engine.purchase import Purchase
from vidorch.engine.rows import job_row
from vidorch.engine.shielding import all_of, unless_cancelled_first
from vidorch.errors import LedgerUnavailable, MissingCredentials, OverBudget, ProviderFailed, VidorchError
from vidorch.ledger.ledger import MovedMeanwhile, NotOurs
from vidorch.ledger.moves import BEFORE_SENDING, ENDS, State
from vidorch.offloop import in_thread, written
from vidorch.result import Job, Progress, Result

__all__ = ["LiveRun"]

LOOK_EVERY = 0.5


class LiveRun:
    """A run that this process carries, from its jobs to its result.

    Args:
        run: what is known of it. For jobs that were just written down, `bought` says what they buy.
        cap: USD that the whole call may cost; None for the default cap where no budget applies.
        gone: told of it when nobody carries it any more.
    """

    def __init__(self, run: Carried, *, cap: Any, gone: Callable[[LiveRun], None]) -> None:
        self.id = run.id
        self._run = run
        self._services = run.services
        self._ledger = run.services.ledger
        self._clock = run.services.clock
        self._closing = Closing(run)
        self._retry_after: dict[str, float | None] = {}
        self._cap = cap
        self._tally = Tally()
        self._passed_over: frozenset[int] = frozenset()
        self._called_off: frozenset[str] = frozenset()
        self._asked_to_stop: dict[str, Cancelled | None] = {}
        self._started = self._clock.now()
        listener = run.asked.call.on_progress if run.asked is not None else None
        self._board = ProgressBoard(self.id, run.candidates, self._clock, listener)
        self.drivers: dict[str, JobDriver] = {}
        for job in run.jobs.values():
            if job.id in run.bought:
                self._driver(job)
        self._first = list(self.drivers.values())
        self._leaving = False
        self.task = asyncio.create_task(self._carry_out(), name=f"vidorch-{self.id}")
        self._gone = gone
        self.task.add_done_callback(self._is_over)

    def _is_over(self, task: asyncio.Task[Result]) -> None:
        # How it ended is in the ledger; nobody has to be waiting for it.
        _ = task.cancelled() or task.exception()
        if not self._leaving:
            self._tell_end()
            self._forget_ended()
        self._gone(self)

    def _tell_end(self) -> None:
        for driver in self.drivers.values():
            driver.is_let_go()
        if self.task.cancelled():
            self._run.spans.end()
        elif (error := self.task.exception()) is not None:
            self._run.spans.end(error=error)
        else:
            self._run.spans.end(self.task.result())

    def _forget_ended(self) -> None:
        """Let go of drivers whose jobs are over. They report to this run: else all of it stays until cycles are looked for."""
        self.drivers = {name: one for name, one in self.drivers.items() if one.job.state not in ENDS}
        self._first = [one for one in self._first if one.job.state not in ENDS]

    # -- what others ask ------------------------------------------------------------------------------------------------

    @property
    def asked(self) -> Asked | None:
        """What the caller asked for; None where only the ledger is left of it."""
        return self._run.asked

    @property
    def bought(self) -> Collection[str]:
        """Ids of the jobs that were bought while this process carried it."""
        return self._run.bought.keys()

    @property
    def progress(self) -> Progress | None:
        """The newest figure, None before the first."""
        return self._board.latest

    @property
    def is_stranded(self) -> bool:
        """Whether it ended here and the ledger does not know: to everybody it is ours, and nobody drives it."""
        return self.task.done() and not self._leaving and not self._closing.released

    async def release(self) -> None:
        """Say in the ledger that this process drives it no more, if that was not said yet. See `is_stranded`."""
        if self.is_stranded:
            await self._closing.release()

    async def submitted(self) -> None:
        """Wait until every candidate's first submission is accepted, rejected or unknown, with the ids on disk."""
        for driver in self._first:
            await driver.submitted()

    async def wait(self) -> Result:
        """Wait for the result. Cancelling this waiting leaves the run alone.

        Raises:
            ProviderFailed: the client was closed, or the run detached, meanwhile.
        """
        try:
            return await asyncio.shield(self.task)
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if not self.task.cancelled() or (waiter is not None and waiter.cancelling()):
                raise
        inside = all(not job.outlives_caller for job in self._run.jobs.values())
        raise ProviderFailed(
            f"The client was closed before the run {self.id} was done"
            f"{'; work inside this process ended with it' if inside else ', and let go of it'}.",
            hint="" if inside else f"It goes on: vidorch jobs resume {self.id}",
            charged=False if inside else None, run_id=self.id,
        )  # fmt: skip

    async def cancel(self, job_id: str | None = None) -> None:
        """Ask every open job to end, and begin no other; or one job alone, and the others go on.

        Raises:
            VidorchError: what the provider said when it could not be asked; every job was asked all the same.
        """
        if job_id is None:
            self._run.cancelled = True
        else:
            self._called_off |= {job_id}
        asked = [driver.cancel() for name, driver in self.drivers.items() if job_id in (None, name)]
        asked += [
            self._cancel_undriven(job)
            for job in self._run.jobs.values()
            if job_id in (None, job.id) and job.id not in self.drivers and job.id not in self._asked_to_stop
            and job.state in (State.ACCEPTED, State.RUNNING)
        ]  # fmt: skip
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer

    async def _cancel_undriven(self, job: Job) -> None:
        """A job that another process drives, or that we have not taken over yet: whoever drives it will see the end.

        It is noted that the vendor was asked, since at some vendors a second time deletes the result of a finished job.
        """
        self._asked_to_stop[job.id] = None
        purchase = Purchase.of_job(job, self._services.offers())
        provider = self._services.provider_of(job.provider)
        accepted = Accepted(job.remote_id or "", job.quote, dict(job.details))
        context = self._services.context(job, purchase, self._run.refuge.folder)
        try:
            self._asked_to_stop[job.id] = await provider.cancel(context, accepted)
        except Exception as error:
            mask(error, context.secret)
            raise

    async def leave(self) -> None:
        """Let go: in-process work is abandoned, everything else stays open in the ledger for whoever takes it up.

        Needs no worker thread: it also runs while the interpreter shuts down, when none can be started any more.
        """
        self._leaving = True
        self.task.cancel()
        await asyncio.wait([self.task])
        self._board.stop()
        try:
            await self._close_what_is_left()
        finally:
            self._tell_end()
        self._leaving = False
        self._forget_ended()

    async def _close_what_is_left(self) -> None:
        for driver in self.drivers.values():
            await driver.leave()
            self._run.jobs[driver.job.id] = driver.job
        self._run.wants_submit = not self._run.cancelled and any(
            not self._run.has_clip(one) and nothing_was_sent(self._run.history(one))
            for one in range(self._run.candidates)
        )
        await self._closing.close("cancelled")

    # -- serving candidates ---------------------------------------------------------------------------------------------

    async def _carry_out(self) -> Result:
        groups = self._run.groups()
        try:
            await all_of(
                *(self._serve(first, count) for first, count in groups),
                *(self._look_for_older(job) for job in self._run.older(groups)),
            )
            await self._board.aclose()
            await self._closing.close()
        except Exception:  # nobody drives it any more, and whoever takes it up must see that
            self._board.stop()
            await self._closing.release()
            raise
        return await self._closing.result()

    async def _look_for_older(self, job: Job) -> None:
        try:
            await self._see_through(job)
        except VidorchError as error:
            self._run.errors.append(error)

    async def _serve(self, first: int, count: int) -> None:
        """Carry `count` candidates until each has its clip, or nothing more may be done for it."""
        history = self._run.history(first)
        if history and history[-1].state not in ENDS:
            try:
                await self._see_through(history[-1])
            except VidorchError as error:
                self._run.errors.append(error)
                return
        left = [one for one in range(first, first + count) if not self._run.has_clip(one)]
        while left and not self._run.cancelled:
            again = self._next(left[0])
            if again is None:
                return
            if self._run.asked is None:
                self._run.wants_submit = True
                return
            if again.delay:
                await self._clock.sleep(again.delay)
            jobs = await self._buy(again, left)
            if jobs is not None:
                await all_of(*(self._serve(job.candidate, job.samples) for job in jobs))
                return

    def _next(self, candidate: int) -> Again | None:
        history = self._run.history(candidate)
        if not nothing_was_sent([job for job in history if job.id not in self._run.bought]):
            return None  # a vendor has had something from whoever had the run before us
        if self._run.asked is None:
            return Again(0) if nothing_was_sent(history) else None
        attempts = [self._attempt(job, candidate) for job in history if job.id in self._run.bought]
        timeout, seconds_left = self._run.asked.call.timeout, None
        if timeout is not None:
            seconds_left = timeout - (self._clock.now() - self._started)
        return what_next(
            attempts, self._run.asked.order(candidate), self._run.asked.entries, self._run.asked.call, self._tally,
            passed_over=self._passed_over, seconds_left=seconds_left,
        )  # fmt: skip

    def _attempt(self, job: Job, candidate: int) -> Attempt:
        withheld = job.state == State.SETTLED and not self._run.came(job, candidate)
        return Attempt(job, self._run.bought[job.id][1], self._retry_after.get(job.id), withheld)

    async def _buy(self, again: Again, candidates: Sequence[int]) -> list[Job] | None:
        """Write down one more submission for each of these candidates. None: it did not fit, and is passed over."""
        assert self._run.asked is not None
        offer = self._run.asked.entries[again.entry].offer
        # What was thrown back for a moment goes again a few times, as it was promised, whatever the door says.
        answer = None if again.delay else await self._services.doors.ask(offer, self._run.row["scope"])
        if isinstance(answer, VidorchError):
            self._pass_over(again.entry, answer)
            return None
        jobs = None
        try:
            jobs = await self._buy_there(again, candidates)
            return jobs
        finally:
            if answer is not None and not jobs:
                answer.give_back()

    async def _buy_there(self, again: Again, candidates: Sequence[int]) -> list[Job] | None:
        assert self._run.asked is not None
        services, now = self._services, self._clock.now()
        planned: list[tuple[Purchase, dict[str, Any]]] = []
        for first, count in chunks(candidates):
            candidate = first
            while candidate < first + count:
                samples = self._run.asked.samples(again.entry, first + count - candidate)
                tried = len(self._run.history(candidate))
                purchase = self._run.asked.purchase(
                    again.entry, candidate, samples, services.ids, anew=tried if again.seed_anew else 0
                )
                row = job_row(self.id, candidate, self._run.attempt_number(candidate, samples), purchase, self._run.row["scope"],
                              services, now, self._run.spans)  # fmt: skip
                planned.append((purchase, row))
                candidate += samples
        try:
            for purchase, _ in planned:
                must_be_payable(purchase, services)
        except VidorchError as error:
            self._pass_over(again.entry, error)
            return None
        if again.counts:
            setattr(self._tally, again.counts, getattr(self._tally, again.counts) + len(planned))
        try:
            return await unless_cancelled_first(self._write_down(planned, again.entry, now))
        except OverBudget as error:
            self._pass_over(again.entry, error)
            return None
        except NotOurs:  # cancelled or taken over by somebody else: whoever has it goes on, or nobody does
            return []

    async def _write_down(
        self, planned: Sequence[tuple[Purchase, dict[str, Any]]], entry: int, now: float
    ) -> list[Job]:
        """Reserve further jobs. What is in the ledger is known here too, also by a run that is let go at this moment."""
        services = self._services
        rows = [row for _, row in planned]
        jobs = await written(
            self._ledger.add_jobs(
                self.id, services.host.owner, rows, cap=self._cap, budgets=services.budgets, at=now
            )
        )
        for job, (purchase, _) in zip(jobs, planned, strict=True):
            self._run.jobs[job.id] = job
            self._run.bought[job.id] = (purchase, entry)
        return jobs

    def _pass_over(self, entry: int, why: VidorchError) -> None:
        assert self._run.asked is not None
        self._passed_over |= {entry}
        name = self._run.asked.entries[entry].offer.name
        if isinstance(why, OverBudget):
            self._run.notes.append(f"{name} was passed over: over {why.budget}.")
        elif isinstance(why, ProviderFailed):
            self._run.notes.append(f"{name} was passed over: {why.message}")
        self._run.errors.append(why)

    # -- one job --------------------------------------------------------------------------------------------------------

    def _driver(self, job: Job) -> JobDriver:
        bought = self._run.bought.get(job.id)
        purchase = bought[0] if bought is not None else Purchase.of_job(job, self._services.offers())
        driver = JobDriver(
            job, purchase, self._services, target=self._run.target, refuge=self._run.refuge, candidates=self._run.candidates,
            ending=self._closing, report=self._tell, span=self._run.spans.drives(job),
        )  # fmt: skip
        self.drivers[job.id] = driver
        return driver

    async def _see_through(self, job: Job) -> None:
        """Take a job to its end, or look on while somebody else does. It may end in `unknown`, where nobody can tell.

        Raises:
            VidorchError: it stays open, and why.
        """
        while job.state not in ENDS:
            ours = job.owner == self._services.host.owner
            if not ours:
                if not is_orphan(job.owner, job.lease_until, self._clock.now()):
                    job = await self._look_on(job)
                    continue
                taken = await self._take(job)
                if taken is None:
                    job = await self._read(job.id)
                    continue
                job = taken
                if job.state in ENDS:
                    break
            driver = self.drivers.get(job.id) or self._driver(job)
            if job.id in self._asked_to_stop:
                driver.was_asked_to_stop(self._asked_to_stop[job.id])
            elif self._run.cancelled or job.id in self._called_off:
                with contextlib.suppress(VidorchError):
                    await driver.cancel()
            try:
                await driver.drive()
            except Overtaken as lost:
                self.drivers.pop(job.id, None)
                job = lost.job
                continue
            except (Exception, BaseExceptionGroup) as error:
                self._run.jobs[job.id] = driver.job
                await self._release_job(driver.job)
                if isinstance(error, LedgerUnavailable) and error.job_id is None:
                    raise unwritten(error, driver.job) from error
                if isinstance(error, VidorchError):
                    raise
                raise _broke(driver.job, error) from error
            job = driver.job
            self._run.outputs += driver.outputs
            self._run.notes += driver.notes
            self._retry_after[job.id] = driver.retry_after
            break
        self._run.jobs[job.id] = job
        self._services.doors.saw(job)
        if job.state == State.SETTLED and not any(row["job_id"] == job.id for row in self._run.outputs):
            rows = await in_thread(self._ledger.outputs, self.id)  # somebody else brought them
            self._run.outputs += [row for row in rows if row["job_id"] == job.id]

    async def _look_on(self, job: Job) -> Job:
        await self._clock.sleep(LOOK_EVERY)
        return await self._read(job.id)

    async def _read(self, job_id: str) -> Job:
        job = await in_thread(self._ledger.job, job_id)
        assert job is not None
        self._run.jobs[job_id] = job
        self._tell(job, job.stage or job.state, job.progress, None)
        return job

    async def _take(self, job: Job) -> Job | None:
        """Take over a job whose owner is gone. None: somebody else was first.

        Raises:
            MissingCredentials: this process cannot speak for it; it is left as it is.
        """
        services, now = self._services, self._clock.now()
        state = job.state
        try:
            if (
                state in BEFORE_SENDING or not job.outlives_caller
            ):  # nothing left, or what worked on it is gone
                cost = cost_of_abandoned(job, Purchase.of_job(job, services.offers()), services.hour)
                said = {"charged": 0} if cost is None else {"charged": 1, "cost_basis": cost.basis}
                ended = await written(
                    self._ledger.move(
                        job, State.ABANDONED, now, changes=said, cost=None if cost is None else cost.usd
                    )
                )
                self._run.spans.drives(ended).moved(ended)
                await in_thread(sweep, dict(self._run.row), job, self._run.target, self._run.refuge)
                return ended
            purchase = Purchase.of_job(job, services.offers())
            if not services.may_speak_for(job, purchase):
                variables = " or ".join(purchase.offer.variables)
                raise MissingCredentials(
                    f"The job {job.id} of scope {job.scope!r} at {job.endpoint} was left as it is: its credential is not here.",
                    hint=f"Set {variables}, or resume it where that is set.", variable=purchase.offer.variables[0],
                    run_id=job.run_id, job_id=job.id, remote_id=job.remote_id, charged=None,
                )  # fmt: skip
            await in_thread(sweep, dict(self._run.row), job, self._run.target, self._run.refuge)
            host = services.host
            return await written(
                self._ledger.take(job, host.owner, host.name, host.process, now + LEASE, now)
            )
        except MovedMeanwhile:
            return None

    def _tell(self, job: Job, stage: str, fraction: float | None, eta: float | None) -> None:
        last = job.candidate + job.samples
        for candidate in range(job.candidate, last if last == 1 else min(last, self._run.candidates)):
            self._board.report(candidate, job.state, stage, fraction, eta)

    async def _release_job(self, job: Job) -> None:
        with contextlib.suppress(VidorchError):
            await written(
                self._ledger.release(
                    self._services.host.owner, self._clock.now(), job_ids=[job.id], run_ids=[]
                )
            )


def _broke(job: Job, error: BaseException) -> ProviderFailed:
    """Whatever else may be raised on a job's way: it stays where it was last seen."""
    where = "It stays open." if job.outlives_caller else "It stays where it was."
    return ProviderFailed(
        f"The job {job.id} could not be carried on: {type(error).__name__}: {error}. {where}",
        hint=f"Look for it again with: vidorch jobs resume {job.run_id}", charged=None if job.billed else False,
        run_id=job.run_id, job_id=job.id, remote_id=job.remote_id, provider=job.provider,
    )  # fmt: skip
