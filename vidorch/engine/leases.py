"""The runs of this process and their leases: renewed while it lives, and given back for whatever it drives no more."""

from __future__ import annotations

import asyncio
import contextlib

from vidorch.engine.carrying import LiveRun
from vidorch.engine.hosts import HEARTBEAT, LEASE
from vidorch.engine.services import Services
from vidorch.errors import VidorchError
from vidorch.offloop import in_thread, written
from vidorch.result import Job

__all__ = ["Leases"]


class Leases:
    """Keeps hold of the runs that this process drives, and lets go of those that it does not drive any more.

    Attributes:
        live: the runs that it drives, by id.
        loop: where they are driven.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ledger = services.ledger
        self.live: dict[str, LiveRun] = {}
        self._stranded: dict[str, LiveRun] = {}
        """Runs that ended here while the ledger could not be written: it still takes us for their owner."""
        self._doubtful: set[str] = set()
        """Runs that could not be written, as it was said, and could not be looked for."""
        self._releasing = asyncio.Lock()
        services.host.enter()
        self._heart = asyncio.create_task(self._beat(), name="vidorch-leases")
        self.loop = self._heart.get_loop()

    async def _beat(self) -> None:
        """Renew the leases of this process. In real time whatever the clock: it tells others that we live."""
        while True:
            await asyncio.sleep(HEARTBEAT)
            await self._release_doubtful()
            await self.release_stranded()
            if self.live:
                self._ledger.renew(self._services.host.owner, self._services.clock.now() + LEASE)

    def holds(self, run: LiveRun) -> None:
        """From now on this process drives it."""
        self.live[run.id] = run

    def lets_go(self, run: LiveRun) -> None:
        """It is over here, or was left; given back later where the ledger could not be told."""
        if self.live.get(run.id) is run:
            del self.live[run.id]
        if run.is_stranded:
            self._stranded[run.id] = run

    async def release_stranded(self) -> None:
        """Give back what could not be given back before: renewed with the other leases, it would be nobody's for ever."""
        if not self._stranded:
            return
        async with self._releasing:  # twice would take it from whoever of this process took it up in between
            for run in list(self._stranded.values()):
                await run.release()
                if not run.is_stranded:
                    del self._stranded[run.id]

    async def found_on_disk(self, run_id: str) -> list[Job] | None:
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

    async def aclose(self) -> None:
        """Renew nothing any more, and let go of every run; what is left is anybody's.

        Raises:
            Exception: the first trouble that a run had, once all the others were let go.
        """
        self._heart.cancel()
        problems = []
        for run in list(self.live.values()):
            try:
                await run.leave()
            except Exception as error:  # one run's trouble is not to keep the others
                problems.append(error)
        self._services.host.leave()
        if problems:
            raise problems[0]
