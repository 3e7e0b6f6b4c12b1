"""Drawn by chance, five hundred here and ten thousand in `benchmarks/histories.py`: see `histories`."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from tests.promises.histories import BrokenPromise, play
from tests.promises.sim import World
from tests.remote import Fate
from vidorch.contract import Accepted


@pytest.mark.parametrize("hundred", range(5))
def test_every_promise_holds(hundred: int) -> None:
    """In five hundred histories of clients that crash, sleep, cancel, detach and join, on vendors that lose replies."""
    for seed in range(100 * hundred, 100 * hundred + 100):
        play(seed)


def test_are_told_the_same_again() -> None:
    """A seed is a history: who replays it sees what was seen."""
    once, again = (play(27, trace=True) for _ in range(2))
    assert once.trace
    assert once.trace == again.trace


class TestWouldFind:
    """The histories can fail: with a promise taken out, they do."""

    def played(self, seeds: int = 60) -> list[str]:
        found: list[str] = []
        for seed in range(seeds):
            try:
                play(seed)
            except BrokenPromise as broken:
                found += broken.findings
        return found

    def test_a_submit_that_is_sent_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An engine that takes a lost reply for a failure pays twice."""
        from vidorch.engine import sending

        class Eager(sending.Sender):
            async def find(self) -> bool:
                job = self._errand.job
                self._errand.provider._remote.books.send(  # type: ignore[attr-defined]
                    lambda *_: Fate(), job.id, f"{job.endpoint}/{job.model}", job.settings, 1, 1, 0.0
                )
                return await super().find()

        monkeypatch.setattr("vidorch.engine.driving.Sender", Eager)
        assert any("was sent 2 times" in finding for finding in self.played())

    def test_an_id_that_is_not_written_down(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A ledger that loses one id in ten leaves money at the vendor."""
        from vidorch.engine import sending

        chance = random.Random(1)

        class Careless(sending.Sender):
            async def _accept(self, accepted: Accepted) -> None:
                lost = Accepted(f"{accepted.remote_id}0") if chance.random() < 0.1 else accepted
                await super()._accept(lost)

        monkeypatch.setattr("vidorch.engine.driving.Sender", Careless)
        assert any("never gave" in finding or "belongs to" in finding for finding in self.played())

    def test_a_budget_that_is_not_held(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A job that is booked at nothing while its vendor bills is found."""
        from vidorch.engine import homing

        monkeypatch.setattr(
            homing, "cost_of_clips", lambda *_, **__: homing.Cost(Decimal(0), "computed", False)
        )
        assert any("the vendor bills" in finding for finding in self.played(10))


def test_a_world_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever still waits is ended with its world."""
    from tests.promises.sim import simulated

    with simulated():
        world = World(1, lambda *_: Fate(reply=1e9))
        process = world.process()

        async def ask() -> None:
            async with process.client() as client:
                await client.generate("x", model="north/exact")

        task = process.spawn(ask())
        world.run(_a_while())
        assert not task.done()
        world.close()
        assert task.done()


async def _a_while() -> None:
    import asyncio

    await asyncio.sleep(5)
