"""The runs of this process: begun, joined by key, taken up from others, and let go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from vidorch.budget import DEFAULT_CAP, BudgetState
from vidorch.call import SELECTORS, Call
from vidorch.contract import Accepted, Delivery, Endpoint
from vidorch.engine.asked import Asked
from vidorch.engine.carried import Carried
from vidorch.engine.carrying import LiveRun
from vidorch.engine.deciding import has_unsent
from vidorch.engine.handover import target_again
from vidorch.engine.hosts import HEARTBEAT, LEASE, is_orphan
from vidorch.engine.joining import Joined
from vidorch.engine.masking import mask
from vidorch.engine.paying import must_be_payable
from vidorch.engine.purchase import Purchase
from vidorch.engine.rows import asked_hash, batch_row, job_row, models_of, run_row
from vidorch.engine.services import Services
from vidorch.engine.targets import Target, target_of
from vidorch.engine.telemetry import RunSpan
from vidorch.errors import InvalidRequest, KeyConflict, LedgerUnavailable, OverBudget, VidorchError
from vidorch.home import run_folder
from vidorch.ledger.ledger import KeyTaken, MovedMeanwhile
from vidorch.ledger.moves import BEFORE_SENDING, ENDS, State
from vidorch.money import from_micros, show_usd
from vidorch.offloop import in_thread, written
from vidorch.request import Request
from vidorch.result import Job, Received

__all__ = ["Engine", "request_again"]

OPEN = ("open", "waiting")


class Engine:
    """Begins runs, joins and takes up those of others, and keeps hold of those of this process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ledger = services.ledger
        self.live: dict[str, LiveRun] = {}
        self._stranded: dict[str, LiveRun] = {}
        """Runs that ended here while the ledger could not be written: it still takes us for their owner."""
        self._doubtful: set[str] = set()
        """Runs that could not be written, as it was said, and could not be looked for."""
        self._releasing = asyncio.Lock()
        self._can_write = False  # to the home folder, which is looked at once
        services.host.enter()
        self._heart = asyncio.create_task(self._beat(), name="vidorch-leases")

    async def _beat(self) -> None:
        """Renew the leases of this process. In real time whatever the clock: it tells others that we live."""
        while True:
            await asyncio.sleep(HEARTBEAT)
            await self._release_doubtful()
            await self._release_stranded()
            if self.live:
                self._ledger.renew(self._services.host.owner, self._services.clock.now() + LEASE)

    async def _release_stranded(self) -> None:
        """Give back what could not be given back before: renewed with the other leases, it would be nobody's for ever."""
        if not self._stranded:
            return
        async with self._releasing:  # twice would take it from whoever of this process took it up in between
            for run in list(self._stranded.values()):
                await run.release()
                if not run.is_stranded:
                    del self._stranded[run.id]

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
        shut = await self._shut(asked, notes)
        if len(shut) == len(asked.entries):
            raise next(iter(shut.values()))
        without |= shut.keys()
        least: OverBudget | None = None  # of those that do not fit, the one that needs least is told
        while True:
            try:
                # Once it is written down it has to be driven: whoever is cancelled here leaves it to go on without them.
                beginning = asyncio.ensure_future(self._begin(asked, cap, without, notes))
                return await asyncio.shield(beginning), None
            except KeyTaken as taken:
                row = await in_thread(self._ledger.run, taken.run_id or "")
                if row is not None:
                    return await self._join(row, asked)
            except OverBudget as error:
                place = next(place for place in asked.order(0) if place not in without)
                why = _dearer(error, asked, place)
                least = why if least is None or (why.needed or 0) < (least.needed or 0) else least
                if call.spread or len(without) + 1 == len(asked.entries):
                    raise least from None
                without.add(place)
                notes.append(f"{asked.entries[place].offer.name} was passed over: over {error.budget}.")

    async def _shut(self, asked: Asked, notes: list[str]) -> dict[int, VidorchError]:
        """The places of the plan that are left alone now, because what was bought there of late has failed."""
        shut: dict[int, VidorchError] = {}
        for place, entry in enumerate(asked.entries):
            why = await self._services.doors.keeps_out(entry.offer, asked.call.scope)
            if why is None:
                break  # what comes after it is looked at when its turn comes
            shut[place] = why
            notes.append(f"{entry.offer.name} was passed over: {why.message}")
        return shut

    async def _begin(self, asked: Asked, cap: Decimal | None, without: set[int], notes: Sequence[str]) -> str:
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
            if (in_spite_of_it := await self._on_disk(run_id)) is None:
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

    async def _on_disk(self, run_id: str) -> list[Job] | None:
        """The jobs of a run whose writing was said to have failed, where it is there all the same; None where it is not.

        Ours, and driven by nobody, it would hold its reservation for as long as this process lives. Where the ledger cannot be
        asked, it is asked again with the next renewal of leases, and given back.
        """
        try:
            if await in_thread(self._ledger.run, run_id) is None:
                return None
            return await in_thread(lambda: self._ledger.jobs(run_id=run_id))
        except VidorchError:
            self._doubtful.add(run_id)
            return None

    async def _release_doubtful(self) -> None:
        for run_id in list(self._doubtful):
            with contextlib.suppress(VidorchError):
                if await in_thread(self._ledger.run, run_id) is not None:
                    jobs = await in_thread(lambda name: self._ledger.jobs(run_id=name), run_id)
                    owner, now = self._services.host.owner, self._services.clock.now()
                    await written(
                        self._ledger.release(owner, now, job_ids=[job.id for job in jobs], run_ids=[run_id])
                    )
                self._doubtful.discard(run_id)

    def _carry(
        self, row: Mapping[str, Any], jobs: Sequence[Job], outputs: Sequence[Mapping[str, Any]], asked: Asked | None,
        bought: Mapping[str, tuple[Purchase, int]], target: Target, refuge: Target, cap: Decimal | None,
        spans: RunSpan,
    ) -> LiveRun:  # fmt: skip
        carried = Carried(
            row, self._services, {job.id: job for job in jobs}, list(outputs), asked, dict(bought), target, refuge,
            notes=list(row["notes"] or ()), spans=spans,
        )  # fmt: skip
        run = LiveRun(carried, cap=cap, gone=self._is_over)
        self.live[run.id] = run
        return run

    def _is_over(self, run: LiveRun) -> None:
        self.live.pop(run.id, None)
        if run.is_stranded:
            self._stranded[run.id] = run

    # -- joining and taking up --------------------------------------------------------------------------------------------

    async def _join(self, row: Mapping[str, Any], asked: Asked) -> tuple[str, Joined]:
        """The run that has this key, carried on by us if nobody does."""
        if row["request_hash"] != asked_hash(asked.request, asked.call):
            raise _conflict(row, asked)
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
        await self._release_stranded()
        row = await in_thread(self._ledger.run, run_id)
        if row is None or row["kind"] != "generate":
            return None
        jobs = await in_thread(lambda: self._ledger.jobs(run_id=run_id))
        ended = row["state"] not in OPEN
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
        target = self._target_of(row, asked, refuge)
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

    def _target_of(self, row: Mapping[str, Any], asked: Asked | None, refuge: Target) -> Target:
        """Where it publishes now: to a URL, or on the machine where it was asked for; elsewhere to a home of one's own.

        A call that joins it and wants its clips elsewhere gets copies.
        """
        if asked is not None and asked.call.output is not None:
            target = target_of(
                asked.call.output,
                asked.call.overwrite,
                refuge.folder,
                again=True,
                stills=asked.request.task == "image",
                line=asked.position,
            )
            if target.written(asked.call.output) == row["output"]:
                return target
        here = row["home"] == str(self._services.home) or (row["output"] or "").partition("://")[1]
        again = target_again(dict(row)) if here else None
        return again or refuge

    async def resume(self, run_id: str | None = None, *, without: Collection[str] = ()) -> list[LiveRun]:
        """Take up every run that nobody carries (or one, or those of one batch): poll, fetch, settle. Nothing is submitted.

        Args:
            without: runs to leave alone.
        """
        await self._release_stranded()
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
            await self.close_batch(name)
        return taken

    # -- batches ---------------------------------------------------------------------------------------------------------

    async def begin_batch(self, call: Call, *, lines: int, needed: Decimal) -> str:
        """Write down the run over the lines of a batch, or find the one that has its key.

        It is one call: what its lines may cost on their first offers fits all together, before the first is sent.

        Args:
            needed: USD that those lines may cost of which something is still to be sent.

        Raises:
            OverBudget: the cap or a budget cannot hold them. KeyConflict: the key belongs to something else.
        """
        services, now = self._services, self._services.clock.now()
        if call.key is not None and (row := await in_thread(self._ledger.run_by_key, call.scope, call.key)):
            found, used = (
                _the_batch(row, call),
                from_micros((await in_thread(self._ledger.spent, row["id"])).total),
            )
        else:
            found, used = None, Decimal(0)
        if needed > 0:
            for budget in services.budgets:
                await written(self._ledger.set_budget(budget, now))
            _must_fit_together(
                call, lines, needed, used, await in_thread(self._ledger.budgets, now, call.scope)
            )
        if found is not None:
            return found
        run_id = services.ids.new("run")
        row = batch_row(run_id, call, lines, services, now)
        try:
            await written(self._ledger.record(row, [], cap=None, budgets=(), at=now))
        except KeyTaken as taken:
            row = await in_thread(self._ledger.run, taken.run_id or "")
            if row is None:
                raise
            return _the_batch(row, call)
        return run_id

    async def close_batch(self, run_id: str) -> None:
        """End a batch whose lines have all ended."""
        states = await in_thread(self._ledger.states_below, run_id)
        if not states or any(state in OPEN for state in states):
            return
        ending = "finished" if "finished" in states else "failed"
        await written(self._ledger.end_run(run_id, ending, self._services.clock.now()))

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
        if run.is_stranded:
            self._stranded[run.id] = run

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
        now = self._services.clock.now()
        jobs = await in_thread(lambda: self._ledger.jobs(run_id=run_id))
        at_work = [job for job in jobs if job.state not in ENDS and job_id in (None, job.id)]
        if any(not job.outlives_caller for job in at_work):
            raise InvalidRequest(
                f"The run {run_id} works inside another process and can only be stopped there.", field="run_id", value=run_id,
                allowed="a run of this process, or one of a hosted model",
            )  # fmt: skip
        if job_id is None:
            await written(self._ledger.end_run(run_id, "cancelled", now))  # its owner begins nothing more
        problems: list[VidorchError] = []
        for job in at_work:
            try:
                await self._cancel_from_here(job, now)
            except VidorchError as error:
                problems.append(error)
        for child in await in_thread(self._ledger.children, run_id):
            if child["state"] in OPEN:
                await self.cancel(child["id"])
        if problems:
            raise problems[0]

    async def _cancel_from_here(self, job: Job, now: float) -> None:
        """Call off a job that another process drives; its owner will see the end of it."""
        services = self._services
        if job.state in BEFORE_SENDING:
            with contextlib.suppress(MovedMeanwhile):
                await written(self._ledger.move(job, State.CANCELLED, now, changes={"charged": 0}))
        elif job.remote_id is not None:
            purchase = Purchase.of_job(job, services.offers())
            accepted = Accepted(job.remote_id, job.quote, dict(job.details))
            folder = run_folder(services.home, job.run_id, job.created_at)
            context = services.context(job, purchase, folder)
            try:
                await services.provider_of(job.provider).cancel(context, accepted)
            except Exception as error:
                mask(error, context.secret)
                raise

    async def aclose(self) -> None:
        """Let go of the runs of this process. Work that cannot outlive it is abandoned; the rest stays open in the ledger."""
        self._heart.cancel()
        self._services.bell.close()
        problems = []
        for run in list(self.live.values()):
            try:
                await run.leave()
            except Exception as error:  # one run's trouble is not to keep the others
                problems.append(error)
        self._services.host.leave()
        await self._services.telemetry.aclose()
        if problems:
            raise problems[0]


def _the_batch(row: Mapping[str, Any], call: Call) -> str:
    if row["kind"] != "batch":
        raise KeyConflict(
            f"The key {call.key!r} belongs to a run that is no batch. Nothing was sent.", run_id=row["id"]
        )
    return str(row["id"])


def _must_fit_together(
    call: Call, lines: int, needed: Decimal, used: Decimal, budgets: Sequence[BudgetState]
) -> None:
    what = f"These {lines} lines" if not used else f"What was not sent of these {lines} lines"
    may = f"{what} may cost up to {show_usd(needed)} together"
    for state in budgets:
        left = max(state.left - used, Decimal(0)) if state.budget.per == "call" else state.left
        if needed > left:
            raise OverBudget(
                f"{may}, and of the budget {state.budget.name!r} {show_usd(left)} is left. Nothing was sent.",
                hint="Raise it, or ask for less.", needed=needed, available=left, budget=state.budget.name,
            )  # fmt: skip
    cap = call.max_cost if call.max_cost is not None else None if budgets else DEFAULT_CAP
    if cap is not None and needed + used > cap:
        before = f", {show_usd(used)} of it used by the lines before" if used else ""
        raise OverBudget(
            f"{may}, and {'max_cost' if call.max_cost is not None else 'the default cap of a call'} is {show_usd(cap)}{before}. "
            "Nothing was sent.",
            hint=f"Pass max_cost='{needed + used}' to allow it.", needed=needed, available=max(cap - used, Decimal(0)),
        )  # fmt: skip


def _dearer(error: OverBudget, asked: Asked, place: int) -> OverBudget:
    """The refusal, in the words of the request: with the offer's name, where one offer was to make it all."""
    planned = asked.entries[place]
    if error.needed != planned.cost.high * asked.request.candidates:
        return error
    return OverBudget(
        f"{planned.offer.name} {error.message.removeprefix('This ')}", hint=error.hint, needed=error.needed,
        available=error.available, budget=error.budget,
    )  # fmt: skip


def _conflict(row: Mapping[str, Any], asked: Asked) -> KeyConflict:
    before, now = dict(row["request"]), asked.request.describe()
    differs = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if row["options"].get("models", []) != models_of(asked.call):
        differs.append("model")
    if row["options"].get("spread", False) != asked.call.spread:
        differs.append("spread")
    said = ", ".join(differs) or "what is not written down of it (keys in extra=)"
    verb = "differ" if len(differs) > 1 else "differs"
    return KeyConflict(
        f"The key {asked.call.key!r} belongs to another request of scope {asked.call.scope!r}: {said} {verb}. Nothing was sent.",
        hint="Take another key for another request; the same key always means the same clip.",
        differs=tuple(differs), run_id=row["id"],
    )  # fmt: skip


def request_again(row: Mapping[str, Any]) -> tuple[Request, Call]:
    """What was asked, as far as the ledger can tell.

    Raises:
        InvalidRequest: it had inputs or secrets that are not kept; only a call with its key can go on.
    """
    from vidorch.choice import Choice

    fields, options = dict(row["request"]), row["options"]
    try:
        request = Request(**fields)
        models = tuple(
            one if isinstance(one, str) else Choice(one["model"], **one["overrides"])
            for one in options.get("models", ())
        )
        again = {name: options[name] for name in _AGAIN if options.get(name) is not None}
        if options.get("select") in SELECTORS:
            again["select"] = options["select"]
        call = Call(models=models, max_cost=row["max_cost"], scope=row["scope"], key=row["key"], output=row["output"],
                    tags=row["tags"] or {}, overwrite=True, **again)  # fmt: skip
        same = asked_hash(request, call) == row["request_hash"]
    except (InvalidRequest, TypeError, KeyError):
        same = False
    if not same:
        raise InvalidRequest(
            f"The run {row['id']} had inputs (media or secrets) that are kept nowhere, so it cannot go on by itself.",
            hint="Make the same call again with its key." if row["key"] else "Make the call again; nothing was sent for it.",
            field="run_id", value=row["id"], allowed="a run of text alone",
        )  # fmt: skip
    return request, replace(call, overwrite=bool(options.get("overwrite")))


_AGAIN = (
    "spread", "retries", "refill", "retry_refused", "on_unknown", "fallback_on_refusal", "timeout", "allow_unpriced",
)  # fmt: skip
