"""One run: written down whole, then its jobs driven side by side, then its result read back from the ledger."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidorch.budget import DEFAULT_CAP
from vidorch.call import Call
from vidorch.clock import Ids
from vidorch.contract import Clock, Endpoint, Provider
from vidorch.engine.handover import hand_over
from vidorch.engine.hosts import HEARTBEAT, LEASE, Host
from vidorch.engine.jobs import JobDriver, door_is_shut
from vidorch.engine.progress import ProgressBoard
from vidorch.engine.results import chosen_output, read_result
from vidorch.engine.targets import Target, target_of
from vidorch.errors import (
    InvalidRequest,
    LedgerUnavailable,
    OverBudget,
    ProviderFailed,
    SubmissionUnknown,
    VidorchError,
)
from vidorch.estimating import Estimate
from vidorch.home import run_folder
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.moves import ENDS, State
from vidorch.money import show_usd, to_micros
from vidorch.offer import Offer
from vidorch.planning import Plan, PlannedOffer
from vidorch.request import Request
from vidorch.result import Job, Progress, Result

__all__ = ["Engine", "LiveRun"]


class Engine:
    """Starts runs and keeps hold of those of this process.

    Args:
        provider_of: gives the provider that speaks for an endpoint.
        endpoints: by name.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        provider_of: Any,
        endpoints: Mapping[str, Endpoint],
        clock: Clock,
        ids: Ids,
        home: Path,
        host: Host,
    ) -> None:
        self._ledger = ledger
        self._provider_of = provider_of
        self._endpoints = endpoints
        self._clock = clock
        self._ids = ids
        self._home = home
        self._host = host
        self._slots: dict[str, asyncio.Semaphore] = {}
        self.live: dict[str, LiveRun] = {}
        host.enter()
        self._heart = asyncio.create_task(self._beat(), name="vidorch-leases")

    async def _beat(self) -> None:
        """Renew the leases of this process. In real time whatever the clock: it tells others that we live."""
        while True:
            await asyncio.sleep(HEARTBEAT)
            if self.live:
                self._ledger.renew(self._host.owner, self._clock.now() + LEASE)

    async def start(self, request: Request, call: Call, plan: Plan, estimate: Estimate) -> LiveRun:
        """Check that it may run, write it down, and set its jobs going.

        Raises:
            OverBudget, Unsupported, LedgerUnavailable, InvalidRequest: nothing was sent.
        """
        planned = plan.entries[0]
        self._must_fit(call, planned, request.candidates)
        self._must_be_recordable(planned)
        self._provider_of(
            planned.offer.provider
        )  # what cannot be loaded is said before a run is written down
        now = self._clock.now()
        run_id = self._ids.new("run")
        target = target_of(call.output, call.overwrite, run_folder(self._home, run_id, now))
        await asyncio.to_thread(_must_be_writable, target, request.candidates)
        planned_jobs = [
            (self._ids.new("job"), candidate, _seeded(planned, candidate, self._ids))
            for candidate in range(request.candidates)
        ]
        notes = [*plan.notes, *planned.notes]
        run_row = self._run_row(run_id, request, call, plan, estimate, target, notes, now)
        job_rows = [
            self._job_row(run_id, job_id, candidate, entry, call, now)
            for job_id, candidate, entry in planned_jobs
        ]

        async def begin() -> LiveRun:
            jobs = await asyncio.wrap_future(
                self._ledger.record(run_row, job_rows, cap=call.max_cost, at=now)
            )
            board = ProgressBoard(run_id, request.candidates, self._clock, call.on_progress)
            drivers = [
                self._driver(job, entry, target, request.candidates, board)
                for job, (_, _, entry) in zip(jobs, planned_jobs, strict=True)
            ]
            run = LiveRun(run_id, drivers, board, self._ledger, self._clock, target, notes)
            self.live[run_id] = run
            run.task.add_done_callback(lambda _: self.live.pop(run_id, None))
            return run

        # Once it is written down it has to be driven: whoever is cancelled here leaves it to go on without them.
        return await asyncio.shield(asyncio.ensure_future(begin()))

    def _driver(
        self, job: Job, entry: PlannedOffer, target: Target, candidates: int, board: ProgressBoard
    ) -> JobDriver:
        endpoint = self._endpoints.get(entry.offer.endpoint) or Endpoint(
            entry.offer.endpoint, entry.offer.provider
        )
        provider: Provider = self._provider_of(entry.offer.provider)
        slots = self._slots.setdefault(endpoint.name, asyncio.Semaphore(endpoint.concurrency or 1_000))
        return JobDriver(
            job, entry, provider=provider, endpoint=endpoint, ledger=self._ledger, clock=self._clock, slots=slots,
            folder=target.folder, target=target, candidates=candidates, new_id=self._ids.new, report=board.report,
        )  # fmt: skip

    def _must_fit(self, call: Call, planned: PlannedOffer, candidates: int) -> None:
        needed = planned.cost.high * candidates
        cap = DEFAULT_CAP if call.max_cost is None else call.max_cost
        if needed > cap:
            default = " (the default cap of a call)" if call.max_cost is None else ""
            raise OverBudget(
                f"{planned.offer.name} may cost up to {show_usd(needed)} and max_cost is {show_usd(cap)}{default}. "
                "Nothing was sent.",
                hint=f"Pass max_cost='{needed}' to allow it, or ask for less.", needed=needed, available=cap,
            )  # fmt: skip

    def _must_be_recordable(self, planned: PlannedOffer) -> None:
        endpoint = self._endpoints.get(planned.offer.endpoint)
        if not is_spending(planned.offer, endpoint):
            return
        if not self._ledger.durable:
            raise LedgerUnavailable(
                "Paid work needs a ledger on disk, and none can be written. Nothing was sent.",
                hint="See `vidorch doctor`.",
            )
        raise door_is_shut(planned)

    def _run_row(
        self,
        run_id: str,
        request: Request,
        call: Call,
        plan: Plan,
        estimate: Estimate,
        target: Target,
        notes: list[str],
        now: float,
    ) -> dict[str, Any]:
        options = {
            "output": call.output,
            "overwrite": call.overwrite,
            "timeout": call.timeout,
            "models": [model if isinstance(model, str) else model.describe() for model in call.models],
        }
        return {
            "id": run_id, "kind": "generate", "parent_id": None, "scope": call.scope, "key": None, "state": "open", "version": 0,
            "request": _json(request.describe()), "request_hash": request.fingerprint(), "plan": _json(plan.describe()),
            "estimate": _json(estimate.to_dict()), "options": _json(options), "tags": _json(dict(call.tags)),
            "notes": _json(notes), "candidates": request.candidates,
            "max_cost": None if call.max_cost is None else to_micros(call.max_cost), "cost": 0, "imputed": 0,
            "chosen_output": None, "output": target.written(call.output), "home": str(self._home), "owner": self._host.owner,
            "lease_until": now + LEASE, "trace": None, "error": None, "mock": 0, "created_at": now, "updated_at": now,
            "ended_at": None,
        }  # fmt: skip

    def _job_row(
        self, run_id: str, job_id: str, candidate: int, entry: PlannedOffer, call: Call, now: float
    ) -> dict[str, Any]:
        offer = entry.offer
        endpoint = self._endpoints.get(offer.endpoint) or Endpoint(offer.endpoint, offer.provider)
        return {
            "id": job_id, "run_id": run_id, "candidate": candidate, "attempt": 0, "scope": call.scope, "endpoint": offer.endpoint,
            "account": endpoint.account, "provider": offer.provider, "model": offer.model, "task": entry.route.task,
            "route": entry.route.path, "state": State.RESERVED.value, "version": 0,
            "settings": _json(entry.request.describe()), "settings_hash": entry.request.fingerprint(), "samples": entry.samples,
            "seed": entry.request.seed, "token": self._ids.token(), "outlives_caller": int(offer.outlives_caller),
            "find": offer.find, "owner": self._host.owner, "lease_until": now + LEASE, "host": self._host.name,
            "process": self._host.process, "polls": 0, "estimate_low": to_micros(entry.cost.low, up=True),
            "estimate": to_micros(entry.cost.expected, up=True), "estimate_high": to_micros(entry.cost.high, up=True),
            "billed": int(is_spending(entry.offer, endpoint)), "price_as_of": str(offer.price.as_of or ""), "created_at": now,
            "updated_at": now,
        }  # fmt: skip

    async def aclose(self) -> None:
        """Let go of the runs of this process. Work that cannot outlive it is abandoned; the rest stays open in the ledger."""
        self._heart.cancel()
        problems = []
        for run in list(self.live.values()):
            try:
                await run.leave()
            except Exception as error:  # one run's trouble is not to keep the others
                problems.append(error)
        self._host.leave()
        if problems:
            raise problems[0]


class LiveRun:
    """A run of this process, from `reserved` to its result."""

    def __init__(
        self,
        run_id: str,
        drivers: list[JobDriver],
        board: ProgressBoard,
        ledger: Ledger,
        clock: Clock,
        target: Target,
        notes: list[str],
    ) -> None:
        self.id = run_id
        self._notes = notes
        self.drivers = drivers
        self._board = board
        self._ledger = ledger
        self._clock = clock
        self._target = target
        self.task = asyncio.create_task(self._carry_out(), name=f"vidorch-{run_id}")
        # How it ended is in the ledger; nobody has to be waiting for it.
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    @property
    def progress(self) -> Progress | None:
        """The newest figure, None before the first."""
        return self._board.latest

    async def submitted(self) -> None:
        """Wait until every candidate's first submission is accepted, rejected or unknown, with the ids on disk."""
        for driver in self.drivers:
            await driver.submitted.wait()

    async def wait(self) -> Result:
        """Wait for the result. Cancelling this waiting leaves the run alone.

        Raises:
            ProviderFailed: the client was closed meanwhile, and work inside this process ended with it.
        """
        try:
            return await asyncio.shield(self.task)
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if not self.task.cancelled() or (waiter is not None and waiter.cancelling()):
                raise
        inside = all(not driver.job.outlives_caller for driver in self.drivers)
        raise ProviderFailed(
            f"The client was closed before the run {self.id} was done; work inside this process ended with it.",
            charged=False if inside else None, run_id=self.id,
        )  # fmt: skip

    async def cancel(self) -> None:
        """Ask every job to end.

        Raises:
            VidorchError: what the provider said when it could not be asked; every job was asked all the same.
        """
        answers = await asyncio.gather(*(driver.cancel() for driver in self.drivers), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    async def leave(self) -> None:
        """The client closes: in-process work is abandoned, everything else is let go and stays open.

        Needs no worker thread: it also runs while the interpreter shuts down, when none can be started any more.
        """
        self.task.cancel()
        await asyncio.wait([self.task])
        self._board.stop()
        for driver in self.drivers:
            await driver.leave()
        if all(State(driver.job.state) in ENDS for driver in self.drivers):
            await self._close_books("cancelled")

    async def _carry_out(self) -> Result:
        outcomes = await asyncio.gather(*(driver.drive() for driver in self.drivers), return_exceptions=True)
        await self._board.aclose()
        lost = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if lost:
            # The ledger failed, or a job outlived its deadline: the run stays open. What came is given all the same.
            if not any(driver.job.state == State.SETTLED for driver in self.drivers):
                raise lost[0]
            return await asyncio.to_thread(
                read_result, self._ledger, self.id, [e for e in lost if isinstance(e, VidorchError)]
            )
        unknown = [driver.job for driver in self.drivers if driver.job.state == State.UNKNOWN]
        if unknown:
            question = SubmissionUnknown(
                f"Whether {unknown[0].endpoint}/{unknown[0].model} accepted the job {unknown[0].id} is not known: "
                f"{unknown[0].error_text or 'no answer came'}. It is not sent again; the run stays open.",
                hint=f"Look at it with: vidorch jobs show {unknown[0].id}",
                run_id=self.id, job_id=unknown[0].id, provider=unknown[0].provider,
            )  # fmt: skip
            if not any(driver.job.state == State.SETTLED for driver in self.drivers):
                raise question
            return await asyncio.to_thread(read_result, self._ledger, self.id, [question])
        cancelled = any(driver.job.state == State.CANCELLED for driver in self.drivers)
        await self._close_books("cancelled" if cancelled else "failed")
        return await asyncio.to_thread(read_result, self._ledger, self.id)

    async def _close_books(self, without_clip: str) -> None:
        """Choose among what came, hand it over, and end the run."""
        chosen = chosen_output(self._ledger, self.id)
        if chosen is not None and self._target.file is not None and len(self.drivers) > 1:
            note = await asyncio.to_thread(hand_over, self.id, Path(chosen["uri"]), self._target)
            self._notes += [note] if note else []
        await asyncio.wrap_future(
            self._ledger.end_run(
                self.id,
                "finished" if chosen else without_clip,
                self._clock.now(),
                chosen_output=chosen["id"] if chosen else None,
                notes=_json(self._notes),
            )
        )


def _must_be_writable(target: Target, candidates: int) -> None:
    """Find out before anything is made, not after."""
    folders = {target.folder} if target.file is None or candidates > 1 else set()
    for folder in folders | ({target.file.parent} if target.file is not None else set()):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".vidorch-"):
                pass
        except OSError as error:
            raise InvalidRequest(
                f"Nothing can be written to {folder}: {error.strerror or error}. Nothing was made.",
                hint="Choose another place with output= or VIDORCH_HOME.",
                field="output", value=str(folder), allowed="a folder that can be written",
            ) from error  # fmt: skip


def is_spending(offer: Offer, endpoint: Endpoint | None) -> bool:
    """Whether what this costs is money, not only electricity: one's own hardware counts when its endpoint says so."""
    return offer.price.rule != "free" or bool(endpoint and endpoint.billed)


def _seeded(planned: PlannedOffer, candidate: int, ids: Ids) -> PlannedOffer:
    """The same purchase with the seed of one candidate: `s + i`, or a fresh one each where none was asked for."""
    from dataclasses import replace

    if not planned.route.capabilities.seed:
        return planned
    seed = planned.request.seed
    seed = ids.seed() if seed is None else (seed + candidate) % 2**32
    return replace(planned, request=planned.request.with_(seed=seed))


def _json(value: Any) -> str:
    return json.dumps(value, default=str, sort_keys=True, ensure_ascii=False)
