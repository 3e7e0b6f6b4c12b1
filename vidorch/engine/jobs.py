"""One job's life, from `reserved` to its end, along the table of moves.

The provider does one thing at a time and decides nothing; each step is in the ledger before the next one is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from vidorch.contract import (
    Accepted,
    Clock,
    Context,
    Done,
    Endpoint,
    Failed,
    Output,
    Progress,
    Provider,
    Rejected,
)
from vidorch.engine.hosts import LEASE
from vidorch.engine.targets import Target
from vidorch.errors import (
    BadMedia,
    LedgerUnavailable,
    ProviderFailed,
    Refused,
    TimedOut,
    Unsupported,
    VidorchError,
)
from vidorch.ledger.ledger import Ledger, MovedMeanwhile
from vidorch.ledger.moves import BEFORE_SENDING, ENDS, State, find_move
from vidorch.money import show_usd, to_micros
from vidorch.planning import PlannedOffer
from vidorch.polling import after_lost_poll, deadline_after, next_poll
from vidorch.result import Job, Timings

__all__ = ["JobDriver"]

TOUCH_EVERY = 2.0
T = TypeVar("T")
Report = Callable[[int, str, str, "float | None", "float | None"], None]
"""(candidate, state, stage, fraction, eta)"""


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
        job: as recorded, in state `reserved`. planned: the offer it goes to and the request as bought.
        report: told about every step, for progress displays.
    """

    def __init__(
        self,
        job: Job,
        planned: PlannedOffer,
        *,
        provider: Provider,
        endpoint: Endpoint,
        ledger: Ledger,
        clock: Clock,
        slots: asyncio.Semaphore,
        folder: Path,
        target: Target,
        candidates: int,
        new_id: Callable[[str], str],
        report: Report,
    ) -> None:
        self.job = job
        self._planned = planned
        self._provider = provider
        self._ledger = ledger
        self._clock = clock
        self._slots = slots
        self._endpoint = endpoint
        self._target = target
        self._candidates = candidates
        self._new_id = new_id
        self._report = report
        self._watch = Stopwatch(clock)
        self._cancelled = False
        self._asked_to_stop = False
        self._on_disk = job
        self._riding: list[_Riding] = []
        self._accepted: Accepted | None = None
        self._fraction: float | None = None
        self._touched = clock.now()
        self._context = Context(
            endpoint=endpoint,
            clock=clock,
            job_id=job.id,
            folder=folder,
            route=planned.route,
            samples=planned.samples,
        )
        self.submitted = asyncio.Event()
        """Set once the submission is accepted, or ended without being."""

    async def drive(self) -> None:
        """Take the job to its end. Every way out is a move in the ledger; errors are kept there, not raised.

        Raises:
            TimedOut: its deadline passed; the job stays open.
            LedgerUnavailable: the ledger could not be written; the job is wherever it was last seen.
        """
        try:
            if await self._send():
                done = await self._wait_until_done()
                if done is not None and self.job.outlives_caller:
                    await self._collect(done)
                elif done is not None:
                    # Worker threads cannot be cancelled: what is nearly a clip becomes one.
                    await _unless_cancelled_first(self._collect(done))
        finally:
            self.submitted.set()

    async def cancel(self) -> None:
        """Ask for its end: at once before anything was sent, at the vendor after that, and there only once.

        Raises:
            VidorchError: the provider could not be asked, or cannot cancel; the job goes on.
        """
        self._cancelled = True
        await self._stop_at_vendor()

    async def _stop_at_vendor(self) -> None:
        if self._accepted is None or self._asked_to_stop:
            return
        if State(self.job.state) not in (State.ACCEPTED, State.RUNNING):
            return
        # Asked once: at some vendors the same call made on a finished job deletes its result.
        self._asked_to_stop = True
        await self._provider.cancel(self._context, self._accepted)

    async def leave(self) -> None:
        """The process lets go: work that cannot outlive it is written down as abandoned, and cost nothing."""
        state = State(self.job.state)
        if state in ENDS or not (state in BEFORE_SENDING or not self.job.outlives_caller):
            return
        with contextlib.suppress(VidorchError):
            await self._stop_at_vendor()
        with contextlib.suppress(MovedMeanwhile):
            await self._move(State.ABANDONED, charged=0)

    # -- the way there ----------------------------------------------------------------------------------------------

    async def _send(self) -> bool:
        offer, request = self._planned.offer, self._planned.request
        await self._move(State.UPLOADING)
        try:
            prepared = await self._provider.prepare(self._context, request, offer)
        except Exception as error:
            await self._end(State.REJECTED, _typed(error, offer.provider, sent=False))
            return False
        self._watch.lap("upload")
        async with self._slots:
            self._watch.lap("wait")
            if self._cancelled:
                await self._end(State.CANCELLED, None)
                return False
            if self._planned.offer.price.rule != "free" or self._endpoint.billed:
                await self._end(State.REJECTED, door_is_shut(self._planned))
                return False
            # From here until the vendor's id is on disk nobody may interrupt: a paid job without a written id is lost.
            return await _unless_cancelled_first(self._submit(prepared))

    async def _submit(self, prepared: Any) -> bool:
        offer = self._planned.offer
        await self._move(State.SENDING, lease_until=self._clock.now() + LEASE)
        try:
            accepted = await self._provider.submit(self._context, prepared)
        except Rejected as rejected:
            target = State.REFUSED if isinstance(rejected.cause, Refused) else State.REJECTED
            await self._end(target, rejected.cause)
            return False
        except Exception as error:
            if not offer.outlives_caller:  # in our own process an exception is a clear answer
                await self._end(State.REJECTED, _typed(error, offer.provider, sent=False))
            else:
                await self._end(State.UNKNOWN, _typed(error, offer.provider, sent=True))
            return False
        self._accepted = accepted
        now = self._clock.now()
        await self._move(
            State.ACCEPTED,
            remote_id=accepted.remote_id,
            details=json.dumps(dict(accepted.details), default=str),
            deadline=deadline_after(offer, now),
            lease_until=now + LEASE,
        )
        self._watch.lap("queue")
        self.submitted.set()
        return True

    async def _wait_until_done(self) -> Done | None:
        """Poll until there is something to fetch. None: it ended without a clip, and that is written down."""
        assert self._accepted is not None
        offer, lost = self._planned.offer, 0
        deadline = deadline_after(offer, self._clock.now())
        while True:
            if self._cancelled:
                with contextlib.suppress(VidorchError):  # what cannot be cancelled goes on to its end
                    await self._stop_at_vendor()
            try:
                found = await self._provider.poll(self._context, self._accepted)
                lost = 0
            except Exception:  # a lost look says nothing about the job
                lost += 1
                found = Progress("running", self._fraction)
            if isinstance(found, Done):
                self._watch.lap("run")
                if not found.outputs:
                    await self._end_without_output(found)
                    return None
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
            if self._clock.now() > deadline:
                late = self._too_late()
                if offer.outlives_caller:
                    raise late
                with contextlib.suppress(VidorchError):  # nobody could take it up again: it ends here
                    await self._stop_at_vendor()
                await self._end(State.FAILED, late)
                return None
            await self._clock.sleep(after_lost_poll(offer, lost) if lost else next_poll(offer, found))

    def _too_late(self) -> TimedOut:
        offer = self._planned.offer
        minutes = deadline_after(offer, 0) / 60
        goes_on = offer.outlives_caller
        return TimedOut(
            f"The job {self.job.id} has not finished {minutes:.0f} minutes after it was accepted. "
            f"{'It stays open.' if goes_on else 'It was stopped.'}",
            hint=f"Look at it with: vidorch jobs show {self.job.id}",
            charged=None if goes_on else False,
            run_id=self.job.run_id, job_id=self.job.id, remote_id=self.job.remote_id, provider=offer.provider,
        )  # fmt: skip

    # -- the way home -----------------------------------------------------------------------------------------------

    async def _collect(self, done: Done) -> None:
        """Fetch, check and publish every output, then settle."""
        rows: list[dict[str, Any]] = []
        try:
            for output in done.outputs:
                rows.append(await self._bring_home(output))
        except BadMedia as error:
            self._watch.lap("download")
            error.charged = False if self._planned.offer.price.rule == "free" else None
            await self._end(State.FAILED, error)
            return
        except Exception as error:
            typed = self._not_brought_home(error)
            if self._planned.offer.outlives_caller:
                raise typed from error  # the result is still at the vendor: the job stays open for another look
            await self._end(State.FAILED, typed)
            return
        self._watch.lap("download")
        cost, basis = self._cost(done)
        details = {**done.timings}
        for row in rows:
            row["cost"] = _share(cost, len(rows))
        await self._move(
            State.SETTLED,
            made=rows,
            cost=cost,
            note={"notes": list(done.notes)} if done.notes else None,
            cost_basis=basis,
            charged=int(cost > 0 and (self._endpoint.billed or self._planned.offer.price.rule != "free")),
            progress=1.0,
            timings=self._timings(details),
        )

    async def _end_without_output(self, done: Done) -> None:
        """Everything that was made is withheld, or nothing was made at all; what it cost is booked all the same."""
        provider = self._planned.offer.provider
        charged = None if done.cost is None else done.cost > 0
        if self._planned.offer.price.rule == "free":
            charged = False
        if done.filtered:
            why = "; ".join(done.filter_reasons) or "the vendor gave no reason"
            text = f"{done.filtered} made and withheld by policy: {why}"
            refused = Refused(text, stage="output", charged=charged, provider=provider)
            await self._end(State.REFUSED, refused, cost=done.cost)
        else:
            empty = ProviderFailed("The job ended without any output.", charged=charged, provider=provider)
            await self._end(State.FAILED, empty, cost=done.cost)

    def _not_brought_home(self, error: Exception) -> VidorchError:
        if not isinstance(error, OSError) or isinstance(error, VidorchError):
            return _typed(error, self._planned.offer.provider, sent=False)
        paid = self._planned.offer.price.rule != "free"
        return ProviderFailed(
            f"The clip was made but could not be written: {error.strerror or error}"
            f"{f' ({error.filename})' if error.filename else ''}.",
            hint="Make room, or choose another place with output= or VIDORCH_HOME.",
            charged=None if paid else False,
            run_id=self.job.run_id,
            job_id=self.job.id,
        )

    async def _bring_home(self, output: Output) -> dict[str, Any]:
        from vidorch import media  # loads PyAV

        request, offer = self._planned.request, self._planned.offer
        final = self._target.path(self.job.candidate, self._candidates, offer.endpoint, offer.model, ".mp4")
        await asyncio.to_thread(final.parent.mkdir, parents=True, exist_ok=True)
        temporary = media.temporary_beside(
            final.with_name(self.job.id)
        )  # found again by `strays` should we be killed
        try:
            await self._provider.fetch(self._context, output, temporary)
            info = await asyncio.to_thread(
                media.verify, temporary, duration=request.duration, tolerance=0.5, size=request.size
            )
            if self._planned.trim_to is not None:
                info = await asyncio.to_thread(_trim, temporary, self._planned.trim_to)
            try:
                published = await asyncio.to_thread(
                    media.publish, temporary, final, overwrite=self._target.overwrite
                )
            except FileExistsError:
                # Somebody put a file there meanwhile. What was made is never thrown away: it goes beside it.
                final = final.with_name(f"{final.stem}-{self.job.id}{final.suffix}")
                published = await asyncio.to_thread(media.publish, temporary, final)
            sha256 = await asyncio.to_thread(_hash, published)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        return {
            "id": self._new_id("out"), "run_id": self.job.run_id, "job_id": self.job.id, "number": output.index,
            "state": "published", "uri": str(published), "ref": None, "media_type": output.media_type,
            "size": info.size_bytes, "sha256": sha256, "width": info.width, "height": info.height, "frames": info.frames,
            "fps": None if info.fps is None else str(info.fps), "duration": float(info.duration),
            "has_audio": int(info.has_audio), "seed": output.seed if output.seed is not None else self.job.seed,
            "cost": 0, "scores": None, "reason": None, "expires_at": output.expires_at, "created_at": self._clock.now(),
        }  # fmt: skip

    def _cost(self, done: Done) -> tuple[Decimal, str]:
        """What it really cost, in USD, and how that is known."""
        if self._planned.offer.price.rule == "free":
            rate = self._endpoint.usd_per_hour or Decimal(0)
            hours = Decimal(str(round(self._watch.seconds.get("run", 0.0), 3))) / 3600
            return rate * hours, "imputed"
        if done.cost is not None:
            return done.cost, "reported"
        return self._planned.cost.expected, "computed"

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
                progress=self._fraction,
                stage=found.detail or found.stage,
            )
        self._report(
            self.job.candidate, self.job.state, found.detail or found.stage, self._fraction, found.eta
        )

    async def _move(
        self, target: State, *, made: list[dict[str, Any]] | None = None, cost: Decimal | None = None,
        note: dict[str, Any] | None = None, **changes: Any,
    ) -> None:  # fmt: skip
        at = self._clock.now()
        future = self._ledger.move(
            self.job, target, at, changes=changes, cost=cost, made=made or (), note=note
        )
        step = find_move(State(self.job.state), target)
        if step is not None and not step.waits:
            future.add_done_callback(
                lambda done: done.exception()
            )  # looked at below, by the next step that waits
            self._riding.append(_Riding(future, target, at, changes))
            self.job = replace(self.job, state=target.value, version=self.job.version + 1, updated_at=at)
        else:
            try:
                self.job = await asyncio.wrap_future(future)
            except MovedMeanwhile:
                if not await self._caught_up():
                    raise
                self.job = await asyncio.wrap_future(
                    self._ledger.move(
                        self.job, target, at, changes=changes, cost=cost, made=made or (), note=note
                    )
                )
            self._on_disk, self._riding = self.job, []
        self._report(self.job.candidate, self.job.state, self.job.state, self._fraction, None)

    async def _caught_up(self) -> bool:
        """Make the steps again that rode with a commit which failed. False: nothing of that kind happened."""
        if not any(isinstance(riding.future.exception(), LedgerUnavailable) for riding in self._riding):
            return False
        self.job = self._on_disk
        for riding in self._riding:
            again = self._ledger.move(self.job, riding.target, riding.at, changes=riding.changes)
            await asyncio.to_thread(self._ledger.flush)
            self.job = await asyncio.wrap_future(again)
        return True

    async def _end_as_failed(self, failed: Failed) -> None:
        error = failed.error
        target = (
            State.CANCELLED
            if failed.cancelled
            else State.REFUSED
            if isinstance(error, Refused)
            else State.FAILED
        )
        await self._end(target, error, cost=failed.cost)

    async def _end(self, target: State, error: VidorchError | None, *, cost: Decimal | None = None) -> None:
        changes: dict[str, Any] = {"timings": self._timings({})}
        if error is not None:
            changes |= {
                "error": type(error).__name__,
                "error_code": error.code,
                "error_stage": getattr(error, "stage", None),
                "error_text": str(error),
                "charged": None if error.charged is None else int(error.charged),
                "request_id": error.request_id,
            }
        await self._move(target, cost=cost, **changes)


def door_is_shut(planned: PlannedOffer) -> Unsupported:
    """Why a paid submit is not sent: the door stays shut until the engine keeps all its promises about them."""
    return Unsupported(
        f"{planned.offer.name} costs about {show_usd(planned.cost.expected)} a clip, and this version of vidorch does not send "
        "paid submits: the engine that sends each one exactly once is not finished. Nothing was sent.",
        hint="`vidorch estimate` works for every model in the catalog.",
        charged=False,
    )


async def _unless_cancelled_first(step: Coroutine[Any, Any, T]) -> T:
    """Run `step` to its end even when the caller is cancelled meanwhile; then let the cancellation through."""
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _typed(error: Exception, provider: str, *, sent: bool) -> VidorchError:
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


def _share(cost: Decimal, count: int) -> int:
    return to_micros(cost) // count if count else 0


def _hash(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _trim(path: Path, seconds: float) -> Any:
    """Cut a silent clip to its first `seconds`, in place; what `fit="exact"` buys is the next longer length."""
    from vidorch import media

    before = media.probe(path)
    if (
        before.has_audio
    ):  # cutting sound to the frame belongs to the joins of films; a longer clip is better than a mute one
        return before
    fps = before.fps or media.exact_rate(24)
    if before.width % 2 or before.height % 2:  # H.264 has no odd sizes
        return before
    count = media.frame_at(seconds, fps)
    kept = (frame for _, frame in zip(range(max(count, 1)), media.frames(path), strict=False))
    return media.write_video(path, kept, fps=fps, overwrite=True)
