"""One run of this process: its candidates are served side by side, each with as many jobs as it takes and may take."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from vidorch.call import SELECTORS
from vidorch.contract import Accepted, Cancelled
from vidorch.engine.asked import Asked, chunks
from vidorch.engine.deciding import Again, Attempt, Tally, nothing_was_sent, what_next
from vidorch.engine.driving import JobDriver, Overtaken, unless_cancelled_first
from vidorch.engine.handover import hand_over, sweep
from vidorch.engine.hosts import LEASE, is_orphan
from vidorch.engine.paying import must_be_payable
from vidorch.engine.progress import ProgressBoard
from vidorch.engine.purchase import Purchase
from vidorch.engine.results import clips_of, read_result, result_of
from vidorch.engine.rows import as_json, job_row
from vidorch.engine.services import Services
from vidorch.engine.targets import Target
from vidorch.errors import (
    MissingCredentials,
    OverBudget,
    ProviderFailed,
    SubmissionUnknown,
    VidorchError,
)
from vidorch.ledger.ledger import MovedMeanwhile, NotOurs
from vidorch.ledger.moves import BEFORE_SENDING, ENDS, State
from vidorch.offloop import in_thread, written
from vidorch.result import Job, Progress, Result

__all__ = ["LiveRun"]

LOOK_EVERY = 0.5


class LiveRun:
    """A run that this process carries, from its jobs to its result.

    Args:
        row: the run as the ledger has it, and ours. jobs: what there is of it already.
        outputs: rows of the clips that came.
        asked: what the caller asked; None where only the ledger is left of it, and then nothing is submitted.
        bought: for jobs that were just written down, what they buy and the entry of the plan that they go to.
        fresh: whether the run has only just begun; in one that is joined, whatever was sent is never sent again.
    """

    def __init__(
        self,
        row: Mapping[str, Any],
        services: Services,
        *,
        jobs: Sequence[Job],
        outputs: Sequence[Mapping[str, Any]],
        asked: Asked | None,
        bought: Mapping[str, tuple[Purchase, int]],
        target: Target,
        refuge: Target,
        cap: Any,
        fresh: bool,
    ) -> None:
        self.id: str = row["id"]
        self.asked = asked
        self._row = row
        self._services = services
        self._ledger = services.ledger
        self._clock = services.clock
        self._jobs = {job.id: job for job in jobs}
        self._outputs = list(outputs)
        self._bought = dict(bought)
        self._retry_after: dict[str, float | None] = {}
        self._target = target
        self._refuge = refuge
        self._cap = cap
        self._candidates: int = row["candidates"]
        self._tally = Tally()
        self._chosen: str | None = row.get("chosen_output")
        self._passed_over: set[int] = set()
        self._cancelled = False
        self._called_off: set[str] = set()
        self._asked_to_stop: dict[str, Cancelled | None] = {}
        self._wants_submit = False
        self._errors: list[VidorchError] = []
        self._notes: list[str] = list(row["notes"] or ())
        self._started = services.clock.now()
        closed = () if fresh else range(self._candidates)
        self._closed = {
            one for one in closed if (history := self._history(one)) and not nothing_was_sent(history)
        }
        """Candidates of which a vendor has had something before we came: nothing more is sent for them."""
        listener = asked.call.on_progress if asked is not None else None
        self._board = ProgressBoard(self.id, self._candidates, services.clock, listener)
        self.drivers: dict[str, JobDriver] = {}
        for job in jobs:
            if job.id in self._bought:
                self._driver(job)
        self._first = [driver.submitted for driver in self.drivers.values()]
        self.task = asyncio.create_task(self._carry_out(), name=f"vidorch-{self.id}")
        # How it ended is in the ledger; nobody has to be waiting for it.
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    # -- what others ask ------------------------------------------------------------------------------------------------

    @property
    def progress(self) -> Progress | None:
        """The newest figure, None before the first."""
        return self._board.latest

    async def submitted(self) -> None:
        """Wait until every candidate's first submission is accepted, rejected or unknown, with the ids on disk."""
        for event in self._first:
            await event.wait()

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
        inside = all(not job.outlives_caller for job in self._jobs.values())
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
            self._cancelled = True
        else:
            self._called_off.add(job_id)
        asked = [driver.cancel() for name, driver in self.drivers.items() if job_id in (None, name)]
        asked += [
            self._cancel_undriven(job)
            for job in self._jobs.values()
            if job_id in (None, job.id) and job.id not in self.drivers and job.id not in self._asked_to_stop
            and State(job.state) in (State.ACCEPTED, State.RUNNING)
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
        answer = await provider.cancel(self._services.context(job, purchase, self._refuge.folder), accepted)
        self._asked_to_stop[job.id] = answer

    async def leave(self) -> None:
        """Let go: in-process work is abandoned, everything else stays open in the ledger for whoever takes it up.

        Needs no worker thread: it also runs while the interpreter shuts down, when none can be started any more.
        """
        self.task.cancel()
        await asyncio.wait([self.task])
        self._board.stop()
        for driver in self.drivers.values():
            await driver.leave()
            self._jobs[driver.job.id] = driver.job
        self._wants_submit = not self._cancelled and any(
            not self._has_clip(one) and nothing_was_sent(self._history(one))
            for one in range(self._candidates)
        )
        await self._close_books("cancelled")

    def _waits(self) -> bool:
        """Whether somebody may still want to send what was not sent. Work inside a process that ended is simply made again."""
        return self._wants_submit and (
            self._row["key"] is not None or any(job.outlives_caller for job in self._jobs.values())
        )

    # -- serving candidates ---------------------------------------------------------------------------------------------

    async def _carry_out(self) -> Result:
        groups = self._groups()
        await all_of(
            *(self._serve(first, count) for first, count in groups),
            *(self._look_for_older(job) for job in self._older(groups)),
        )
        await self._board.aclose()
        await self._close_books()
        more = [*self._errors, *self._questions()]
        return await self._result(more)

    def _groups(self) -> list[tuple[int, int]]:
        """Candidates that one job serves together, as (first, count)."""
        found: list[tuple[int, int]] = []
        candidate = 0
        while candidate < self._candidates:
            history = self._history(candidate)
            count = 1
            if history and history[-1].candidate == candidate:
                count = min(history[-1].samples, self._candidates - candidate)
            found.append((candidate, count))
            candidate += count
        return found

    def _older(self, groups: Sequence[tuple[int, int]]) -> list[Job]:
        """Open jobs that another one followed: unknown ones, of a caller who had the next offer paid all the same."""
        newest = {history[-1].id for first, _ in groups if (history := self._history(first))}
        return [job for job in self._jobs.values() if State(job.state) not in ENDS and job.id not in newest]

    async def _look_for_older(self, job: Job) -> None:
        try:
            await self._see_through(job)
        except VidorchError as error:
            self._errors.append(error)

    def _history(self, candidate: int) -> list[Job]:
        """The jobs that were, or are, to give this candidate, oldest first."""
        mine = (
            job for job in self._jobs.values() if job.candidate <= candidate < job.candidate + job.samples
        )
        return sorted(mine, key=lambda job: (job.attempt, job.created_at))

    async def _serve(self, first: int, count: int) -> None:
        """Carry `count` candidates until each has its clip, or nothing more may be done for it."""
        history = self._history(first)
        if history and State(history[-1].state) not in ENDS:
            try:
                await self._see_through(history[-1])
            except VidorchError as error:
                self._errors.append(error)
                return
        left = [one for one in range(first, first + count) if not self._has_clip(one)]
        while left and not self._cancelled:
            again = self._next(left[0])
            if again is None:
                return
            if self.asked is None:
                self._wants_submit = True
                return
            if again.delay:
                await self._clock.sleep(again.delay)
            jobs = await self._buy(again, left)
            if jobs is not None:
                await all_of(*(self._serve(job.candidate, job.samples) for job in jobs))
                return

    def _has_clip(self, candidate: int) -> bool:
        return any(self._came(job, candidate) for job in self._history(candidate))

    def _came(self, job: Job, candidate: int) -> bool:
        """Whether this job gave this candidate its clip."""
        number = candidate - job.candidate
        return any(row["job_id"] == job.id and row["number"] == number for row in self._outputs)

    def _next(self, candidate: int) -> Again | None:
        history = self._history(candidate)
        if candidate in self._closed:
            return None
        if self.asked is None:
            return Again(0) if nothing_was_sent(history) else None
        attempts = [self._attempt(job, candidate) for job in history if job.id in self._bought]
        timeout, seconds_left = self.asked.call.timeout, None
        if timeout is not None:
            seconds_left = timeout - (self._clock.now() - self._started)
        return what_next(
            attempts, self.asked.order(candidate), self.asked.entries, self.asked.call, self._tally,
            passed_over=self._passed_over, seconds_left=seconds_left,
        )  # fmt: skip

    def _attempt(self, job: Job, candidate: int) -> Attempt:
        withheld = job.state == State.SETTLED and not self._came(job, candidate)
        return Attempt(job, self._bought[job.id][1], self._retry_after.get(job.id), withheld)

    async def _buy(self, again: Again, candidates: Sequence[int]) -> list[Job] | None:
        """Write down one more submission for each of these candidates. None: it did not fit, and is passed over."""
        assert self.asked is not None
        services, now = self._services, self._clock.now()
        planned: list[tuple[Purchase, dict[str, Any]]] = []
        for first, count in chunks(candidates):
            candidate = first
            while candidate < first + count:
                samples = self.asked.samples(again.entry, first + count - candidate)
                tried = len(self._history(candidate))
                purchase = self.asked.purchase(
                    again.entry, candidate, samples, services.ids, anew=tried if again.seed_anew else 0
                )
                row = job_row(self.id, candidate, self._attempt_number(candidate, samples), purchase, self._row["scope"],
                              services, now)  # fmt: skip
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
            self._jobs[job.id] = job
            self._bought[job.id] = (purchase, entry)
        return jobs

    def _pass_over(self, entry: int, why: VidorchError) -> None:
        assert self.asked is not None
        self._passed_over.add(entry)
        name = self.asked.entries[entry].offer.name
        if isinstance(why, OverBudget):
            self._notes.append(f"{name} was passed over: over {why.budget}.")
        self._errors.append(why)

    def _attempt_number(self, candidate: int, samples: int) -> int:
        past = [job.attempt for one in range(candidate, candidate + samples) for job in self._history(one)]
        return max(past, default=-1) + 1

    # -- one job --------------------------------------------------------------------------------------------------------

    def _driver(self, job: Job) -> JobDriver:
        bought = self._bought.get(job.id)
        purchase = bought[0] if bought is not None else Purchase.of_job(job, self._services.offers())
        driver = JobDriver(
            job, purchase, self._services, target=self._target, refuge=self._refuge, candidates=self._candidates,
            report=self._tell,
        )  # fmt: skip
        self.drivers[job.id] = driver
        return driver

    async def _see_through(self, job: Job) -> None:
        """Take a job to its end, or look on while somebody else does. It may end in `unknown`, where nobody can tell.

        Raises:
            VidorchError: it stays open, and why.
        """
        while State(job.state) not in ENDS:
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
                if State(job.state) in ENDS:
                    break
            driver = self.drivers.get(job.id) or self._driver(job)
            if job.id in self._asked_to_stop:
                driver.was_asked_to_stop(self._asked_to_stop[job.id])
            elif self._cancelled or job.id in self._called_off:
                with contextlib.suppress(VidorchError):
                    await driver.cancel()
            try:
                await driver.drive()
            except Overtaken as lost:
                self.drivers.pop(job.id, None)
                job = lost.job
                continue
            except VidorchError:
                self._jobs[job.id] = driver.job
                await self._release_job(driver.job)
                raise
            job = driver.job
            self._outputs += driver.outputs
            self._notes += driver.notes
            self._retry_after[job.id] = driver.retry_after
            break
        self._jobs[job.id] = job
        if job.state == State.SETTLED and not any(row["job_id"] == job.id for row in self._outputs):
            rows = await in_thread(self._ledger.outputs, self.id)  # somebody else brought them
            self._outputs += [row for row in rows if row["job_id"] == job.id]

    async def _look_on(self, job: Job) -> Job:
        await self._clock.sleep(LOOK_EVERY)
        return await self._read(job.id)

    async def _read(self, job_id: str) -> Job:
        job = await in_thread(self._ledger.job, job_id)
        assert job is not None
        self._jobs[job_id] = job
        self._tell(job, job.stage or job.state, job.progress, None)
        return job

    async def _take(self, job: Job) -> Job | None:
        """Take over a job whose owner is gone. None: somebody else was first.

        Raises:
            MissingCredentials: this process cannot speak for it; it is left as it is.
        """
        services, now = self._services, self._clock.now()
        state = State(job.state)
        try:
            if (
                state in BEFORE_SENDING or not job.outlives_caller
            ):  # nothing left, or what worked on it is gone
                ended = await written(self._ledger.move(job, State.ABANDONED, now, changes={"charged": 0}))
                await in_thread(sweep, dict(self._row), job, self._target, self._refuge)
                return ended
            purchase = Purchase.of_job(job, services.offers())
            if not services.may_speak_for(job, purchase):
                variables = " or ".join(purchase.offer.variables)
                raise MissingCredentials(
                    f"The job {job.id} of scope {job.scope!r} at {job.endpoint} was left as it is: its credential is not here.",
                    hint=f"Set {variables}, or resume it where that is set.", variable=purchase.offer.variables[0],
                    run_id=job.run_id, job_id=job.id, remote_id=job.remote_id, charged=None,
                )  # fmt: skip
            await in_thread(sweep, dict(self._row), job, self._target, self._refuge)
            host = services.host
            return await written(
                self._ledger.take(job, host.owner, host.name, host.process, now + LEASE, now)
            )
        except MovedMeanwhile:
            return None

    def _tell(self, job: Job, stage: str, fraction: float | None, eta: float | None) -> None:
        for candidate in range(job.candidate, min(job.candidate + job.samples, self._candidates)):
            self._board.report(candidate, job.state, stage, fraction, eta)

    # -- closing --------------------------------------------------------------------------------------------------------

    def _questions(self) -> list[SubmissionUnknown]:
        """One clear word for every submit that nobody can tell about."""
        return [
            SubmissionUnknown(
                f"Whether {job.endpoint}/{job.model} accepted the job {job.id} is not known: "
                f"{job.error_text or 'no answer came'} It is not sent again; its {job.estimate_high} USD stay reserved."
                + (f" It may be one of: {', '.join(job.possible_ids)}." if job.possible_ids else ""),
                hint=f"vidorch jobs resume {self.id} looks for it again; vidorch jobs adopt {job.id} ID, or "
                f"vidorch jobs settle {job.id}, closes it by hand.",
                possible_ids=job.possible_ids, run_id=self.id, job_id=job.id, provider=job.provider, code=job.error_code,
            )
            for job in self._jobs.values()
            if job.state == State.UNKNOWN
        ]  # fmt: skip

    async def _close_books(self, without_clip: str = "failed") -> None:
        """Choose among what came, hand it over, and end the run; or leave it open for what is still to come."""
        if any(State(job.state) not in ENDS for job in self._jobs.values()):
            await self._release()
            return
        if self._waits():
            await written(
                self._ledger.set_run(
                    self.id,
                    self._clock.now(),
                    owner=self._services.host.owner,
                    state="waiting",
                    notes=as_json(self._notes),
                )
            )
            await self._release()
            return
        cancelled = self._cancelled or any(job.state == State.CANCELLED for job in self._jobs.values())
        await self._end("cancelled" if cancelled else without_clip)

    async def _end(self, without_clip: str) -> None:
        chosen = await self._choose()
        self._chosen = chosen["id"] if chosen is not None else None
        handed_over = {}
        if chosen is not None and self._target.named is not None and self._candidates > 1:
            handed = await in_thread(hand_over, self.id, Path(chosen["uri"]), self._target)
            self._notes += [handed.note] if handed.note else []
            handed_over = {"output": handed.uri}
            self._row = {**self._row, **handed_over}
        await written(
            self._ledger.end_run(
                self.id,
                "finished" if chosen else without_clip,
                self._clock.now(),
                chosen_output=self._chosen,
                notes=as_json(list(dict.fromkeys(self._notes))),
                **handed_over,
            )
        )

    async def _choose(self) -> Mapping[str, Any] | None:
        """The output to hand over: the first, unless a selection says otherwise. What it says of each is noted."""
        rows, clips = clips_of(self._now(), self._jobs.values(), self._outputs)
        select = self.asked.call.select if self.asked is not None else self._row["options"].get("select")
        if (
            len(rows) < 2
            or select in (None, "first")
            or (isinstance(select, str) and select not in SELECTORS)
        ):
            return rows[0] if rows else None
        from vidorch.selection import select_from

        try:
            image: Any = self.asked.request.image if self.asked is not None else None
            selection = await in_thread(select_from, select, clips, image=image)
        except VidorchError as error:
            self._notes.append(f"The first clip was taken, since the selection failed: {error.message}")
            return rows[0]
        self._notes += selection.notes
        said = zip(rows, selection.reports, strict=True)
        scores = {row["id"]: report.to_dict() for row, report in said if report is not None}
        self._ledger.score(scores)
        self._outputs = [{**row, "scores": scores.get(row["id"])} for row in self._outputs]
        chosen: Mapping[str, Any] = rows[selection.chosen]
        return chosen

    def _now(self) -> dict[str, Any]:
        """The run's row as far as a result needs it."""
        return {**self._row, "chosen_output": self._chosen, "notes": list(dict.fromkeys(self._notes))}

    async def _result(self, more: Sequence[VidorchError]) -> Result:
        if self.asked is None:
            return await in_thread(read_result, self._ledger, self.id, more)
        jobs = sorted(self._jobs.values(), key=lambda job: (job.candidate, job.attempt))
        return result_of({**self._now(), "estimate": self.asked.estimate}, jobs, self._outputs, more)

    async def _release(self) -> None:
        with contextlib.suppress(VidorchError):
            await written(
                self._ledger.release(
                    self._services.host.owner, self._clock.now(), job_ids=list(self._jobs), run_ids=[self.id]
                )
            )

    async def _release_job(self, job: Job) -> None:
        with contextlib.suppress(VidorchError):
            await written(
                self._ledger.release(
                    self._services.host.owner, self._clock.now(), job_ids=[job.id], run_ids=[]
                )
            )


async def all_of(*works: Coroutine[Any, Any, None]) -> None:
    """Run them side by side, every one to its end: also when one fails, and when this is cancelled.

    (`asyncio.gather` returns with the first that was cancelled, while others may still be writing down what was paid for.)
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    cancelled: asyncio.CancelledError | None = None
    if tasks:
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    problems = [task.exception() for task in tasks if not task.cancelled()]
    for problem in problems:
        if problem is not None:
            raise problem
    if cancelled is not None:
        raise cancelled
