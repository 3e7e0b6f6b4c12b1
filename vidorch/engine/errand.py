"""One job under way: where it is in the ledger, how it gets one step further there, and what every part of its life needs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from vidorch.contract import Accepted, Cancelled, Clock, Context, Progress
from vidorch.doors import speaks_of_account
from vidorch.engine.costing import Cost, cost_of_hours
from vidorch.engine.hosts import LEASE
from vidorch.engine.kept import kept_of
from vidorch.engine.masking import mask
from vidorch.engine.purchase import Purchase
from vidorch.engine.services import Services
from vidorch.engine.telemetry import JobSpan
from vidorch.errors import LedgerUnavailable, ProviderFailed, VidorchError
from vidorch.frozen import changed
from vidorch.ledger.ledger import MovedMeanwhile
from vidorch.ledger.moves import ENDS, State, find_move
from vidorch.ledger.slots import Account
from vidorch.money import show_usd
from vidorch.offloop import in_thread, written
from vidorch.result import Job, Timings

__all__ = ["Errand", "Overtaken", "Report", "typed"]

E = TypeVar("E", bound=BaseException)

TOUCH_EVERY = 2.0
LIFETIME = 7 * 86_400.0
"""Seconds that an unclear or unfinished job is kept open where its vendor does not say how long results last."""
RACES = 5
"""How often a step is tried that others were faster than: a lease taken, a job called unknown, one more owner."""
Report = Callable[[Job, str, "float | None", "float | None"], None]
"""(job, stage, fraction, eta)"""


class Overtaken(Exception):
    """Somebody else drives this job by now. Nothing was done twice; whoever is told looks on."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.id)
        self.job = job


@dataclass
class Stopwatch:
    """Measures the stages of a job on the monotonic clock, and tells its span of each."""

    clock: Clock
    span: JobSpan
    started: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.started = self.clock.monotonic()

    def lap(self, stage: str) -> None:
        """Count the time since the last lap towards `stage`."""
        now = self.clock.monotonic()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.started
        self.started = now
        self.span.lap(stage)


@dataclass(frozen=True, slots=True)
class _Riding:
    """A step that was not waited for: it rides with the next commit."""

    future: Future[Job]
    target: State
    at: float
    changes: dict[str, Any]


class Errand:
    """A job that we drive, as far as it is known here.

    Args:
        job: as the ledger has it, and ours. folder: where temporary files may go.
        report: told about every step, for progress displays. span: told too, for whoever watches the whole system.

    Attributes:
        accepted: what the vendor said when it took the job, None before. error: why it gave no clip.
        cancelled: whether its end was asked for; answer: what its vendor said to that.
        watch: where the time went. fraction: 0 to 1, None while nothing is known. polls: how often it was looked at.
        p99: seconds that such a job takes at most, but for one in a hundred; None while too few are known.
        napping: the task that sleeps until the next look, None while none does. roused: whether that look is wanted sooner.
        heard: whether its vendor called, and nobody has looked since.
        unseen_since: when a look was due that nobody took, where it ended after that; None where it was seen to end.
    """

    def __init__(
        self, job: Job, purchase: Purchase, services: Services, *, folder: Path, report: Report, span: JobSpan
    ) -> None:
        self.job = job
        self.purchase = purchase
        self.services = services
        self.clock = services.clock
        self.ledger = services.ledger
        self.provider = services.provider_of(job.provider)
        self.accepted = _accepted_of(job)
        self.error: VidorchError | None = None
        self.cancelled = False
        self.answer: Cancelled | None = None
        self.span = span
        self.watch = Stopwatch(services.clock, span)
        self.fraction = job.progress
        self.polls = job.polls
        self.working_at: float | None = None
        self.unseen_since: float | None = None
        self.p99: float | None = None
        self.napping: asyncio.Task[Any] | None = None
        self.heard = False
        self.roused = False
        self._folder = folder
        self._report = report
        self._on_disk = job
        self._riding: list[_Riding] = []
        self._touched = services.clock.now()
        self._context: Context | None = None
        self._asked_to_stop = False

    # -- at the vendor ----------------------------------------------------------------------------------------------

    def context(self) -> Context:
        """What one call to the provider may use, with the credential of the moment."""
        self._context = self.services.context(self.job, self.purchase, self._folder, like=self._context)
        return self._context

    def clean(self, error: E) -> E:
        """The error without the credential of the moment, should somebody have said it back to us."""
        mask(error, None if self._context is None else self._context.secret)
        return error

    async def learn_latency(self) -> None:
        """Read `p99` from what the ledger knows of such jobs."""
        self.p99 = _p99(await self.services.latencies(self.purchase.offer, self.job.task))

    async def stop_at_vendor(self) -> None:
        """Ask the vendor to end it, where it has it and was not asked before.

        Raises:
            VidorchError: it could not be asked, or cannot cancel; the job goes on.
        """
        if self.accepted is None or self._asked_to_stop:
            return
        if self.job.state not in (State.ACCEPTED, State.RUNNING):
            return
        # Asked once: at some vendors the same call made on a finished job deletes its result.
        self._asked_to_stop = True
        try:
            self.answer = await self.provider.cancel(self.context(), self.accepted)
        except Exception as error:
            self.clean(error)
            raise

    def was_asked_to_stop(self, answer: Cancelled | None) -> None:
        """Somebody asked the vendor before this job was ours; it said `answer`, None when nothing is known of that."""
        self.cancelled, self._asked_to_stop, self.answer = True, True, answer

    def hear(self) -> None:
        """Its vendor called: look at once."""
        self.heard = True
        self.rouse()

    def rouse(self) -> None:
        """Have the next look sooner than it was planned."""
        if self.napping is not None and not self.roused:
            self.roused = True
            self.napping.cancel()  # a timer of its own for each sleep would cost as much as the look

    async def must_be_known_by_its_id(self) -> None:
        """Find out, where its vendor does not answer as it should, whether somebody put its id right meanwhile.

        Raises:
            Overtaken: somebody did.
        """
        now = await in_thread(self.ledger.job, self.job.id)
        if now is not None and now.remote_id != self.job.remote_id:
            raise Overtaken(now)

    # -- what it takes of one's own hardware --------------------------------------------------------------------------

    def worked_for(self) -> float:
        """Seconds that it was worked on: from when it was taken, whoever carried it then, until its result was there."""
        begun = self.job.running_at or self.job.accepted_at or self.job.sending_at
        if begun is None:
            return 0.0
        over = self.job.downloading_at or self.clock.now()
        if self.unseen_since is not None and not self.job.billed:  # nobody knows, and nobody pays for it
            over = self.unseen_since
        return max(over - begun, 0.0)

    def cost_of_hours(self, *, made: bool = True, said: float | None = None) -> Cost | None:
        """What that costs, where it is priced by hours of one's own hardware; None where it is not.

        Args:
            said: seconds of the work by the server's own word, which count where nobody saw it end.
        """
        if self.purchase.offer.price.rule != "hours":
            return None
        unseen = self.unseen_since is not None
        whole = "wait" in self.watch.seconds  # sent from here, so that its whole work was timed here
        seconds = self.watch.seconds.get("run", 0.0) if whole and not unseen else 0.0
        if unseen and said:
            seconds, unseen = said, False
        return cost_of_hours(
            self.purchase,
            self.services.hour(self.purchase.offer),
            seconds or self.worked_for(),
            billed=self.job.billed,
            made=made,
            sure=not unseen,
        )

    # -- how it ends ------------------------------------------------------------------------------------------------

    async def end(self, target: State, error: VidorchError | None, cost: Cost | None = None) -> None:
        """Make the move that ends the job. Where the table has no such end from here, it failed."""
        self.error = error = None if error is None else self.clean(error)
        changes: dict[str, Any] = {"timings": self.timings({})}
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
                "details": kept_of(self.job, error, await self._refused_credential(target, error)),
            }
        if find_move(self.job.state, target) is None:
            target = State.FAILED
        await self.move(
            target,
            cost=cost.usd if cost is not None and (cost.usd or cost.basis == "reported") else None,
            **changes,
        )

    async def _refused_credential(self, target: State, error: VidorchError) -> str | None:
        """What stands for the credential whose account was refused; None where that is not what ended it."""
        if self._context is None or target is not State.REJECTED or not speaks_of_account(error):
            return None
        return await self.services.doors.fingerprint(self._context.secret)

    def is_over_for_good(self) -> bool:
        """Whether its vendor keeps nothing of it any more."""
        since = self.job.deadline or self.job.sending_at or self.job.created_at
        return self.clock.now() > since + (self.purchase.offer.result_lifetime or LIFETIME)

    async def lose(self, why: str) -> None:
        """End it as lost, booked at what was reserved for it until a person says better."""
        job, high = self.job, self.purchase.high
        lost = ProviderFailed(
            f"{why} It is booked at the {show_usd(high)} that were reserved.",
            hint=f"When you know what it cost: vidorch jobs settle {job.id} --charged USD (or --not-charged)",
            charged=None, run_id=job.run_id, job_id=job.id, remote_id=job.remote_id, provider=job.provider,
        )  # fmt: skip
        await self.end(State.LOST, lost, Cost(high, "assumed", None))

    def timings(self, details: dict[str, float]) -> str:
        """Where the time went, as it is written down."""
        return json.dumps(Timings(**self.watch.seconds, details=details).to_dict())

    # -- steps in the ledger ----------------------------------------------------------------------------------------

    def note_look(self, due: float) -> None:
        """Note when it is looked at next: what is seen done long after that tells nobody how long it took."""
        self._touched = now = self.clock.now()
        self.ledger.touch(self.job, now, poll_at=due)

    def tell_stage(self, stage: str) -> None:
        """Tell whoever wants to hear what it is waiting for."""
        self._report(self.job, stage, self.fraction, None)

    def tell(self, found: Progress, due: float) -> None:
        """Note how far it is and when the next look is `due`, and tell whoever wants to hear."""
        if found.fraction is not None:  # vendors sometimes count backwards; people should not see that
            self.fraction = max(self.fraction or 0.0, min(found.fraction, 1.0))
        now = self.clock.now()
        # Renews the lease, and lets other processes see how far it is.
        if now >= self._touched + TOUCH_EVERY or due >= now + TOUCH_EVERY:
            self._touched = now
            self.ledger.touch(
                self.job,
                now,
                lease_until=now + LEASE,
                polls=self.polls,
                poll_at=due,
                progress=self.fraction,
                stage=found.detail or found.stage,
            )
        self._report(self.job, found.detail or found.stage, self.fraction, found.eta)

    async def move(
        self, target: State, *, made: list[dict[str, Any]] | None = None, cost: Decimal | None = None,
        note: dict[str, Any] | None = None, run_ends: Mapping[str, Any] | None = None, room: Account | None = None,
        **changes: Any,
    ) -> None:  # fmt: skip
        """Move the job by one step of the table, and wait for it to be on disk where the table says so.

        Args:
            made, cost, note, run_ends, room: as in `Ledger.move`. changes: further columns of the job.

        Raises:
            Overtaken: somebody else drives it by now. Claimed: its id at the vendor belongs to another job.
            LedgerUnavailable: it could not be written. NoRoom: the limits of `room` leave none.
        """
        at = self.clock.now()
        step = find_move(self.job.state, target)
        if step is not None and not step.waits:
            future = self.ledger.move(
                self.job, target, at, changes=changes, cost=cost, made=made or (), note=note
            )
            future.add_done_callback(
                lambda done: done.exception()
            )  # looked at below, by the next step that waits
            self._riding.append(_Riding(future, target, at, changes))
            self.job = changed(self.job, state=target.value, version=self.job.version + 1, updated_at=at)
        else:
            rest: dict[str, Any] = {
                "changes": changes, "cost": cost, "made": made or (), "note": note, "run_ends": run_ends, "room": room,
            }  # fmt: skip
            await self._move_and_wait(target, at, rest)
            self._on_disk, self._riding = self.job, []
        self.span.moved(self.job)
        self._report(self.job, self.job.state, self.fraction, None)

    async def _move_and_wait(self, target: State, at: float, rest: dict[str, Any]) -> None:
        # Who sent it knows what came of it, and still does when others moved the job twice before it could be written.
        knows = self.job.state == State.SENDING and target is not State.UNKNOWN

        def attempt() -> Future[Job]:
            return self.ledger.move(self.job, target, at, **rest)

        for left in reversed(range(RACES)):
            try:
                self.job = await written(attempt())
                return
            except MovedMeanwhile:
                if not left:
                    raise
                if not await self._caught_up():
                    self.job = await self._as_it_is_now(target, knows=knows)

    async def _as_it_is_now(self, target: State, *, knows: bool) -> Job:
        """The job as somebody else left it, if our step may still be made from there: a lost race for a reply that we hold.

        Raises:
            Overtaken: it is theirs.
        """
        now = await in_thread(self.ledger.job, self.job.id)
        ours = now is not None and now.owner == self.services.host.owner
        if now is None or now.state in ENDS:
            raise Overtaken(now or self.job)
        # Taken for lost while we slept: to them it is, or soon will be, `unknown`. An answer in hand is worth more than a lease.
        knows = knows and now.state in (State.SENDING, State.UNKNOWN)
        step = find_move(now.state, target)
        if not (ours or knows) or step is None or step.by_hand:
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
            again = self.ledger.move(self.job, riding.target, riding.at, changes=riding.changes)
            await in_thread(self.ledger.flush)
            self.job = await written(again)
        self._on_disk, self._riding = self.job, []
        return True


def _accepted_of(job: Job) -> Accepted | None:
    return None if job.remote_id is None else Accepted(job.remote_id, job.quote, dict(job.details))


def _p99(latencies: Any) -> float | None:
    if len(latencies) < 5:
        return None
    ordered = sorted(latencies)
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))])


def typed(error: BaseException, provider: str, *, sent: bool) -> VidorchError:
    """What a provider raised, as one of ours. `sent`: whether money may have been taken by then."""
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
