"""One job's life, from `reserved` to its end, along the table of moves; taken up at any state, by whoever owns it.

The provider does one thing at a time and decides nothing; each step is in the ledger before the next one is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from vidorch.contract import Cancelled, Done, Failed
from vidorch.engine.errand import Errand, Overtaken, Report
from vidorch.engine.homing import Ending, Homecoming
from vidorch.engine.purchase import Purchase
from vidorch.engine.sending import Sender
from vidorch.engine.services import Services
from vidorch.engine.shielding import unless_cancelled_first
from vidorch.engine.targets import Target
from vidorch.engine.telemetry import JobSpan
from vidorch.engine.watching import Lookout
from vidorch.errors import VidorchError
from vidorch.ledger.ledger import MovedMeanwhile
from vidorch.ledger.moves import BEFORE_SENDING, ENDS, State
from vidorch.result import Job

__all__ = ["JobDriver"]


class JobDriver:
    """Drives one job. Made by the run that owns it, used once.

    Args:
        job: as the ledger has it, and ours. target: where its clips go; refuge: where they go when that fails.
        candidates: of the whole run. ending: its end, where that may come with this job's.
        report: told about every step, for progress displays. span: told too, for whoever watches the whole system.
    """

    def __init__(
        self, job: Job, purchase: Purchase, services: Services, *, target: Target, refuge: Target, candidates: int,
        ending: Ending, report: Report, span: JobSpan,
    ) -> None:  # fmt: skip
        self._is_submitted = False
        self._waiting_for_it: asyncio.Event | None = None
        self._errand = Errand(job, purchase, services, folder=refuge.folder, report=report, span=span)
        self._sender = Sender(self._errand)
        self._home = Homecoming(self._errand, target, refuge, candidates, ending)

    @property
    def job(self) -> Job:
        """The job as far as it is known here."""
        return self._errand.job

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the vendor would take the same submit again; None when a repeat makes no sense."""
        return self._sender.retry_after

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """Rows of the clips that came."""
        return self._home.outputs

    @property
    def notes(self) -> list[str]:
        """For people."""
        return self._home.notes

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
            await self._drive()
        except Overtaken as lost:
            self._errand.span.end(lost.job)
            raise
        except (Exception, BaseExceptionGroup) as error:
            self._errand.span.end(self.job, error)
            raise
        self._errand.span.end(self.job)

    async def _drive(self) -> None:
        errand, sender = self._errand, self._sender
        try:
            if self.job.state in BEFORE_SENDING and not await sender.send():
                return
            if (
                self.job.state == State.SENDING
            ):  # found like this: whoever sent it is gone, and its answer with them
                await errand.move(
                    State.UNKNOWN, error_text="The process that sent it ended before an answer came."
                )
            self._submitted()
            if self.job.state == State.UNKNOWN and not await sender.find():
                return
            if self.job.state not in ENDS:
                found = await Lookout(errand).until_over()
                sender.free_slot()
                await self._bring_home(found)
        finally:
            sender.free_slot()
            self._submitted()

    async def submitted(self) -> None:
        """Wait until the submission is accepted, unknown, or ended without being."""
        if self._is_submitted:
            return
        if self._waiting_for_it is None:  # most jobs are waited for to their end
            self._waiting_for_it = asyncio.Event()
        await self._waiting_for_it.wait()

    def _submitted(self) -> None:
        self._is_submitted = True
        if self._waiting_for_it is not None:
            self._waiting_for_it.set()

    async def _bring_home(self, found: Done | Failed | None) -> None:
        if isinstance(found, Failed):
            await self._home.end_as_failed(found)
        elif found is not None and not found.outputs:
            await self._home.end_without_output(found)
        elif found is not None and self.job.outlives_caller:
            await self._home.collect(found)
        elif found is not None:
            # Worker threads cannot be cancelled: what is nearly a clip becomes one.
            await unless_cancelled_first(self._home.collect(found))

    async def cancel(self) -> None:
        """Ask for its end: at once before anything was sent, at the vendor after that, and there only once.

        Raises:
            VidorchError: the provider could not be asked, or cannot cancel; the job goes on.
        """
        self._errand.cancelled = True
        await self._errand.stop_at_vendor()
        self._errand.rouse()

    def was_asked_to_stop(self, answer: Cancelled | None) -> None:
        """The vendor was asked already, before this driver was made."""
        self._errand.was_asked_to_stop(answer)

    async def leave(self) -> None:
        """The process lets go: work that cannot outlive it is written down as abandoned. It cost nothing, unless its
        hardware is billed: then the seconds that it was worked on."""
        state = self.job.state
        if state in ENDS or not (state in BEFORE_SENDING or not self.job.outlives_caller):
            return
        with contextlib.suppress(VidorchError):
            await self._errand.stop_at_vendor()
        with contextlib.suppress(MovedMeanwhile, Overtaken):
            cost = self._errand.cost_of_hours(made=False) if self.job.billed else None
            if cost is not None and cost.usd:
                await self._errand.move(
                    State.ABANDONED,
                    cost=cost.usd,
                    cost_basis=cost.basis,
                    charged=None if cost.charged is None else 1,
                )
            else:
                await self._errand.move(State.ABANDONED, charged=0)

    def is_let_go(self) -> None:
        """This process does nothing more for it."""
        self._errand.span.end(self.job)
