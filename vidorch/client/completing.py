"""The lines of a batch carried out side by side, each given back as it ends and forgotten then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from vidorch.client.batch import Batch
from vidorch.client.opening import closed
from vidorch.engine.asked import Asked
from vidorch.errors import VidorchError
from vidorch.offloop import in_thread
from vidorch.result import Result

if TYPE_CHECKING:
    from vidorch.client.aio import AsyncClient

__all__ = ["begin", "completed"]

Ended = tuple[int, "Result | BaseException"]


async def begin(client: AsyncClient, batch: Batch) -> str:
    """Write the batch down once all of it fits; gives the id of its run.

    Raises:
        OverBudget: what is still to be sent does not fit all together. KeyConflict: a line is another one than its key's.
        LedgerUnavailable: it cannot be written. Nothing was sent.
    """
    from vidorch.engine.paying import sending_nothing

    with sending_nothing():
        engine = await client._open(free=batch.free)
        left = await in_thread(batch.to_send, client._opened_ledger())
        return await engine.batches.begin(batch.call, lines=len(batch.lines), needed=left.first)


async def completed(
    client: AsyncClient, batch: Batch, parent: str
) -> AsyncGenerator[tuple[int, Result | VidorchError], None]:
    """Each line's place and what it came to, in the order in which they end.

    A line is begun when there is room: those under way, and those that ended and were not asked for yet, are never more than
    `batch.at_once`. Whoever stops asking ends the waiting for what is under way, and nothing more is begun.
    """
    ended: asyncio.Queue[Ended] = asyncio.Queue()
    waiting: set[asyncio.Task[None]] = set()
    begun = given = 0

    def over(task: asyncio.Task[None]) -> None:
        waiting.discard(task)
        if task.cancelled():  # by the end of the client, not by us: then nobody reads this
            ended.put_nowait((-1, closed()))

    try:
        while given < len(batch.lines):
            while begun < len(batch.lines) and begun - given < batch.at_once:
                task = asyncio.create_task(_line(client, batch, parent, begun, ended))
                task.add_done_callback(over)
                waiting.add(task)
                begun += 1
            place, outcome = await ended.get()
            given += 1
            if not isinstance(outcome, (Result, VidorchError)):
                raise outcome
            yield place, outcome
            del outcome  # what its reader does not keep is not kept here
    except asyncio.CancelledError as cancelled:
        cancelled.add_note(batch.how_to_go_on(parent, given))
        raise
    finally:
        for task in waiting:
            task.cancel()
        if waiting:
            await asyncio.wait(set(waiting))
    await (await client._open(free=batch.free)).batches.close(parent)


async def _line(
    client: AsyncClient, batch: Batch, parent: str, place: int, ended: asyncio.Queue[Ended]
) -> None:
    try:
        request, call = batch.read(place)
        plan, estimate = await client._planned(request, call)
        run = await client._begin(Asked(request, call, plan, estimate, parent, place))
        batch.under_way[place] = run.id
        ended.put_nowait((place, await run.wait(call.timeout)))
        del batch.under_way[place]
    except VidorchError as error:
        batch.under_way.pop(place, None)
        ended.put_nowait((place, error.with_traceback(None)))  # whose frames hold all that was planned
    except Exception as error:
        ended.put_nowait((place, error))
