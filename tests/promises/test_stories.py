"""Short histories, told step by step: what chance has found once stays found."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.promises.sim import Process, World, simulated
from tests.remote import Fate
from tests.remote.audit import audit
from vidorch.client.aio import AsyncClient
from vidorch.errors import SubmissionUnknown, VidorchError
from vidorch.ledger.moves import State
from vidorch.result import Job

Make = Callable[..., World]


@pytest.fixture
def world_of() -> Iterator[Make]:
    """Makes a world in which the submits have these fates, in order; the last one is repeated."""
    worlds: list[World] = []

    def make(*fates: Fate) -> World:
        script = fates or (Fate(),)
        worlds.append(World(1, lambda number, *_: script[min(number, len(script)) - 1]))
        return worlds[-1]

    with simulated():
        yield make
        for world in worlds:
            try:
                assert [] == audit(world.books, world.ledger) + world.troubles
            finally:
                world.close()


def jobs_of(world: World) -> list[Job]:
    return sorted(world.ledger.jobs(), key=lambda job: (job.candidate, job.attempt))


def as_process(process: Process, work: Callable[[AsyncClient], Any], **settings: Any) -> Any:
    """What a client in this process gives, from its opening to its closing."""

    async def go() -> Any:
        async with process.client(**settings) as client:
            return await work(client)

    return process.world.run(process.spawn(go()))


def resume(process: Process) -> None:
    """Take up everything, and wait for it."""

    async def work(client: AsyncClient) -> None:
        for run in await client.resume():
            with_error = await asyncio.gather(run.wait(), return_exceptions=True)
            assert all(
                not isinstance(one, BaseException) or isinstance(one, VidorchError) for one in with_error
            )

    as_process(process, work)


class TestClosing:
    def test_waits_for_every_submit_that_is_under_way(self, world_of: Make) -> None:
        """Also for the slower of two: its id gets on disk, or it would be paid for and lost."""
        world = world_of(Fate(latency=100), Fate(reply=30, latency=100))

        async def leave_early(client: AsyncClient) -> None:
            asyncio.get_running_loop().create_task(
                _quietly(client.generate("x", model="north/blind", candidates=2))
            )
            await asyncio.sleep(10)

        as_process(world.process(), leave_early)
        assert ["r-1", "r-2"] == [job.remote_id for job in jobs_of(world)]
        resume(world.process())
        assert ["settled", "settled"] == [job.state for job in jobs_of(world)]


class TestAnUnknownSubmit:
    def test_is_looked_for_although_the_next_offer_was_paid(self, world_of: Make) -> None:
        """`on_unknown="next"` pays for another; the first is no less worth finding."""
        world = world_of(Fate(answer="silent"), Fate(latency=100))
        process = world.process()
        process.on_step = lambda name: process.crash() if name == "poll" else None

        async def ask(client: AsyncClient) -> None:
            await client.generate("x", model=["north/lagging", "north/exact"], on_unknown="next")

        find, world.remote.find = world.remote.find, _nothing  # type: ignore[method-assign]
        process.spawn(_in(process, ask))
        world.run(asyncio.sleep(500))
        assert ["unknown", "accepted"] == [job.state for job in jobs_of(world)]
        world.remote.find = find  # type: ignore[method-assign]
        resume(world.process())
        assert ["settled", "settled"] == [job.state for job in jobs_of(world)]

    def test_whose_sender_wakes_up_with_the_answer(self, world_of: Make) -> None:
        """Taken for lost while its process slept, it is told by the answer in hand; nothing is sent again."""
        world = world_of(Fate(reply=1.0, latency=0.0))
        sleeper = world.process("a")
        sleeper.on_step = lambda name: sleeper.sleep(600) if name == "submit" else None
        task = sleeper.spawn(_in(sleeper, lambda client: client.generate("x", model="north/blind")))
        world.run(asyncio.sleep(300))
        resume(world.process("b"))
        assert ["unknown"] == [job.state for job in jobs_of(world)]
        world.run(_quietly(task))
        assert ["settled"] == [job.state for job in jobs_of(world)]
        assert 1 == len(world.books.everything())


class TestMoney:
    def test_a_spoilt_clip_among_several_is_paid_like_the_others(self, world_of: Make) -> None:
        """The vendor made it, and bills it; that it came spoilt does not change the books."""
        world = world_of(Fate(bad_files=-1))
        spoilt = world.remote.fetch

        async def fetch(context: Any, output: Any, path: Any) -> None:
            await spoilt(context, output, path)
            if output.index == 0:
                from tests.remote.provider import clip_bytes

                path.write_bytes(clip_bytes("r-1/0"))

        world.remote.fetch = fetch  # type: ignore[method-assign]
        result = as_process(
            world.process(), lambda client: client.generate("x", model="north/many-exact", candidates=4)
        )
        assert (1, Decimal("1.00")) == (len(result.candidates), result.cost)


class TestADiskThatFails:
    def test_in_the_middle_of_steps_that_ride(self, world_of: Make) -> None:
        """One step is on disk and the next is not: only that one is made again, and the clip comes."""
        world = world_of(Fate(latency=5))
        process = world.process()

        def look(name: str) -> None:
            world.disk_trouble = 100.0 if name == "fetch" else 0.0

        process.on_step = look
        world.remote.fetch = _slowly(world, world.remote.fetch)  # type: ignore[method-assign]
        result = world.run(
            process.spawn(_in(process, lambda client: client.generate("x", model="north/exact")))
        )
        assert (Decimal("0.25"), ["settled"]) == (result.cost, [job.state for job in jobs_of(world)])


class TestFiles:
    def test_what_a_killed_taker_left_in_its_own_home_is_swept(self, world_of: Make) -> None:
        """A run of machine b, taken up on a, killed there in a download, and taken up on a again: no unfinished file stays."""
        world = world_of(Fate(latency=5))
        first, second = world.process("b"), world.process("a")
        first.on_step = lambda name: first.crash() if name == "poll" else None
        first.spawn(_in(first, lambda client: client.generate("x", model="north/exact")))
        world.run(asyncio.sleep(200))
        second.on_step = lambda name: second.crash() if name == "fetch done" else None
        second.spawn(_in(second, _resume))
        world.run(asyncio.sleep(200))
        assert 1 == len(list(second.home.rglob("*.part")))
        resume(world.process("a"))
        assert [] == list(world.folder.rglob("*.part"))
        assert ["settled"] == [job.state for job in jobs_of(world)]


class TestTakingOver:
    def test_two_owners_are_harmless(self, world_of: Make) -> None:
        """A laptop that slept through its lease wakes up beside its successor, in the middle of a download: one clip, one bill."""
        world = world_of(Fate(latency=1))
        sleeper = world.process("a")
        sleeper.on_step = lambda name: sleeper.sleep(200) if name == "fetch" else None
        task = sleeper.spawn(_in(sleeper, lambda client: client.generate("x", model="north/exact")))
        world.run(asyncio.sleep(100))
        resume(world.process("b"))
        result = world.run(task)
        assert result.clip.path is not None and result.clip.path.is_file()
        assert (Decimal("0.25"), [State.SETTLED]) == (result.cost, [job.state for job in jobs_of(world)])


def test_three_minutes_take_no_time(world_of: Make) -> None:
    """By the clock of the run they are three minutes; nobody waited for them."""
    world = world_of(Fate(latency=180))
    result = as_process(world.process(), lambda client: client.generate("x", model="north/exact"))
    assert 180 <= result.clip.latency < 211
    assert 180 <= world.loop.time()


def test_the_ambiguous_is_told_once_and_clearly(world_of: Make) -> None:
    """One `SubmissionUnknown`, with the job's id and what stays reserved; a second call with the key sends nothing."""
    world = world_of(Fate(answer="vanished"))

    async def ask(client: AsyncClient) -> None:
        await client.generate("x", model=["north/blind", "south/exact"], key="order-1")

    for _ in range(2):
        with pytest.raises(SubmissionUnknown, match=r"\$0\.25 stay reserved"):
            as_process(world.process(), ask)
    assert 1 == len(world.books.everything())


async def _resume(client: AsyncClient) -> None:
    for run in await client.resume():
        await run.wait()


async def _in(process: Process, work: Callable[[AsyncClient], Any]) -> Any:
    async with process.client() as client:
        return await work(client)


async def _quietly(work: Any) -> None:
    with contextlib.suppress(VidorchError):
        await work


async def _nothing(*_: Any) -> list[Any]:
    return []


def _slowly(world: World, fetch: Callable[..., Any]) -> Callable[..., Any]:
    """A download that takes longer than what rides to the disk."""

    async def slow(*args: Any) -> None:
        await asyncio.sleep(2)
        await fetch(*args)

    return slow
