"""`AsyncRun`: a handle on one run, whoever carries it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from vidorch.engine.asked import Asked
from vidorch.errors import InvalidRequest, SubmissionUnknown, TimedOut, VidorchError
from vidorch.money import usd
from vidorch.offloop import awaited, in_thread
from vidorch.result import Event, Job, Progress, Result

if TYPE_CHECKING:
    from vidorch.client.aio import AsyncClient
    from vidorch.engine.carrying import LiveRun
    from vidorch.engine.joining import Joined
    from vidorch.ledger.ledger import Ledger

__all__ = ["AsyncRun"]

LOOK_EVERY = 0.5


class AsyncRun:
    """A handle on a run: of this process while it is live, and by the ledger afterwards."""

    def __init__(
        self,
        client: AsyncClient,
        run_id: str,
        live: LiveRun | None,
        asked: Asked | None,
        joined: Joined | None = None,
    ) -> None:
        self.id = run_id
        self._client = client
        self._live = live
        self._asked = asked
        self._joined = joined
        self._bought: set[str] = set()
        """Jobs that the joining call bought: what of the run was not sent before."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    @property
    def _ledger(self) -> Ledger:
        return self._client._opened_ledger()

    async def state(self) -> str:
        """open, waiting, finished, failed or cancelled."""
        row = await in_thread(self._ledger.run, self.id)
        return str(row["state"]) if row else "unknown"

    @property
    def progress(self) -> float | None:
        """0 to 1 over all candidates; None while nothing is known."""
        latest = self._latest
        return latest.fraction if latest else None

    @property
    def eta(self) -> float | None:
        """Seconds left; None while nothing is known."""
        latest = self._latest
        return latest.eta if latest else None

    @property
    def _latest(self) -> Progress | None:
        return self._live.progress if self._live is not None else None

    async def jobs(self) -> list[Job]:
        """Its jobs, in order of candidates."""
        return await in_thread(lambda: self._ledger.jobs(run_id=self.id))

    async def events(self) -> list[Event]:
        """Its history, oldest first."""
        return await in_thread(self._ledger.events, self.id)

    async def submitted(self) -> None:
        """Wait until every candidate's first submission is accepted, rejected or unknown, with the ids on disk."""
        if self._live is not None:
            await awaited(self._live.submitted())

    async def wait(self, timeout: float | None = None) -> Result:
        """Wait for the result. A run that nobody carries any more is taken up for that.

        Args:
            timeout: seconds; None waits until it is done.

        Raises:
            TimedOut: `timeout` seconds are over; the run goes on.
            VidorchError: it failed; see `generate`.
        """
        if self._joined is None:
            return await self._wait(timeout)
        try:
            result = await in_thread(self._joined.publish, await self._wait(timeout))
        except VidorchError as error:
            try:
                jobs = await self.jobs()
            except (VidorchError, RuntimeError):  # the ledger is closed or gone, and cannot be asked who paid
                raise error from error.__cause__
            raise self._joined.tell_error(error, jobs, self._bought) from error.__cause__
        return self._joined.tell(result, await self.jobs(), self._bought)

    async def _wait(self, timeout: float | None) -> Result:
        from vidorch.engine.waiting import within

        try:
            waiting = self._finished()
            result = await awaited(
                waiting if timeout is None else within(self._client._clock, timeout, waiting)
            )
        except TimeoutError as error:
            if isinstance(error, VidorchError):
                raise
            raise TimedOut(
                f"The run {self.id} is not finished after {timeout:g} s. It goes on while this process lives, and at its vendor "
                "after that; what it costs is reserved.",
                hint=f"Get it back with client.run({self.id!r}).wait(), or from anywhere with: vidorch jobs resume {self.id}",
                run_id=self.id,
            ) from None
        except asyncio.CancelledError as cancelled:
            cancelled.add_note(
                f"Only the waiting for the run {self.id} ended. Hosted work goes on and is paid for; get it back with "
                f"client.run({self.id!r}).wait(), or from anywhere with: vidorch jobs resume {self.id}"
            )
            raise
        return await self._chosen(result)

    async def _finished(self) -> Result:
        """The result, whoever brings it about."""
        from vidorch.engine.results import read_result
        from vidorch.engine.waiting import waits_for_submit

        while True:
            if (live := self._live) is not None:
                try:
                    return await live.wait()
                except VidorchError as error:
                    is_open = isinstance(error, (TimedOut, SubmissionUnknown)) or await self._goes_on()
                    if is_open and self._live is live:  # and not what another waiter had taken up meanwhile
                        self._live = None  # whoever waits again has it looked for again
                    raise
                finally:
                    if self._joined is not None and live.asked is self._asked:
                        self._bought.update(live.bought)
            row = await in_thread(self._ledger.run, self.id)
            if row is None or (row["state"] not in ("open", "waiting") and not await self._is_at_work()):
                return await in_thread(read_result, self._ledger, self.id)
            engine = await self._client._open(free=False)
            self._live = await engine.take_up(self.id, self._asked)
            if self._live is None and row["state"] == "waiting":
                raise waits_for_submit(row)
            if self._live is None:
                await self._client._clock.sleep(LOOK_EVERY)

    async def _goes_on(self) -> bool:
        """Whether something of it is still open, as far as the ledger can be asked."""
        try:
            return await self._is_at_work()
        except (VidorchError, RuntimeError):  # closed or gone
            return False

    async def _is_at_work(self) -> bool:
        return bool(await in_thread(lambda: self._ledger.open_jobs(run_id=self.id)))

    async def _chosen(self, result: Result) -> Result:
        """The clip that this caller's own selection wants, where that is not the one that the run handed over."""
        select = self._asked.call.select if self._asked is not None else None
        if (
            select is None
            or (self._live is not None and self._live.asked is self._asked)
            or len(result.candidates) < 2
        ):
            return result
        from vidorch.selection import select_from

        selection = await in_thread(select_from, select, result.candidates)
        notes = (*result.notes, *selection.notes)
        return replace(result, clip=result.candidates[selection.chosen], notes=notes)

    async def result(self) -> Result:
        """The result of a finished run; waits if it is not."""
        return await self.wait()

    async def cancel(self) -> None:
        """Ask every open job of this run to end, whoever carries it, and begin no other. What was already paid stays paid.

        Raises:
            InvalidRequest: it works inside another process, which alone can stop it.
            VidorchError: a vendor could not be asked, or cannot cancel.
        """
        engine = await self._client._open(free=False)
        live = self._live or engine.live.get(self.id)
        if live is not None:
            await live.cancel()
        else:
            await engine.cancel(self.id)

    async def detach(self) -> None:
        """Let go of the run: its jobs go on at their vendors, and any process may take it up.

        Raises:
            InvalidRequest: it works inside this process, and would end with that.
        """
        engine = await self._client._open(free=False)
        await engine.detach(self.id)
        self._live = None

    async def proceed(
        self,
        *,
        max_cost: str | int | Decimal | None = None,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> None:
        """Send what was not sent yet of a run that is `waiting`: its process ended before it could.

        Args:
            max_cost: USD that the whole run may cost at most, what it has cost so far included. Default: as it was begun with.
            on_progress: as for `generate`.

        Raises:
            InvalidRequest: it had inputs that are kept nowhere; the same call with its key goes on. Or it does not wait.
            OverBudget, ...: as `generate`. Nothing was sent, and it still waits.
        """
        from vidorch.engine.again import request_again
        from vidorch.engine.paying import must_fit_again

        engine = await self._client._open(free=False)
        row = await in_thread(self._ledger.run, self.id)
        if row is None or row["state"] != "waiting":
            raise InvalidRequest(
                f"The run {self.id} is {row['state'] if row else 'gone'}, not waiting; there is nothing to send.",
                field="run_id", value=self.id, allowed="a run that is waiting",
            )  # fmt: skip
        request, call = request_again(row)
        call = replace(call, on_progress=on_progress)
        if max_cost is not None:
            call = replace(call, max_cost=usd(max_cost, "max_cost"))
        plan, estimate = await in_thread(self._client.prepare, request, call)
        asked = Asked(request, call, plan, estimate, row["parent_id"], row["position"])
        await in_thread(must_fit_again, asked, self.id, self._ledger, self._client._clock.now())
        self._asked = asked
        self._live = await engine.take_up(self.id, asked)
