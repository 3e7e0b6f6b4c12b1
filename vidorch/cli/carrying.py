"""Waiting for a run as a command does: shown as it goes, let go of when it is told to, cancelled when it is told twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from vidorch.cli.books import reading
from vidorch.cli.cancelling import SECONDS_TO_STOP, cancel_and_tell
from vidorch.cli.display import Display
from vidorch.cli.exits import Exit
from vidorch.cli.say import as_json, aside
from vidorch.cli.signals import CTRL_C, Signals, exit_of_signal
from vidorch.cli.standing import Standing, standing_of, tell
from vidorch.cli.words import price_of_cancelling, say_result
from vidorch.client.aio import AsyncClient, AsyncRun
from vidorch.errors import TimedOut, VidorchError
from vidorch.ledger.moves import BEFORE_SENDING, ENDS, State
from vidorch.result import Job, Result

__all__ = ["SECONDS_TO_THINK", "Carrier", "leave"]

SECONDS_TO_THINK = 3.0
"""How long a second Ctrl-C is waited for."""
PATIENCE = 0.5


@dataclass(slots=True)
class Carrier:
    """Carries one run to its end, or lets go of it in order.

    Attributes:
        hosted: whether any of its work goes on when this process ends. timeout: seconds to wait for it.
        detach: let go as soon as everything is sent. as_document: `--json`.
    """

    client: AsyncClient
    display: Display
    hosted: bool
    timeout: float | None = None
    detach: bool = False
    as_document: bool = False

    def carry(self, start: Callable[[], Awaitable[AsyncRun]]) -> Exit:
        """Start a run and see it through. Blocks.

        Raises:
            VidorchError: it could not be started, or gave nothing.
        """
        return asyncio.run(self._carry(start))

    async def _carry(self, start: Callable[[], Awaitable[AsyncRun]]) -> Exit:
        with Signals() as signals, self.display:
            try:
                beginning = asyncio.ensure_future(start())
                heard = await signals.during(beginning)
                run = await beginning  # it is written down within moments, and only then can it be let go of
                if heard is None:
                    work = asyncio.ensure_future(self._wait_for(run))
                    heard = await signals.during(work)
                    self.display.stop()
                    if heard is None:
                        return await self._done(run, work, signals)
                    work.cancel()
                    await asyncio.wait([work])
                self.display.stop()
                if not self.hosted:
                    return await self._end_inside(run, heard)
                return await self._let_go(run, signals, heard)
            finally:
                await self.client.aclose()

    async def _wait_for(self, run: AsyncRun) -> Result | None:
        if not self.detach:
            return await run.wait(self.timeout)
        await run.submitted()
        return None

    async def _done(self, run: AsyncRun, work: asyncio.Future[Result | None], signals: Signals) -> Exit:
        try:
            result = await work
        except TimedOut as error:
            if error.job_id is not None:  # the job's own deadline, which says all there is to say
                raise
            return await self._out_of_time(run, signals)
        if result is None:
            return await self._detached(run, signals)
        self._show(result)
        return Exit.OK

    async def _detached(self, run: AsyncRun, signals: Signals) -> Exit:
        await leave(self.client, signals)
        standing = _read(run.id)
        self._tell(standing, f"{run.id}\n")
        return Exit.OK if standing.state == "open" and not standing.unknown else standing.code

    async def _out_of_time(self, run: AsyncRun, signals: Signals) -> Exit:
        """`--timeout` is over: what is hosted goes on without us, what works in here ends."""
        seconds = self.timeout or 0
        if not self.hosted:
            if (done := await self._cancel_inside(run)) is not None:
                aside(f"Done at the last moment, after {seconds:g} s:")
                self._show(done)
                return Exit.TIMED_OUT
            raise TimedOut(
                f"Not finished after {seconds:g} s. The work ran inside this process and was cancelled; it cost nothing.",
                hint="Give it more time, or leave --timeout out.", charged=False, run_id=run.id,
            )  # fmt: skip
        await leave(self.client, signals)
        standing = _read(run.id)
        if standing.over:
            aside(f"Done at the last moment, after {seconds:g} s:")
            self._tell(standing)
            return Exit.TIMED_OUT if standing.result is not None else standing.code
        steps = standing.next_steps()
        raise TimedOut(
            f"Not finished after {seconds:g} s. {_goes_on(standing)}",
            hint=f"Get it back with: {steps[0]}" if steps else "", charged=None, run_id=run.id,
        )  # fmt: skip

    # -- told to stop ---------------------------------------------------------------------------------------------------

    async def _end_inside(self, run: AsyncRun, heard: int) -> Exit:
        """Work inside this process ends with it; here it ends in order, and the ledger says that somebody wished it."""
        if (done := await self._cancel_inside(run)) is not None:
            aside("Interrupted, but it was nearly done:")
            self._show(done)
        else:
            self._say(f"Interrupted; the run {run.id} was cancelled.", run.id, charged=False)
        return exit_of_signal(heard)

    async def _cancel_inside(self, run: AsyncRun) -> Result | None:
        with contextlib.suppress(VidorchError):
            await run.cancel()
        with contextlib.suppress(VidorchError):
            return await run.wait(SECONDS_TO_STOP)
        return None

    async def _let_go(self, run: AsyncRun, signals: Signals, heard: int) -> Exit:
        """The first Ctrl-C ends the waiting alone; a second one, within moments, cancels at the vendor."""
        code, jobs = exit_of_signal(heard), await run.jobs()
        began = asyncio.get_running_loop().time()
        said = any(State(job.state) not in (*ENDS, *BEFORE_SENDING) for job in jobs)
        if said:
            self._announce(run.id, jobs, heard)
        pressed = await leave(self.client, signals)
        standing = _read(run.id)
        if standing.over:
            aside("Interrupted, but it had come to its end:")
            self._tell(standing)
            return code
        if not said:
            self._announce(run.id, standing.jobs, heard)
        wants_cancel = said and pressed  # whoever presses again was told before what that costs
        if heard == CTRL_C and standing.at_work and not wants_cancel:
            left = SECONDS_TO_THINK - (asyncio.get_running_loop().time() - began)
            wants_cancel = left > 0 and await signals.next(left) == CTRL_C
        if wants_cancel and standing.at_work:
            aside("Cancelling at the vendor ...")
            error = await cancel_and_tell(run.id)
            standing = _read(run.id, error)
            self._document(standing, "Cancelled.")
            return code
        if standing.unknown or standing.unsent:
            tell(replace(standing, jobs=tuple(standing.unknown)), quiet=True)
        self._document(standing, f"Interrupted. {_goes_on(standing)}")
        return code

    def _announce(self, run_id: str, jobs: Iterable[Job], heard: int) -> None:
        """Say what becomes of the run, how to get it back, and what a second Ctrl-C would do and cost."""
        word = "Interrupted" if heard == CTRL_C else "Told to stop"
        out = [job for job in jobs if State(job.state) not in (*ENDS, *BEFORE_SENDING)]
        if not out:
            aside(f"{word}.")
            return
        where = " and ".join(dict.fromkeys(job.endpoint for job in out))
        aside(f"{word}. {run_id} goes on at {where}, and nothing of it is lost.")
        aside(f"Get it back with: vidorch jobs resume {run_id}")
        known = [job for job in out if job.state != State.UNKNOWN]
        if heard == CTRL_C and known:
            aside(
                f"To cancel it there, press Ctrl-C again within {SECONDS_TO_THINK:g} s. {price_of_cancelling(known)}"
            )

    # -- saying it ------------------------------------------------------------------------------------------------------

    def _show(self, result: Result) -> None:
        if self.as_document:
            as_json(result.to_dict())
            return
        places, asides = say_result(result)
        for line in asides:
            aside(line)
        for place in places:
            print(place)

    def _tell(self, standing: Standing, out: str = "") -> None:
        if self.as_document:
            as_json(standing.document())
            tell(standing, quiet=True)
        elif out:
            print(out, end="", flush=True)
            tell(standing, quiet=True)
        else:
            tell(standing)

    def _document(self, standing: Standing, message: str) -> None:
        if self.as_document:
            interrupted = {"type": "Interrupted", "message": message, "charged": _charged(standing)}
            as_json(standing.document() | {"error": interrupted})

    def _say(self, text: str, run_id: str, *, charged: bool) -> None:
        aside(text)
        if self.as_document:
            as_json({"run_id": run_id, "error": {"type": "Interrupted", "message": text, "charged": charged}})


async def leave(client: AsyncClient, signals: Signals) -> bool:
    """Let go in order, however long the answer to a submit takes. Whether Ctrl-C came (again) meanwhile.

    Raises:
        LedgerUnavailable: the id of what was just paid for could not be written down; the message has it.
    """
    leaving = asyncio.ensure_future(client.aclose())
    again, said = False, False
    while not leaving.done():
        heard = await signals.during(leaving, PATIENCE)
        again = again or heard == CTRL_C
        if not leaving.done() and not said:
            aside("Waiting for the answer to what was just sent, so that its id is not lost ...")
            said = True
    await leaving
    return again


def _read(run_id: str, error: VidorchError | None = None) -> Standing:
    with reading() as ledger:
        assert ledger is not None
        return standing_of(ledger, run_id, error)


def _goes_on(standing: Standing) -> str:
    if standing.unknown and not standing.at_work:
        return "Whether its vendor took it is not known: it is not sent again, and what it may cost stays reserved."
    if standing.at_work or standing.unknown:
        return "It goes on at its vendor; what it may cost stays reserved."
    return "What was not sent cost nothing."


def _charged(standing: Standing) -> bool | None:
    if any(job.charged for job in standing.jobs):
        return True
    return None if standing.at_work or standing.unknown else False
