"""Results, from wherever a vendor's reply says they are: capped, guarded, and without credentials where they do not belong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from vidorch.http.exchange import Exchange
from vidorch.http.urls import Origin, redirected
from vidorch.http.wire import Answer, Call, Fault, Watch, Way
from vidorch.offloop import in_thread

__all__ = ["DiskTrouble", "Download", "WrongStatus", "fetch"]

MOST_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
TOGETHER = 1024 * 1024
"""Bytes that are written to disk at a time: a hop to a worker thread costs as much as copying half of that."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file that arrived.

    Attributes:
        size: bytes. media_type: as the server said it, in lower case and without parameters; empty where it did not.
    """

    size: int
    media_type: str


class DiskTrouble(Exception):
    """The file could not be written: no fault of the network."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class WrongStatus(Fault):
    """The server answered, and not with a file."""

    def __init__(self, status: int) -> None:
        super().__init__(f"it answered {status}", lasting=status < 500 and status not in (408, 425, 429))
        self.status = status


async def fetch(
    exchange: Exchange, call: Call, path: Path, secret: Mapping[str, str], own: frozenset[Origin]
) -> Download:
    """Follow `call` to a file and write it to `path`. Nothing stays there when it fails.

    Raises:
        Fault, InvalidRequest, LiveCallInTest: why it may not. DiskTrouble: the disk said no. Exception: the network did.
    """
    public = call.headers
    loop = asyncio.get_running_loop()
    until = loop.time() + call.total
    for _ in range(MOST_REDIRECTS + 1):
        at_home = call.target.origin in own
        call = replace(
            call, headers={**public, **secret} if at_home else public, total=until - loop.time(), foreign=not at_home
        )  # fmt: skip
        known = at_home or exchange.allowed.name(call.target.host)
        use = _Use(path, call.most)
        found = await exchange.run(call, Watch(), Way.POOLED if known else Way.GUARDED, use)
        if isinstance(found, Download):
            return found
        target = redirected(call.target, found)
        if call.target.scheme == "https" and target.scheme != "https":
            raise Fault("it was redirected from https to plain http", lasting=True)
        call = replace(call, target=target)
    raise Fault(f"it was redirected more than {MOST_REDIRECTS} times", lasting=True)


@dataclass(frozen=True, slots=True)
class _Use:
    """What is made of one answer: the file, or where to look for it."""

    path: Path
    most: int

    async def __call__(self, answer: Answer) -> tuple[Download | str, int]:
        if answer.status in REDIRECTS and (location := answer.headers.get("location")):
            return location, 0
        if answer.status != 200:
            raise WrongStatus(answer.status)
        size = await self._write(answer)
        return Download(size, answer.headers.get("content-type", "").partition(";")[0].strip().lower()), size

    async def _write(self, answer: Answer) -> int:
        promised = _length(answer)
        if promised is not None and promised > self.most:
            raise self._too_long()
        size = 0
        file: BinaryIO | None = None
        waiting: list[bytes] = []
        held = 0
        try:
            async for chunk in answer.chunks():
                size += len(chunk)
                held += len(chunk)
                if size > self.most:
                    raise self._too_long()
                waiting.append(chunk)
                if held >= TOGETHER:
                    file = await in_thread(_append, self.path, file, waiting)
                    waiting, held = [], 0
            if promised is not None and size != promised:
                raise Fault(f"the reply was cut: {size:,} of {promised:,} bytes came")
            file = await in_thread(_append, self.path, file, waiting, last=True)
        except BaseException:
            if file is not None:
                file.close()
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
            raise
        return size

    def _too_long(self) -> Fault:
        return Fault(f"it is longer than the {self.most:,} bytes that are allowed", lasting=True)


def _append(path: Path, file: BinaryIO | None, blocks: list[bytes], *, last: bool = False) -> BinaryIO:
    """Open it at first, write, and close it at last. The engine syncs it when it publishes it."""
    try:
        file = path.open("wb") if file is None else file
        try:
            file.writelines(blocks)
            if last:
                file.close()
        except BaseException:
            file.close()
            raise
    except OSError as error:
        error.filename = error.filename or str(path)
        raise DiskTrouble(error) from error
    return file


def _length(answer: Answer) -> int | None:
    """The bytes that a body was said to have, where they are those that come out of it."""
    text = answer.headers.get("content-length", "")
    encoded = answer.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
    return int(text) if text.isdecimal() and not encoded else None
