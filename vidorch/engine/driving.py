"""One job's life, from `reserved` to its end, along the table of moves; taken up at any state, by whoever owns it.

The provider does one thing at a time and decides nothing; each step is in the ledger before the next one is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from vidorch.contract import (
    Accepted,
    Cancelled,
    Clock,
    Context,
    Done,
    Failed,
    Progress,
    Rejected,
)
from vidorch.engine.costing import Cost, cost_of_clips, cost_of_end, shares
from vidorch.engine.fetching import Brought, Porter
from vidorch.engine.hosts import LEASE
from vidorch.engine.purchase import Purchase
from vidorch.engine.seeking import seek
from vidorch.engine.services import Services
from vidorch.engine.targets import Target
from vidorch.errors import (
    BadMedia,
    LedgerUnavailable,
    ProviderFailed,
    Refused,
    TimedOut,
    VidorchError,
)
from vidorch.frozen import changed
from vidorch.ledger.ledger import Claimed, MovedMeanwhile
from vidorch.ledger.moves import BEFORE_SENDING, ENDS, State, find_move
from vidorch.money import to_micros
from vidorch.offloop import in_thread, written
from vidorch.polling import after_lost_poll, deadline_after
from vidorch.result import Job, Timings

__all__ = ["JobDriver", "Overtaken", "unless_cancelled_first"]

TOUCH_EVERY = 2.0
LIFETIME = 7 * 86_400.0
"""Seconds that an unclear or unfinished job is kept open where its vendor does not say how long results last."""
WRITES_AGAIN = 6
SUBMIT_SECONDS = 900.0
SECRET = 6
"""Letters that a credential has at least."""
T = TypeVar("T")
Report = Callable[[Job, str, "float | None", "float | None"], None]
"""(job, stage, fraction, eta)"""


class Overtaken(Exception):
    """Somebody else drives this job by now. Nothing was done twice; whoever is told looks on."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.id)
        self.job = job


@dataclass
class Stopwatch:
    """Measures the stages of a job on the monotonic clock."""

    clock: Clock
    started: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.started = self.clock.monotonic()

    def lap(self, stage: str) -> None:
        """Count the time since the last lap towards `stage`."""
        now = self.clock.monotonic()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.started
        self.started = now


@dataclass(frozen=True, slots=True)
class _Riding:
    """A step that was not waited for: it rides with the next commit."""

    future: Future[Job]
    target: State
    at: float
    changes: dict[str, Any]


class JobDriver:
    """Drives one job. Made by the run that owns it, used once.

    Args:
        job: as the ledger has it, and ours. target: where its clips go; refuge: where they go when that fails.
        candidates: of the whole run. report: told about every step, for progress displays.

    Attributes:
        error: why it gave no clip, as the provider said it. retry_after: seconds after which the vendor would take the same
            submit again; None when a repeat makes no sense. notes: for people.
    """

    def __init__(
        self, job: Job, purchase: Purchase, services: Services, *, target: Target, refuge: Target, candidates: int, report: Report
    ) -> None:  # fmt: skip
        self.job = job
        self.error: VidorchError | None = None
        self.retry_after: float | None = None
        self.notes: list[str] = []
        self.outputs: list[dict[str, Any]] = []
        self.submitted = asyncio.Event()
        """Set once the submission is accepted, unknown, or ended without being."""
        self._purchase = purchase
        self._services = services
        self._ledger = services.ledger
        self._clock = services.clock
        self._provider = services.provider_of(job.provider)
        self._target = target
        self._refuge = refuge
        self._candidates = candidates
        self._report = report
        self._watch = Stopwatch(services.clock)
        self._cancelled = False
        self._asked_to_stop = False
        self._answer: Cancelled | None = None
        self._on_disk = job
        self._riding: list[_Riding] = []
        self._accepted = _accepted_of(job)
        self._fraction = job.progress
        self._touched = services.clock.now()
        self._last_trouble = ""
        self._secret: str | None = None
        self._p99: float | None = None
        self._slots: asyncio.Semaphore | None = None
        self._polls = job.polls

    def _clean(self, error: VidorchError) -> VidorchError:
        """The error without the credential of the moment, should the vendor have said it back to us."""
        secret = self._secret
        if secret and len(secret) >= SECRET and secret in error.message:
            error.args = (error.message.replace(secret, "***"), *error.args[1:])
        return error

    def _context(self) -> Context:
        context = self._services.context(self.job, self._purchase, self._refuge.folder)
        self._secret = context.secret
        return context

    async def drive(self) -> None:
        """Take the job to its end, from wherever it is. Ends are moves in the ledger; errors are kept there, not raised.

        A job whose submit stayed without an answer, and that cannot be found, is left in `unknown`.

        Raises:
            TimedOut: its deadline passed; the job stays open.
            Overtaken: somebody else drives it by now.
            VidorchError: its result could not be fetched or written; the job stays open.
            LedgerUnavailable: the ledger could not be written; the job is wherever it was last seen.
        """
        try:
            if State(self.job.state) in BEFORE_SENDING and not await self._send():
                return
            if (
                self.job.state == State.SENDING
            ):  # found like this: whoever sent it is gone, and its answer with them
                await self._move(
                    State.UNKNOWN, error_text="The process that sent it ended before an answer came."
                )
            self.submitted.set()
            if self.job.state == State.UNKNOWN and not await self._find():
                return
            if State(self.job.state) not in ENDS:
                done = await self._wait_until_done()
                self._free_slot()
                if done is not None and self.job.outlives_caller:
                    await self._collect(done)
                elif done is not None:
                    # Worker threads cannot be cancelled: what is nearly a clip becomes one.
                    await unless_cancelled_first(self._collect(done))
        finally:
            self._free_slot()
            self.submitted.set()

    async def cancel(self) -> None:
        """Ask for its end: at once before anything was sent, at the vendor after that, and there only once.

        Raises:
            VidorchError: the provider could not be asked, or cannot cancel; the job goes on.
        """
        self._cancelled = True
        await self._stop_at_vendor()

    def was_asked_to_stop(self, answer: Cancelled | None) -> None:
        """The vendor was asked already, before this driver was made."""
        self._cancelled, self._asked_to_stop, self._answer = True, True, answer

    async def _stop_at_vendor(self) -> None:
        if self._accepted is None or self._asked_to_stop:
            return
        if State(self.job.state) not in (State.ACCEPTED, State.RUNNING):
            return
        # Asked once: at some vendors the same call made on a finished job deletes its result.
        self._asked_to_stop = True
        self._answer = await self._provider.cancel(self._context(), self._accepted)

    async def leave(self) -> None:
        """The process lets go: work that cannot outlive it is written down as abandoned, and cost nothing."""
        state = State(self.job.state)
        if state in ENDS or not (state in BEFORE_SENDING or not self.job.outlives_caller):
            return
        with contextlib.suppress(VidorchError):
            await self._stop_at_vendor()
        with contextlib.suppress(MovedMeanwhile, Overtaken):
            await self._move(State.ABANDONED, charged=0)

    # -- the way there ----------------------------------------------------------------------------------------------

    async def _send(self) -> bool:
        purchase = self._purchase
        assert purchase.request is not None  # what nobody can submit is never driven from here
        if self.job.state == State.RESERVED:
            await self._move(State.UPLOADING)
        try:
            prepared = await self._provider.prepare(self._context(), purchase.request, purchase.offer)
        except Rejected as rejected:
            self.retry_after = rejected.retry_after
            await self._end(State.REJECTED, rejected.cause)
            return False
        except Exception as error:
            await self._end(State.REJECTED, _typed(error, self.job.provider, sent=False))
            return False
        self._watch.lap("upload")
        # Read now: between the vendor's answer and its id on disk there is to be nothing that can fail.
        self._p99 = _p99(await self._services.latencies(purchase.offer, self.job.task))
        slots = self._services.slots(self._services.endpoint(self.job.endpoint, self.job.provider))
        await slots.acquire()
        self._slots = slots
        self._watch.lap("wait")
        if self._cancelled:
            await self._end(State.CANCELLED, None)
            return False
        # From here until the vendor's id is on disk nobody may interrupt: a paid job without a written id is lost.
        return await unless_cancelled_first(self._submit(prepared))

    def _free_slot(self) -> None:
        """Let the next in line go: the vendor works on this one no more."""
        if self._slots is not None:
            self._slots.release()
            self._slots = None

    async def _submit(self, prepared: Any) -> bool:
        """Send it, once. True when it is accepted or unknown: there is something to look for."""
        try:
            context = (
                self._context()
            )  # asks for the credential, which may fail: before anything is said to be on its way
        except Exception as error:
            await self._end(State.REJECTED, _typed(error, self.job.provider, sent=False))
            return False
        await self._move(State.SENDING, lease_until=self._clock.now() + LEASE)
        try:
            async with asyncio.timeout(
                SUBMIT_SECONDS
            ):  # in real time: an adapter that hangs must not hold a closing client
                accepted = await self._provider.submit(context, prepared)
        except Rejected as rejected:
            self.retry_after = rejected.retry_after
            await self._end(
                State.REFUSED if isinstance(rejected.cause, Refused) else State.REJECTED, rejected.cause
            )
            return False
        except (Exception, asyncio.CancelledError) as error:  # cancelled: the loop itself goes down
            if not self.job.outlives_caller:  # in our own process an exception is a clear answer
                await self._end(State.REJECTED, _typed(error, self.job.provider, sent=False))
                return False
            self.error = self._clean(_typed(error, self.job.provider, sent=True))
            await self._move(State.UNKNOWN, error=type(self.error).__name__, error_code=self.error.code,
                             error_text=str(self.error), request_id=self.error.request_id)  # fmt: skip
            return True
        await self._accept(accepted)
        return True

    async def _accept(self, accepted: Accepted) -> None:
        """Get the vendor's id on disk, whatever it takes: it is the only way to what was paid for."""
        now = self._clock.now()
        offer = self._purchase.offer
        changes: dict[str, Any] = {
            "remote_id": accepted.remote_id,
            "details": json.dumps(dict(accepted.details), default=str),
            "deadline": deadline_after(offer, now, self._p99),
            "owner": self._services.host.owner,
            "lease_until": now + LEASE,
        }
        if accepted.quote is not None:
            changes["quote"] = to_micros(accepted.quote, up=True)
        delay = 0.25
        for left in reversed(range(WRITES_AGAIN)):
            try:
                await self._move(State.ACCEPTED, **changes)
                break
            except (
                Claimed
            ):  # another job of ours was found under this id first: this one's is still to be found
                if self.job.state == State.SENDING:
                    said = "Its id at the vendor was claimed by an equal job of ours."
                    await self._move(State.UNKNOWN, error_text=said)
                return
            except LedgerUnavailable as error:
                if not left:
                    raise self._id_is_homeless(accepted, error) from error
                await asyncio.sleep(delay)  # the disk's time, not the job's
                delay *= 2
        self._accepted = accepted
        self._watch.lap("queue")

    def _id_is_homeless(self, accepted: Accepted, error: LedgerUnavailable) -> LedgerUnavailable:
        return LedgerUnavailable(
            f"{self.job.provider} accepted the job {self.job.id} as {accepted.remote_id}, and the ledger cannot be written: "
            f"{error.message}",
            hint=f"It is paid for. Once the ledger can be written again: vidorch jobs adopt {self.job.id} {accepted.remote_id}",
            charged=True, run_id=self.job.run_id, job_id=self.job.id, remote_id=accepted.remote_id, provider=self.job.provider,
        )  # fmt: skip

    async def _find(self) -> bool:
        """Look for a submit whose answer was lost. True once it is accepted."""
        if self._is_over_for_good():
            await self._lose("It was not found within the time that the vendor keeps results.")
            return False
        async for found in seek(self.job, self._purchase, self._services, self._provider, self._context):
            if isinstance(found, tuple):
                self._ledger.touch(self.job, self._clock.now(), possible_ids=json.dumps(found))
                self.job = changed(self.job, possible_ids=found)
                continue
            await self._accept(found)
            if self.job.state == State.ACCEPTED:
                return True
        return False

    # -- waiting ----------------------------------------------------------------------------------------------------

    async def _wait_until_done(self) -> Done | None:
        """Poll until there is something to fetch. None: it ended without a clip, and that is written down."""
        assert self._accepted is not None
        offer, task, lost = self._purchase.offer, self.job.task, 0
        schedule = await self._services.schedule(offer, task)
        if self._p99 is None:
            self._p99 = _p99(await self._services.latencies(offer, task))
        began = self._clock.now()
        accepted_at = self.job.accepted_at or began
        # Whoever takes a job up gives it as much time again as one that has just begun.
        deadline = max(self.job.deadline or 0.0, deadline_after(offer, began, self._p99))
        if self.job.outlives_caller and began - accepted_at < 1.0:
            await self._clock.sleep(schedule.first())
        while True:
            if self._cancelled:
                with contextlib.suppress(VidorchError):  # what cannot be cancelled goes on to its end
                    await self._stop_at_vendor()
            self._polls += 1
            try:
                found = await self._provider.poll(self._context(), self._accepted)
                lost = 0
            except Exception as error:  # a lost look says nothing about the job
                lost += 1
                self._last_trouble = str(error) or type(error).__name__
                found = Progress("running", self._fraction)
            if isinstance(found, Done):
                self._watch.lap("run")
                self._services.took(offer, task, self._clock.now() - accepted_at)
                if not found.outputs:
                    await self._end_without_output(found)
                    return None
                if self.job.state != State.DOWNLOADING:
                    await self._move(State.DOWNLOADING)
                return found
            if isinstance(found, Failed):
                self._watch.lap("run")
                await self._end_as_failed(found)
                return None
            if found.stage == "running" and self.job.state == State.ACCEPTED and not lost:
                self._watch.lap("queue")
                await self._move(State.RUNNING)
            self._tell(found)
            now = self._clock.now()
            if now > deadline:
                if await self._give_up_waiting():
                    return None
                raise self._too_late(now - accepted_at)
            await self._clock.sleep(
                after_lost_poll(offer, lost) if lost else schedule.next(now - accepted_at, found)
            )

    async def _give_up_waiting(self) -> bool:
        """Whether the job is over: nobody could take it up again, or the vendor keeps nothing any more."""
        if not self.job.outlives_caller:
            with contextlib.suppress(VidorchError):
                await self._stop_at_vendor()
            await self._end(State.FAILED, self._too_late(0))
            return True
        if self._is_over_for_good():
            await self._lose("No end of it was seen within the time that the vendor keeps results.")
            return True
        return False

    def _is_over_for_good(self) -> bool:
        since = self.job.deadline or self.job.sending_at or self.job.created_at
        return self._clock.now() > since + (self._purchase.offer.result_lifetime or LIFETIME)

    async def _lose(self, why: str) -> None:
        lost = ProviderFailed(
            f"{why} It is booked at the {self._purchase.high} USD that were reserved.",
            hint=f"When you know what it cost: vidorch jobs settle {self.job.id} --charged USD (or --not-charged)",
            charged=None, run_id=self.job.run_id, job_id=self.job.id, remote_id=self.job.remote_id, provider=self.job.provider,
        )  # fmt: skip
        await self._end(State.LOST, lost, Cost(self._purchase.high, "assumed", None))

    def _too_late(self, seconds: float) -> TimedOut:
        goes_on = self.job.outlives_caller
        minutes = f" {seconds / 60:.0f} minutes after it was accepted" if seconds else " within its time"
        trouble = f" The last look at it failed: {self._last_trouble}." if self._last_trouble else ""
        return TimedOut(
            f"The job {self.job.id} has not finished{minutes}.{trouble} {'It stays open.' if goes_on else 'It was stopped.'}",
            hint=f"Look for it again with: vidorch jobs resume {self.job.run_id}" if goes_on else "",
            charged=None if goes_on else False,
            run_id=self.job.run_id, job_id=self.job.id, remote_id=self.job.remote_id, provider=self.job.provider,
        )  # fmt: skip

    # -- the way home -----------------------------------------------------------------------------------------------

    async def _collect(self, done: Done) -> None:
        """Fetch, check and publish every output, then settle."""
        assert self._accepted is not None
        porter = Porter(
            self._provider, self._context, self._purchase, self._target, self._refuge, self._candidates, self._services.ids.new,
            self._clock,
        )  # fmt: skip
        brought: list[Brought] = []
        bad: list[BadMedia] = []
        for output in done.outputs:
            try:
                brought.append(await porter.bring(self.job, self._accepted, output))
            except BadMedia as error:  # one of several may be spoilt; the others are clips all the same
                bad.append(error)
            except Exception as error:
                typed = self._not_brought_home(error)
                if not self.job.outlives_caller:
                    await self._end(State.FAILED, typed)
                    return
                if self._is_over_for_good():
                    await self._lose(f"Its result cannot be fetched any more ({typed.message}).")
                    return
                raise typed from error  # the result is still at the vendor: the job stays open for another look
        self._watch.lap("download")
        if not brought:
            cost = self._cost_of_end("failed", done.cost, None, sure=False)
            bad[0].charged = cost.charged if cost is not None else False
            await self._end(State.FAILED, bad[0], cost)
            return
        await self._settle(done, brought, bad)

    async def _settle(self, done: Done, brought: list[Brought], bad: list[BadMedia]) -> None:
        cost = self._cost(done, len(brought) + len(bad))  # what came spoilt was made all the same
        rows = [one.row for one in brought]
        now = self._clock.now()
        for row, share in zip(rows, shares(cost.usd, len(rows)), strict=True):
            row |= {"cost": share, "created_at": now}
        withheld = done.filter_reasons or tuple("withheld by policy" for _ in range(done.filtered))
        reasons = [*withheld, *(str(error) for error in bad)]
        notes = [*done.notes, *(one.published.note for one in brought if one.published.note)]
        self.notes += notes
        data = {name: value for name, value in (("notes", notes), ("withheld", reasons)) if value}
        try:
            await self._move(
                State.SETTLED,
                made=rows,
                cost=cost.usd,
                note=data or None,
                cost_basis=cost.basis,
                charged=None if cost.charged is None else int(cost.charged),
                progress=1.0,
                polls=self._polls,
                error_text="; ".join(reasons) or None,
                timings=self._timings(dict(done.timings)),
            )
        except Overtaken:
            await in_thread(self._withdraw, brought)
            raise
        self.outputs = rows

    def _withdraw(self, brought: list[Brought]) -> None:
        """Take back what nobody's row speaks of: the other owner published its own."""
        kept = {row["uri"] for row in self._ledger.outputs(self.job.run_id)}
        for one in brought:
            if one.published.uri not in kept:
                with contextlib.suppress(Exception):
                    self._target.withdraw(one.published)

    async def _end_without_output(self, done: Done) -> None:
        """Everything that was made is withheld, or nothing was made at all; what it cost is booked all the same."""
        provider = self.job.provider
        how, target = ("refused_output", State.REFUSED) if done.filtered else ("failed", State.FAILED)
        cost = self._cost_of_end(how, done.cost, None)
        charged = cost.charged if cost is not None else False
        if done.filtered:
            why = "; ".join(done.filter_reasons) or "the vendor gave no reason"
            error: VidorchError = Refused(
                f"{done.filtered} made and withheld by policy: {why}", stage="output", charged=charged, provider=provider
            )  # fmt: skip
        else:
            error = ProviderFailed("The job ended without any output.", charged=charged, provider=provider)
        await self._end(target, error, cost)

    async def _end_as_failed(self, failed: Failed) -> None:
        error = failed.error
        if failed.cancelled:
            how, target = "cancelled", State.CANCELLED
            said = (
                error.charged
                if self._answer is None or self._answer.charged is None
                else self._answer.charged
            )
        elif isinstance(error, Refused):
            how, target, said = f"refused_{error.stage}", State.REFUSED, error.charged
        else:
            how, target, said = "failed", State.FAILED, error.charged
        cost = self._cost_of_end(how, failed.cost, said)
        error.charged = cost.charged if cost is not None else bool(said)
        await self._end(target, error, cost)

    def _cost_of_end(
        self, how: str, reported: Decimal | None, charged: bool | None, *, sure: bool = True
    ) -> Cost | None:
        """None where it cost nothing that is money: one's own hardware is not billed for failures."""
        if not self.job.billed:
            return None
        return cost_of_end(self._purchase, how, reported=reported, charged=charged, sure=sure)

    def _cost(self, done: Done, made: int) -> Cost:
        """What a finished job really cost, and how that is known."""
        if self._purchase.offer.price.rule == "free":
            rate = self._services.endpoint(self.job.endpoint, self.job.provider).usd_per_hour or Decimal(0)
            hours = Decimal(str(round(self._watch.seconds.get("run", 0.0), 3))) / 3600
            return Cost(rate * hours, "imputed", bool(self.job.billed and rate))
        return cost_of_clips(self._purchase, reported=done.cost, made=made, withheld=done.filtered)

    def _not_brought_home(self, error: Exception) -> VidorchError:
        where: dict[str, Any] = {
            "run_id": self.job.run_id,
            "job_id": self.job.id,
            "remote_id": self.job.remote_id,
        }
        stays = self.job.outlives_caller
        again = f"The vendor still has it: vidorch jobs resume {self.job.run_id}" if stays else ""
        charged = None if self.job.billed else False
        if isinstance(error, OSError) and not isinstance(error, VidorchError):
            return ProviderFailed(
                f"The clip was made but could not be written: {error.strerror or error}"
                f"{f' ({error.filename})' if error.filename else ''}.",
                hint=f"Make room, or choose another place with output= or VIDORCH_HOME. {again}".rstrip(),
                charged=charged, **where,
            )  # fmt: skip
        if not stays:
            return _typed(error, self.job.provider, sent=False)
        return ProviderFailed(
            f"The clip was made but could not be fetched: {error}", hint=again, charged=charged,
            provider=self.job.provider, **where,
        )  # fmt: skip

    def _timings(self, details: dict[str, float]) -> str:
        return json.dumps(Timings(**self._watch.seconds, details=details).to_dict())

    # -- small steps ------------------------------------------------------------------------------------------------

    def _tell(self, found: Progress) -> None:
        if found.fraction is not None:  # vendors sometimes count backwards; people should not see that
            self._fraction = max(self._fraction or 0.0, min(found.fraction, 1.0))
        now = self._clock.now()
        if now >= self._touched + TOUCH_EVERY:  # renews the lease, and lets other processes see how far it is
            self._touched = now
            self._ledger.touch(
                self.job,
                now,
                lease_until=now + LEASE,
                polls=self._polls,
                progress=self._fraction,
                stage=found.detail or found.stage,
            )
        self._report(self.job, found.detail or found.stage, self._fraction, found.eta)

    async def _move(
        self, target: State, *, made: list[dict[str, Any]] | None = None, cost: Decimal | None = None,
        note: dict[str, Any] | None = None, **changes: Any,
    ) -> None:  # fmt: skip
        at = self._clock.now()
        step = find_move(State(self.job.state), target)
        if step is not None and not step.waits:
            future = self._ledger.move(
                self.job, target, at, changes=changes, cost=cost, made=made or (), note=note
            )
            future.add_done_callback(
                lambda done: done.exception()
            )  # looked at below, by the next step that waits
            self._riding.append(_Riding(future, target, at, changes))
            self.job = changed(self.job, state=target.value, version=self.job.version + 1, updated_at=at)
        else:
            await self._move_and_wait(target, at, made or [], cost, note, changes)
            self._on_disk, self._riding = self.job, []
        self._report(self.job, self.job.state, self._fraction, None)

    async def _move_and_wait(
        self, target: State, at: float, made: list[dict[str, Any]], cost: Decimal | None, note: dict[str, Any] | None,
        changes: dict[str, Any],
    ) -> None:  # fmt: skip
        def attempt() -> Future[Job]:
            return self._ledger.move(self.job, target, at, changes=changes, cost=cost, made=made, note=note)

        try:
            self.job = await written(attempt())
        except MovedMeanwhile:
            if not await self._caught_up():
                self.job = await self._as_it_is_now(target)
            self.job = await written(attempt())

    async def _as_it_is_now(self, target: State) -> Job:
        """The job as somebody else left it, if our step may still be made from there: a lost race for a reply that we hold.

        Raises:
            Overtaken: it is theirs.
        """
        now = await in_thread(self._ledger.job, self.job.id)
        ours = now is not None and now.owner == self._services.host.owner
        if now is None or State(now.state) in ENDS:
            raise Overtaken(now or self.job)
        # Taken for lost while we slept: it is `unknown` to them, and we know. An answer in hand is worth more than a lease.
        knows = self.job.state == State.SENDING and now.state == State.UNKNOWN and target is not State.UNKNOWN
        if not (ours or knows) or find_move(State(now.state), target) is None:
            raise Overtaken(now)
        return now

    async def _caught_up(self) -> bool:
        """Make the steps again that rode with a commit which failed. False: nothing of that kind happened."""
        if not any(isinstance(riding.future.exception(), LedgerUnavailable) for riding in self._riding):
            return False
        self.job = self._on_disk
        for riding in self._riding:
            if riding.future.exception() is None:
                self.job = riding.future.result()
                continue
            again = self._ledger.move(self.job, riding.target, riding.at, changes=riding.changes)
            await in_thread(self._ledger.flush)
            self.job = await written(again)
        return True

    async def _end(self, target: State, error: VidorchError | None, cost: Cost | None = None) -> None:
        """Make the move that ends the job. Where the table has no such end from here, it failed."""
        self.error = error = None if error is None else self._clean(error)
        changes: dict[str, Any] = {"timings": self._timings({})}
        if cost is not None:
            changes["cost_basis"] = cost.basis
        if error is not None:
            changes |= {
                "error": type(error).__name__,
                "error_code": error.code,
                "error_stage": getattr(error, "stage", None),
                "error_text": str(error),
                "charged": None if error.charged is None else int(error.charged),
                "request_id": error.request_id,
            }
        if find_move(State(self.job.state), target) is None:
            target = State.FAILED
        await self._move(
            target,
            cost=cost.usd if cost is not None and (cost.usd or cost.basis == "reported") else None,
            **changes,
        )


async def unless_cancelled_first(step: Coroutine[Any, Any, T]) -> T:
    """Run `step` to its end even when the caller is cancelled meanwhile; then let the cancellation through.

    What `step` raises goes before: that an id could not be written down must not be lost in a cancellation.
    """
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error from None
        raise


def _accepted_of(job: Job) -> Accepted | None:
    return None if job.remote_id is None else Accepted(job.remote_id, job.quote, dict(job.details))


def _p99(latencies: Any) -> float | None:
    if len(latencies) < 5:
        return None
    ordered = sorted(latencies)
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))])


def _typed(error: BaseException, provider: str, *, sent: bool) -> VidorchError:
    if isinstance(error, VidorchError):
        return error
    text = (
        f"{provider} failed: {type(error).__name__}: {error}"
        if str(error)
        else f"{provider} failed: {type(error).__name__}"
    )
    wrapped = ProviderFailed(text, charged=None if sent else False, provider=provider)
    wrapped.__cause__ = error
    return wrapped
