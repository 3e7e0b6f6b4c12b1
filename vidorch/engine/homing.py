"""The way home: every output fetched, checked and published, and what it cost booked; or why there is none."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from vidorch.contract import Billed, Done, Failed
from vidorch.engine.costing import Cost, cost_of_clips, cost_of_end, shares
from vidorch.engine.errand import Errand, Overtaken, typed
from vidorch.engine.fetching import Brought, Porter
from vidorch.engine.targets import Target
from vidorch.errors import BadMedia, ProviderFailed, Refused, VidorchError
from vidorch.ledger.moves import ENDS, State
from vidorch.offloop import in_thread
from vidorch.result import Job

__all__ = ["Ending", "Homecoming"]


class Ending(Protocol):
    """The end of a run, which needs no commit of its own where the last of its jobs is settled."""

    def with_last(
        self, job: Job, rows: Sequence[Mapping[str, Any]], notes: Sequence[str]
    ) -> Mapping[str, Any] | None:
        """What to write down of the run together with this settling; None while there is more to be seen to."""

    def is_written(self) -> None:
        """It is on disk."""


class Homecoming:
    """Brings home what came of one job.

    Args:
        target: where its clips go; refuge: where they go when that fails. candidates: of the whole run.
        ending: the end of its run, where that may come with it.

    Attributes:
        outputs: rows of the clips that came. notes: for people.
    """

    def __init__(
        self, errand: Errand, target: Target, refuge: Target, candidates: int, ending: Ending
    ) -> None:
        self.outputs: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self._ending = ending
        self._errand = errand
        self._target = target
        self._refuge = refuge
        self._candidates = candidates

    # -- with clips -------------------------------------------------------------------------------------------------

    async def collect(self, done: Done) -> None:
        """Fetch, check and publish every output, then settle.

        Raises:
            VidorchError: they could not be fetched or written; the job stays open.
        """
        errand = self._errand
        assert errand.accepted is not None
        if errand.job.state != State.DOWNLOADING:
            await errand.move(State.DOWNLOADING, working_at=errand.working_at)
        porter = Porter(
            errand.provider, errand.context, errand.purchase, self._target, self._refuge, self._candidates,
            errand.services.ids.new, errand.clock,
        )  # fmt: skip
        brought: list[Brought] = []
        bad: list[BadMedia] = []
        for output in done.outputs:
            try:
                brought.append(await porter.bring(errand.job, errand.accepted, output))
            except BadMedia as error:  # one of several may be spoilt; the others are clips all the same
                bad.append(errand.clean(error))
            except Exception as error:
                why = self._not_brought(errand.clean(error))
                if not errand.job.outlives_caller:
                    await errand.end(State.FAILED, why, errand.cost_of_hours(made=False))
                    return
                if errand.is_over_for_good():
                    await errand.lose(f"Its result cannot be fetched any more ({why.message}).")
                    return
                raise why from error  # the result is still at the vendor: the job stays open for another look
        errand.watch.lap("download")
        if not brought:
            cost = self._cost_of_end("failed", done.cost, None, sure=False)
            bad[0].charged = cost.charged if cost is not None else False
            await errand.end(State.FAILED, bad[0], cost)
            return
        await self._settle(done, brought, bad)

    async def _settle(self, done: Done, brought: list[Brought], bad: list[BadMedia]) -> None:
        errand = self._errand
        cost = self._cost(done, len(brought) + len(bad))  # what came spoilt was made all the same
        rows = [one.row for one in brought]
        now = errand.clock.now()
        for row, share in zip(rows, shares(cost.usd, len(rows)), strict=True):
            row |= {"cost": share, "created_at": now}
        withheld = done.filter_reasons or tuple("withheld by policy" for _ in range(done.filtered))
        reasons = [*withheld, *(str(error) for error in bad)]
        notes = [*done.notes, *(one.published.note for one in brought if one.published.note)]
        self.notes += notes
        data = {name: value for name, value in (("notes", notes), ("withheld", reasons)) if value}
        run_ends = self._ending.with_last(errand.job, rows, self.notes)
        try:
            await errand.move(
                State.SETTLED,
                made=rows,
                cost=cost.usd,
                note=data or None,
                run_ends=run_ends,
                cost_basis=cost.basis,
                charged=None if cost.charged is None else int(cost.charged),
                progress=1.0,
                polls=errand.polls,
                error_text="; ".join(reasons) or None,
                timings=errand.timings(dict(done.timings)),
            )
        except Overtaken as lost:
            if (
                lost.job.state in ENDS
            ):  # else the other owner is still at it, and may have taken our file for its own
                await in_thread(self._withdraw, brought)
            raise
        self.outputs = rows
        if run_ends is not None:
            self._ending.is_written()

    def _withdraw(self, brought: list[Brought]) -> None:
        """Take back what nobody's row speaks of: the other owner published its own."""
        kept = {row["uri"] for row in self._errand.ledger.outputs(self._errand.job.run_id)}
        for one in brought:
            if one.published.uri not in kept:
                with contextlib.suppress(Exception):
                    self._target.withdraw(one.published)

    def _not_brought(self, error: Exception) -> VidorchError:
        job = self._errand.job
        where: dict[str, Any] = {"run_id": job.run_id, "job_id": job.id, "remote_id": job.remote_id}
        again = f"The vendor still has it: vidorch jobs resume {job.run_id}" if job.outlives_caller else ""
        charged = None if job.billed else False
        if isinstance(error, OSError) and not isinstance(error, VidorchError):
            return ProviderFailed(
                f"The clip was made but could not be written: {error.strerror or error}"
                f"{f' ({error.filename})' if error.filename else ''}.",
                hint=f"Make room, or choose another place with output= or VIDORCH_HOME. {again}".rstrip(),
                charged=charged, **where,
            )  # fmt: skip
        if not job.outlives_caller:
            return typed(error, job.provider, sent=False)
        return ProviderFailed(
            f"The clip was made but could not be fetched: {error}", hint=again, charged=charged, provider=job.provider, **where,
        )  # fmt: skip

    # -- without ----------------------------------------------------------------------------------------------------

    async def end_without_output(self, done: Done) -> None:
        """Everything that was made is withheld, or nothing was made at all; what it cost is booked all the same."""
        provider = self._errand.job.provider
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
        await self._errand.end(target, error, cost)

    async def end_as_failed(self, failed: Failed) -> None:
        """It failed, was refused, or was cancelled, by its vendor's word."""
        error, answer = failed.error, self._errand.answer
        if failed.cancelled:
            how, target = "cancelled", State.CANCELLED
            said = error.charged if answer is None or answer.charged is None else answer.charged
        elif isinstance(error, Refused):
            how, target, said = f"refused_{error.stage}", State.REFUSED, error.charged
        else:
            how, target, said = "failed", State.FAILED, error.charged
        cost = self._cost_of_end(how, failed.cost, said)
        error.charged = cost.charged if cost is not None else bool(said)
        await self._errand.end(target, error, cost)

    # -- what it cost -----------------------------------------------------------------------------------------------

    def _cost_of_end(
        self, how: str, reported: Decimal | Billed | None, charged: bool | None, *, sure: bool = True
    ) -> Cost | None:
        """None where it cost nothing that is money: what one's own hardware did for nothing is not imputed."""
        if not self._errand.job.billed:
            return None
        if (used := self._errand.cost_of_hours(made=False)) is not None:
            return used
        return cost_of_end(self._errand.purchase, how, reported=reported, charged=charged, sure=sure)

    def _cost(self, done: Done, made: int) -> Cost:
        """What a finished job really cost, and how that is known."""
        errand = self._errand
        if errand.purchase.offer.price.rule == "free":
            return Cost(Decimal(0), "imputed", False)
        if (used := errand.cost_of_hours(said=done.timings.get("run"))) is not None:
            return used
        return cost_of_clips(errand.purchase, reported=done.cost, made=made, withheld=done.filtered)
