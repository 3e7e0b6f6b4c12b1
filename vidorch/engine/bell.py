"""Word from vendors: who waits for it in this process, and what a delivery changes in the ledger."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from vidorch.contract import Delivery, Endpoint
from vidorch.ledger.ledger import Claimed, Ledger, MovedMeanwhile
from vidorch.ledger.moves import State
from vidorch.offloop import in_thread, written
from vidorch.result import Received

if TYPE_CHECKING:
    from vidorch.clock import Ids
    from vidorch.contract import Clock

__all__ = ["Bell"]

LISTEN_EVERY = 1.5
"""Seconds between two looks at what other processes received."""


class Bell:
    """Wakes whoever waits for a job that a vendor has just spoken of."""

    def __init__(self, ledger: Ledger, clock: Clock, ids: Ids) -> None:
        self._ledger = ledger
        self._clock = clock
        self._ids = ids
        self._waiting: dict[str, Callable[[], None]] = {}
        self._heard: dict[str, int] = {}
        """How many deliveries of each job were heard: vendors may call at every step of one."""
        self._ear: asyncio.Task[None] | None = None

    def wait(self, job_id: str, wake: Callable[[], None]) -> None:
        """From now on `wake` is called when there is word of the job."""
        self._waiting[job_id] = wake
        if self._ear is None or self._ear.done():
            self._ear = asyncio.create_task(self._listen(), name="vidorch-deliveries")

    def forget(self, job_id: str) -> None:
        """Nobody waits for it any more."""
        self._waiting.pop(job_id, None)
        self._heard.pop(job_id, None)
        if not self._waiting and self._ear is not None:
            self._ear.cancel()
            self._ear = None

    def close(self) -> None:
        """Stop listening."""
        self._waiting.clear()
        if self._ear is not None:
            self._ear.cancel()

    async def _listen(self) -> None:
        """Notice what another process was told: its web server, while this one waits."""
        while True:
            for job_id in list(self._waiting):
                with contextlib.suppress(Exception):  # polling goes on all the same
                    count = await in_thread(self._ledger.delivered, job_id)
                    if count > self._heard.get(job_id, 0):
                        self._heard[job_id] = count
                        self._ring(job_id)
            await self._clock.sleep(LISTEN_EVERY)

    def _ring(self, job_id: str) -> None:
        if (wake := self._waiting.get(job_id)) is not None:
            wake()

    async def receive(self, where: Endpoint, scope: str, delivery: Delivery, digest: str) -> Received:
        """Write a verified delivery down and wake whoever waits. A job whose reply was lost gets its id by it.

        Args:
            digest: of the body.
        """
        job = await in_thread(
            self._ledger.job_of_delivery, where.name, where.account, delivery.token, delivery.remote_id
        )
        if job is not None and job.scope != scope:
            job = None
        now = self._clock.now()
        fresh = await written(self._ledger.receive({
            "id": self._ids.new("dlv"), "endpoint": where.name, "scope": scope, "delivery_id": delivery.delivery_id,
            "token": None, "remote_id": delivery.remote_id, "job_id": None if job is None else job.id, "body_hash": digest,
            "received_at": now, "handled_at": now,
        }))  # fmt: skip
        if job is None:
            return Received(None, None, not fresh)
        if job.state == State.UNKNOWN and delivery.remote_id and delivery.token:
            changes = {"remote_id": delivery.remote_id, "owner": None, "lease_until": None}
            with contextlib.suppress(Claimed, MovedMeanwhile):
                await written(
                    self._ledger.move(
                        job, State.ACCEPTED, now, changes=changes, note={"delivery": delivery.delivery_id}
                    )
                )
        self._ring(job.id)
        return Received(job.id, job.run_id, not fresh)
