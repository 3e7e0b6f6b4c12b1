"""The runs of this process: begun, joined by key, taken up from others, and let go."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

from vidorch.contract import Delivery, Endpoint
from vidorch.engine.again import conflict
from vidorch.engine.asked import Asked
from vidorch.engine.batches import Batches
from vidorch.engine.cancelling import cancel_elsewhere
from vidorch.engine.carried import Carried
from vidorch.engine.carrying import LiveRun
from vidorch.engine.deciding import has_unsent
from vidorch.engine.handover import target_now
from vidorch.engine.hosts import LEASE, is_orphan
from vidorch.engine.joining import Joined
from vidorch.engine.keeping import Probe
from vidorch.engine.leases import Leases
from vidorch.engine.paying import in_its_words, must_be_payable
from vidorch.engine.purchase import Purchase
from vidorch.engine.rows import asked_hash, job_row, run_row
from vidorch.engine.services import Services
from vidorch.engine.targets import Target, target_of
from vidorch.engine.telemetry import RunSpan
from vidorch.errors import InvalidRequest, LedgerUnavailable, OverBudget, VidorchError
from vidorch.home import run_folder
from vidorch.ledger.ledger import KeyTaken, MovedMeanwhile
from vidorch.ledger.moves import ENDS
from vidorch.ledger.reading import OPEN_RUNS
from vidorch.offloop import in_thread, written
from vidorch.result import Job, Received

__all__ = ["Engine"]


class Engine:
    """Begins runs, joins and takes up those of others, and lets go of them.

    Attributes:
        live: the runs that this process drives, by id. loop: where it drives them.
        batches: the runs over the lines of batches. telemetry: where runs and jobs are told of.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ledger = services.ledger
        self._leases = Leases(services)
        self.live = self._leases.live
        self.batches = Batches(services)
        self.loop = self._leases.loop
        self.telemetry = services.telemetry
        self._can_write = False  # to the home folder, which is looked at once

    # -- beginning ------------------------------------------------------------------------------------------------------

    async def start(self, asked: Asked, *, cap: Decimal | None = None) -> tuple[str, Joined | None]:
        """Begin a run, or join the one that has its key. It is in `live` when this process carries it.

        Args:
            cap: what the outermost call may cost in all; None means `max_cost`, or else the default cap.

        Returns:
            The run's id, and what to tell a call that joined it.

        Raises:
            OverBudget, LedgerUnavailable, InvalidRequest, KeyConflict, LiveCallInTest: nothing was sent.
            ProviderFailed: every offer is left alone for a while, since its last jobs have failed. Nothing was sent.
        """
        call = asked.call
        if call.key is not None and (row := await in_thread(self._ledger.run_by_key, call.scope, call.key)):
            return await self._join(row, asked)
        cap = call.max_cost if cap is None else cap
        without: set[int] = set()
        notes: list[str] = []
        shut: list[VidorchError] = []
        least: OverBudget | None = None  # of those that do not fit, the one that needs least is told
        while True:
            probe = await self._at_the_door(asked, without, shut, notes)
            if len(without) == len(asked.entries):
                raise least or shut[0]
            try:
                # Once it is written down it has to be driven: whoever is cancelled here leaves it to go on without them.
                beginning = asyncio.ensure_future(self._begin(asked, cap, without, notes, probe))
                return await asyncio.shield(beginning), None
            except KeyTaken as taken:
                row = await in_thread(self._ledger.run, taken.run_id or "")
                if row is not None:
                    return await self._join(row, asked)
            except OverBudget as error:
                place = next(place for place in asked.order(0) if place not in without)
                why = in_its_words(error, asked, place)
                least = why if least is None or (why.needed or 0) < (least.needed or 0) else least
                if call.spread or len(without) + 1 == len(asked.entries):
                    raise least from None
                without.add(place)
                notes.append(f"{asked.entries[place].offer.name} was passed over: over {error.budget}.")

    async def _at_the_door(
        self, asked: Asked, without: set[int], shut: list[VidorchError], notes: list[str]
    ) -> Probe | None:
        """Go on to the first place of the plan that is not left alone now because what was bought there of late has failed.

        Those before it are added to `without`. What comes after it is looked at when its turn comes.
        """
        for place in (one for one in range(len(asked.entries)) if one not in without):
            offer = asked.entries[place].offer
            answer = await self._services.doors.ask(offer, asked.call.scope)
            if not isinstance(answer, VidorchError):
                return answer
            without.add(place)
            shut.append(answer)
            notes.append(f"{offer.name} was passed over: {answer.message}")
        return None

    async def _begin(
        self, asked: Asked, cap: Decimal | None, without: set[int], notes: Sequence[str], probe: Probe | None
    ) -> str:
        try:
            return await self._write_down(asked, cap, without, notes)
        except BaseException:
            if probe is not None:
                probe.give_back()
            raise

    async def _write_down(
        self, asked: Asked, cap: Decimal | None, without: set[int], notes: Sequence[str]
    ) -> str:
        services, now = self._services, self._services.clock.now()
        round_one = asked.first_round(services.ids, without=without)
        for _, _, purchase in round_one:
            must_be_payable(purchase, self._services)
        run_id = services.ids.new("run")
        refuge = Target(run_folder(services.home, run_id, now), None, False)
        target = target_of(
            asked.call.output, asked.call.overwrite, refuge.folder, stills=asked.request.task == "image",
            line=asked.position,
        )  # fmt: skip
        if asked.call.output is not None or not self._can_write:
            await in_thread(target.check, asked.request.candidates)
            self._can_write = True
        first = asked.entries[round_one[0][1]]
        spans = services.telemetry.run(run_id, asked.call.scope, asked.request.candidates, now)
        row = run_row(
            run_id, asked.request, asked.call, asked.plan, asked.estimate, target, [*asked.plan.notes, *first.notes, *notes],
            services, parent=asked.parent, position=asked.position, trace=spans.trace, now=now,
        )  # fmt: skip
        job_rows = [
            job_row(run_id, candidate, 0, purchase, asked.call.scope, services, now, spans)
            for candidate, _, purchase in round_one
        ]
        try:
            jobs = await written(
                self._ledger.record(row, job_rows, cap=cap, budgets=services.budgets, at=now)
            )
        except LedgerUnavailable:
            if (in_spite_of_it := await self._leases.found_on_disk(run_id)) is None:
                raise
            jobs = in_spite_of_it
        bought = {
            job.id: (purchase, entry) for job, (_, entry, purchase) in zip(jobs, round_one, strict=True)
        }
        plain = {"id": run_id, "candidates": asked.request.candidates, "notes": [*asked.plan.notes, *first.notes, *notes],
                 "scope": asked.call.scope, "key": asked.call.key, "options": {}, "output": row["output"], "home": row["home"],
                 "created_at": now, "mock": row["mock"], "position": asked.position}  # fmt: skip
        self._carry(plain, jobs, (), asked, bought, target, refuge, cap, spans)
        return run_id

    def _carry(
        self, row: Mapping[str, Any], jobs: Sequence[Job], outputs: Sequence[Mapping[str, Any]], asked: Asked | None,
        bought: Mapping[str, tuple[Purchase, int]], target: Target, refuge: Target, cap: Decimal | None,
        spans: RunSpan,
    ) -> LiveRun:  # fmt: skip
        carried = Carried(
            row, self._services, {job.id: job for job in jobs}, list(outputs), asked, dict(bought), target, refuge,
            notes=list(row["notes"] or ()), spans=spans,
        )  # fmt: skip
        run = LiveRun(carried, cap=cap, gone=self._leases.lets_go)
        self._leases.holds(run)
        return run

    # -- joining and taking up --------------------------------------------------------------------------------------------

    async def _join(self, row: Mapping[str, Any], asked: Asked) -> tuple[str, Joined]:
        """The run that has this key, carried on by us if nobody does."""
        if row["request_hash"] != asked_hash(asked.request, asked.call):
            raise conflict(row, asked)
        joined = Joined(row, asked, self._services)
        if asked.call.output is not None:
            await in_thread(joined.check)
        await self.take_up(row["id"], asked)
        return str(row["id"]), joined

    async def take_up(self, run_id: str, asked: Asked | None = None) -> LiveRun | None:
        """Carry on a run that nobody carries. None when there is nothing to do, or somebody else does it.

        Args:
            asked: what the caller asks for now; with it, what provably was never sent may be sent.
        """
        if (live := self.live.get(run_id)) is not None:
            return live
        await self._leases.release_stranded()
        row = await in_thread(self._ledger.run, run_id)
        if row is None or row["kind"] != "generate":
            return None
        jobs = await in_thread(lambda: self._ledger.jobs(run_id=run_id))
        ended = row["state"] not in OPEN_RUNS
        if row["state"] == "cancelled":
            asked = (
                None  # what its caller called off is not begun again, but what is at work still comes home
            )
        at_work = any(job.state not in ENDS for job in jobs)
        if ended and not at_work and (asked is None or not has_unsent(row["candidates"], jobs)):
            return None
        if row["state"] == "waiting" and asked is None and not at_work:
            return None
        services, now = self._services, self._services.clock.now()
        if not ended and row["state"] == "open" and not is_orphan(row["owner"], row["lease_until"], now):
            return None
        refuge = Target(run_folder(services.home, run_id, row["created_at"]), None, False)
        target = target_now(row, asked, refuge, services.home)
        if asked is not None:
            for _, _, purchase in asked.first_round(services.ids):
                must_be_payable(purchase, self._services)
        try:
            row = await written(
                self._ledger.take_run(
                    run_id, row["version"], services.host.owner, now + LEASE, now, reopen=ended
                )
            )
        except MovedMeanwhile:
            return self.live.get(run_id)
        # Read again: whoever had it until now may have written down another job before it was ours.
        jobs = await in_thread(lambda: self._ledger.jobs(run_id=run_id))
        outputs = await in_thread(self._ledger.outputs, run_id)
        cap = (
            asked.call.max_cost if asked is not None and asked.call.max_cost is not None else row["max_cost"]
        )
        spans = services.telemetry.run(run_id, row["scope"], row["candidates"], now, before=row["trace"])
        return self._carry(row, jobs, outputs, asked, {}, target, refuge, cap, spans)

    async def resume(self, run_id: str | None = None, *, without: Collection[str] = ()) -> list[LiveRun]:
        """Take up every run that nobody carries (or one, or those of one batch): poll, fetch, settle. Nothing is submitted.

        Args:
            without: runs to leave alone.
        """
        await self._leases.release_stranded()
        now = self._services.clock.now()
        rows = await in_thread(self._ledger.open_runs)
        batches = [row["id"] for row in rows if row["kind"] == "batch"]
        below = {row["id"]: row["parent_id"] for row in rows}
        left = [row["id"] for row in rows if row["state"] == "open" and row["kind"] != "batch"
                and is_orphan(row["owner"], row["lease_until"], now)]  # fmt: skip
        # A run that waits, was cancelled, or ended beside a lost submit may still have something coming.
        left += [
            job.run_id for job in await in_thread(self._ledger.open_jobs)
            if is_orphan(job.owner, job.lease_until, now)
        ]  # fmt: skip
        taken = []
        for name in dict.fromkeys(left):
            wanted = run_id in (None, name, below.get(name)) and name not in without and name not in self.live
            if wanted and (live := await self.take_up(name)) is not None:
                taken.append(live)
        for name in batches:
            await self.batches.close(name)
        return taken

    # -- word from vendors ------------------------------------------------------------------------------------------------

    async def receive(self, where: Endpoint, scope: str, delivery: Delivery, digest: str) -> Received:
        """Take in a verified delivery. See `Bell.receive`."""
        return await self._services.bell.receive(where, scope, delivery, digest)

    # -- letting go --------------------------------------------------------------------------------------------------------

    async def detach(self, run_id: str) -> None:
        """Give a run back to whoever takes it up; its jobs go on at their vendors.

        Raises:
            InvalidRequest: it works inside this process, and would end with that.
        """
        run = self.live.get(run_id)
        if run is None:
            return
        if any(
            not driver.job.outlives_caller and driver.job.state not in ENDS for driver in run.drivers.values()
        ):
            raise InvalidRequest(
                f"The run {run_id} works inside this process and cannot be detached.", field="detach", value=True,
                allowed="a hosted model",
            )  # fmt: skip
        await run.leave()
        self._leases.lets_go(run)

    async def cancel(self, run_id: str, job_id: str | None = None) -> None:
        """Cancel a run, whoever carries it: nothing more is begun for it, and its vendors are asked to stop.

        Args:
            job_id: this job alone; the others of the run go on.

        Raises:
            InvalidRequest: it works inside another process that lives.
            VidorchError: a vendor could not be asked, or cannot cancel; the others were asked all the same.
        """
        live = await self.take_up(run_id)
        if live is not None:
            await live.cancel(job_id)
            return
        problems = await cancel_elsewhere(self._services, run_id, job_id)
        for child in await in_thread(self._ledger.children, run_id):
            if child["state"] in OPEN_RUNS:
                await self.cancel(child["id"])
        if problems:
            raise problems[0]

    async def aclose(self) -> None:
        """Let go of the runs of this process. Work that cannot outlive it is abandoned; the rest stays open in the ledger."""
        self._services.bell.close()
        try:
            await self._leases.aclose()
        finally:
            await self._services.telemetry.aclose()
