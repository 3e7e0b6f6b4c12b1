"""The adapter to that vendor: an honest one, that tells what it sees and decides nothing."""

from __future__ import annotations

import functools
import struct
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import numpy as np

from tests.remote.books import Books, Sent
from tests.remote.fates import Fate
from vidorch import media
from vidorch.contract import (
    Accepted,
    Cancelled,
    Context,
    Done,
    Failed,
    FoundJob,
    LookFor,
    Output,
    Polled,
    Prepared,
    Progress,
    Provider,
    Rejected,
)
from vidorch.errors import InvalidRequest, ProviderFailed, Refused, Throttled
from vidorch.money import from_micros, to_micros

__all__ = ["FateOf", "Remote", "clip_bytes"]

FateOf = Callable[[int, str, int], Fate]
"""(number of the submit, offer, clips of the job) -> what becomes of it."""


def always(number: int, offer: str, samples: int) -> Fate:
    """Everything succeeds."""
    return Fate()


class Remote(Provider):
    """Speaks to the vendor behind `books`.

    Args:
        fate_of: what becomes of each submit. now: the vendor's own clock.
    """

    name: ClassVar[str] = "remote"
    simulated: ClassVar[bool] = True

    def __init__(self, books: Books, fate_of: FateOf = always, now: Callable[[], float] = time.time) -> None:
        self.books = books
        self.fate_of = fate_of
        self.now = now

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        sent = self.books.send(
            self.fate_of, context.job_id, prepared.offer.name, prepared.request.describe(), context.samples,
            price_of(prepared, context.samples), self.now(),
        )  # fmt: skip
        fate = sent.fate
        if fate.reply:
            await context.clock.sleep(fate.reply)
        if fate.answer == "throttled":
            raise Rejected(Throttled("Too many at once.", charged=False), retry_after=fate.retry_after)
        if fate.answer == "rejected":
            raise Rejected(ProviderFailed("Not today.", charged=False))
        if fate.answer == "refused":
            raise Rejected(Refused("Not that.", stage="input", charged=False))
        if sent.remote_id is None or fate.answer == "silent":
            raise ConnectionResetError("The connection was reset.")
        return Accepted(sent.remote_id, details={"at": "remote"})

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        sent, now = self._job(accepted.remote_id), self.now()
        fate = sent.fate
        if fate.lost_polls and self.books.count(accepted.remote_id, "poll") < fate.lost_polls:
            raise TimeoutError("No answer.")
        if sent.was_cancelled:
            return Failed(ProviderFailed("Cancelled.", charged=False), cancelled=True)
        if now < sent.ends_at:
            return Progress("running", 0.5) if now > sent.at + fate.reply else Progress("queued")
        if fate.odd_polls and self.books.count(accepted.remote_id, "odd") < fate.odd_polls:
            return Progress("running", detail="rebalancing")
        cost = from_micros(sent.bill or 0) if fate.tells else None
        if fate.ending == "failed":
            return Failed(ProviderFailed("The model failed.", charged=fate.charged), cost=cost)
        if fate.ending == "refused":
            return Failed(Refused("Not that either.", stage="output", charged=fate.charged), cost=cost)
        outputs = tuple(Output(number, f"{sent.remote_id}/{number}") for number in sent.made)
        return Done(outputs, cost=cost, filtered=sent.samples - len(outputs))

    async def fetch(self, context: Context, output: Output, path: Path) -> None:
        remote_id, _, number = output.ref.partition("/")
        number, _, renewed = number.partition("?")
        fate = self._job(remote_id).fate
        if fate.ending == "gone" or fate.link == "dead" or (fate.link == "expired" and not renewed):
            raise PermissionError("The link has expired.")
        name = f"{remote_id}/{number}"
        data = clip_bytes(name)
        if fate.bad_files and (fate.bad_files < 0 or self.books.count(name, "file") < fate.bad_files):
            data = data[: len(data) // 3]
        path.write_bytes(data)  # noqa: ASYNC240  (a few kilobytes)

    async def refresh(self, context: Context, accepted: Accepted, output: Output) -> Output:
        if self._job(accepted.remote_id).fate.link == "dead":
            raise FileNotFoundError("There is no such result.")
        return replace(output, ref=f"{output.ref.partition('?')[0]}?renewed")

    async def cancel(self, context: Context, accepted: Accepted) -> Cancelled:
        self.books.cancel(accepted.remote_id, self.now())
        return Cancelled(self._job(accepted.remote_id).was_cancelled)

    async def find(self, context: Context, job: LookFor) -> list[FoundJob]:
        now, lag = self.now(), job.offer.find_lag
        if job.offer.find == "exact":
            seen = [sent for sent in self.books.of_job(job.job_id) if sent.remote_id is not None]
        else:
            seen = self.books.alike(job.offer.name, job.settings)
        return [
            FoundJob(
                Accepted(sent.remote_id, details={"at": "remote"}), sent.at, exact=job.offer.find == "exact"
            )
            for sent in seen
            if sent.remote_id is not None and sent.at + lag <= now
        ]

    def _job(self, remote_id: str) -> Sent:
        sent = self.books.job(remote_id)
        if sent is None:
            raise InvalidRequest(f"There is no job {remote_id}.")
        return sent


def price_of(prepared: Prepared, samples: int) -> int:
    """What the vendor's price list says of it, in millionths of a dollar."""
    row = prepared.offer.price.rows[0]
    return to_micros(row.per_second * Decimal(str(prepared.request.duration)) * samples)


def clip_bytes(name: str) -> bytes:
    """A real MP4 of one second. Each name has its own: they differ in a box that no reader looks at."""
    word = name.encode()
    return _clip() + struct.pack(">I4s", 8 + len(word), b"free") + word


@functools.cache
def _clip() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        media.write_video(path, [np.full((64, 64, 3), 25 * i, np.uint8) for i in range(8)], fps=8)
        return path.read_bytes()
