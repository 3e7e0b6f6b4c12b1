"""The virtual clock: time jumps to whoever sleeps shortest, and only when nothing is being done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidorch import offloop
from vidorch.testing.clock import START, VirtualClock


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    """A free-running clock that is told of other threads' work."""
    clock = VirtualClock()
    before = offloop.watch(clock)
    yield clock
    offloop.watch(before)


class TestSleeping:
    def test_takes_no_time_and_passes_exactly(self, clock: VirtualClock) -> None:
        """A year of sleep is over at once, and the clock shows it."""
        asyncio.run(clock.sleep(31_536_000))
        assert START + 31_536_000 == clock.now() == clock.monotonic()

    def test_sleepers_wake_in_the_order_of_their_times(self, clock: VirtualClock) -> None:
        """However they were started; those of one time in the order in which they fell asleep."""
        woken: list[tuple[str, float]] = []

        async def sleeper(name: str, *naps: float) -> None:
            for nap in naps:
                await clock.sleep(nap)
            woken.append((name, clock.now() - START))

        async def main() -> None:
            await asyncio.gather(
                sleeper("late", 9), sleeper("twice", 2, 2), sleeper("soon", 1), sleeper("also at four", 4)
            )

        asyncio.run(main())
        assert [("soon", 1), ("also at four", 4), ("twice", 4), ("late", 9)] == woken

    @given(st.lists(st.lists(st.integers(1, 10_000), min_size=1, max_size=5), min_size=1, max_size=12))
    def test_ends_when_the_longest_ends(self, naps: list[list[int]]) -> None:
        """Many side by side take as long as the longest of them, and each ends at its own time."""
        clock = VirtualClock()
        ends: list[float] = []

        async def one(mine: list[int]) -> None:
            for nap in mine:
                await clock.sleep(nap / 8)
            ends.append(clock.now() - START)

        async def main() -> None:
            await asyncio.gather(*(one(mine) for mine in naps))

        asyncio.run(main())
        assert sorted(sum(mine) / 8 for mine in naps) == ends
        assert START + max(ends) == clock.now()

    def test_nothing_to_sleep_for_only_yields(self, clock: VirtualClock) -> None:
        """`sleep(0)` lets others have their turn."""
        asyncio.run(clock.sleep(0))
        assert START == clock.now()

    def test_a_cancelled_sleep_is_not_waited_for(self, clock: VirtualClock) -> None:
        """An alarm that was called off does not move the clock."""

        async def main() -> None:
            alarm = asyncio.create_task(clock.sleep(600))
            await asyncio.sleep(0)
            alarm.cancel()
            await clock.sleep(5)

        asyncio.run(main())
        assert START + 5 == clock.now()

    def test_long_chains_of_callbacks_are_seen_through(self, clock: VirtualClock) -> None:
        """What is ready runs before time passes, however many turns it takes."""

        async def worker() -> float:
            for _ in range(40):
                await asyncio.sleep(0)
            return clock.now()

        async def main() -> float:
            alarm = asyncio.create_task(clock.sleep(600))
            done = await worker()
            alarm.cancel()
            return done

        assert START == asyncio.run(main())

    def test_a_loop_that_runs_in_circles_does_not_stop_time(self, clock: VirtualClock) -> None:
        """Code that looks again and again until something happens gets there."""

        async def main() -> None:
            sleeper = asyncio.create_task(clock.sleep(5))
            while not sleeper.done():  # noqa: ASYNC110  (that is the point)
                await asyncio.sleep(0)

        asyncio.run(main())
        assert START + 5 == clock.now()


class TestWorkOnOtherThreads:
    def test_time_stands_while_it_is_waited_for(self, clock: VirtualClock) -> None:
        """A timeout of ten minutes does not strike while the disk is at work."""
        go_on = threading.Event()
        seen: list[float] = []

        def work() -> None:
            go_on.wait(10)
            seen.append(clock.now())

        async def main() -> None:
            alarm = asyncio.create_task(clock.sleep(600))
            working = asyncio.create_task(offloop.in_thread(work))
            for _ in range(200):
                await asyncio.sleep(0)
            go_on.set()
            await working
            seen.append(clock.now())
            alarm.cancel()

        asyncio.run(main())
        assert [START, START] == seen

    def test_two_loops_are_both_waited_for(self, clock: VirtualClock) -> None:
        """Sleepers of two event loops interleave in true order."""
        order: list[tuple[str, float]] = []
        both_here = threading.Barrier(2)

        def run(name: str, naps: list[float]) -> None:
            async def main() -> None:
                with clock.working():  # nobody goes on before both are here
                    await asyncio.to_thread(both_here.wait)
                    task = asyncio.create_task(nap())
                    await asyncio.to_thread(both_here.wait)
                await task

            async def nap() -> None:
                for seconds in naps:
                    await clock.sleep(seconds)
                    order.append((name, clock.now() - START))

            asyncio.run(main())

        threads = [
            threading.Thread(target=run, args=("a", [1, 4, 3])),
            threading.Thread(target=run, args=("b", [2, 1, 7])),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [("a", 1), ("b", 2), ("b", 3), ("a", 5), ("a", 8), ("b", 10)] == order

    def test_a_loop_that_stands_is_not_waited_for(
        self, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A blocking call in one loop, for something that happens on another, comes to its end."""
        monkeypatch.setattr("vidorch.testing.clock.STUCK_AFTER", 0.01)

        async def main() -> None:
            alarm = asyncio.create_task(clock.sleep(600))
            await asyncio.sleep(0)
            elsewhere = threading.Thread(target=lambda: asyncio.run(clock.sleep(30)))
            elsewhere.start()
            elsewhere.join()  # this loop does not turn meanwhile
            assert START + 30 == clock.now()
            alarm.cancel()

        asyncio.run(main())

    def test_a_loop_that_ended_is_forgotten(self, clock: VirtualClock) -> None:
        """What slept there does not hold up others."""
        asyncio.run(clock.sleep(1))
        loop = asyncio.new_event_loop()
        left = loop.create_task(clock.sleep(5))
        loop.run_until_complete(asyncio.sleep(0))
        asyncio.run(clock.sleep(30))
        assert START + 31 == clock.now()
        left.cancel()
        loop.run_until_complete(asyncio.gather(left, return_exceptions=True))
        loop.close()


class TestPatience:
    def test_time_stands_until_somebody_waits(self) -> None:
        """A clock that is not free does not run ahead of the test."""
        clock = VirtualClock(free=False)

        async def main() -> tuple[float, float]:
            background = asyncio.create_task(clock.sleep(30))
            for _ in range(200):
                await asyncio.sleep(0)
            before = clock.now()
            with clock.wanted():
                await background
            return before, clock.now()

        assert (START, START + 30) == asyncio.run(main())

    def test_advance_lets_happen_what_falls_into_it(self) -> None:
        """In true order, each at its own time, and no further."""
        clock = VirtualClock(free=False)
        seen: list[float] = []

        async def beat() -> None:
            while True:
                await clock.sleep(20)
                seen.append(clock.now() - START)

        async def main() -> None:
            task = asyncio.create_task(beat())
            await asyncio.sleep(0)
            await clock.advance(50)
            assert START + 50 == clock.now()
            await clock.advance(10)
            task.cancel()

        asyncio.run(main())
        assert [20, 40, 60] == seen

    def test_advance_from_blocking_code(self) -> None:
        """It has arrived when it comes back, also without any event loop."""
        clock = VirtualClock(free=False)
        clock.advance(10)
        assert START + 10 == clock.now()

    def test_advance_across_threads(self) -> None:
        """A background loop goes through everything before blocking code goes on."""
        clock = VirtualClock(free=False)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        seen: list[float] = []

        async def nap() -> None:
            for _ in range(3):
                await clock.sleep(10)
                seen.append(clock.now() - START)

        async def start() -> asyncio.Task[None]:
            task = asyncio.create_task(nap())
            await asyncio.sleep(0)
            return task

        task = asyncio.run_coroutine_threadsafe(start(), loop).result()
        clock.advance(25)
        assert [10, 20] == seen
        assert START + 25 == clock.now()
        clock.advance(5)
        assert [10, 20, 30] == seen
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        assert task.done()
        loop.close()

    def test_time_does_not_go_back(self) -> None:
        """Advancing by less than nothing is a mistake."""
        with pytest.raises(ValueError, match="forward"):
            VirtualClock().advance(-1)


class TestHolding:
    def test_time_does_not_pass_for_a_held_task_alone(self) -> None:
        """It wakes when time passes for others, and drives it again once it is released."""
        clock = VirtualClock()
        seen: list[str] = []

        async def held() -> None:
            clock.hold(asyncio.current_task())
            await clock.sleep(10)
            seen.append(f"held {clock.now() - START:g}")
            await clock.sleep(10)
            seen.append(f"free {clock.now() - START:g}")

        async def main() -> None:
            task = asyncio.create_task(held())
            for _ in range(200):
                await asyncio.sleep(0)
            assert START == clock.now()
            await clock.sleep(15)
            for _ in range(200):
                await asyncio.sleep(0)
            assert START + 15 == clock.now()
            clock.release(task)
            await task

        asyncio.run(main())
        assert ["held 10", "free 20"] == seen
