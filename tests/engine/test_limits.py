"""Limits of an account: jobs at once and submits a minute, over all processes on one ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vidorch
from tests.engine.scripted import Scripted, catalog, paid
from tests.ledger.rows import NOW, a_job, found, job_row, run_row
from vidorch import offloop
from vidorch.client.aio import AsyncClient
from vidorch.contract import Accepted, Context, Done, Endpoint, Output, Polled, Prepared, Progress
from vidorch.errors import TimedOut
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.moves import State
from vidorch.ledger.slots import Account, NoRoom
from vidorch.testing import VirtualClock

pytestmark = pytest.mark.databases(quick=True)


class Counting(Scripted):
    """Knows how many jobs it has at the same time, and when each was sent."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.clock = clock
        self.at_work: set[str] = set()
        self.most = 0
        self.sent: list[tuple[float, str]] = []

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        accepted = await super().submit(context, prepared)
        self.at_work.add(accepted.remote_id)
        self.most = max(self.most, len(self.at_work))
        self.sent.append((self.clock.now(), context.scope))
        return accepted

    async def poll(self, context: Context, accepted: Accepted) -> Polled:
        found = await super().poll(context, accepted)
        if not isinstance(found, Progress):
            self.at_work.discard(accepted.remote_id)
        return found


@pytest.fixture
def clock() -> Any:
    clock = VirtualClock()
    before = offloop.watch(clock)
    yield clock
    offloop.watch(before)


@pytest.fixture
def provider(clock: VirtualClock) -> Counting:
    made = Counting(clock)
    made.polls = [Progress("running")] * 3 + [Done((Output(0, "x"),))]
    return made


Make = Callable[..., AsyncClient]


@pytest.fixture
def client_of(tmp_path: Path, provider: Counting, clock: VirtualClock) -> Make:
    def make(**limits: Any) -> AsyncClient:
        keyed = limits.pop("keyed", False)
        offers = catalog(*(paid(model, variables=["KEY"] if keyed else []) for model in ("basic", "other")))
        return AsyncClient(
            home=tmp_path / "home", catalog=offers, providers={"test": provider}, clock=clock, endpoints={"test": Endpoint("test", "test", **limits)},
            credentials=lambda scope, endpoint: scope,
        )  # fmt: skip

    return make


def run(work: Any) -> Any:
    return asyncio.run(work)


async def make(client: AsyncClient, count: int, **more: Any) -> None:
    await asyncio.gather(
        *(client.generate(f"{n}", **{"model": "basic", "max_cost": 1, **more}) for n in range(count))
    )


class TestAtOnce:
    def test_in_one_process(self, client_of: Make, provider: Counting) -> None:
        """Never more at the vendor than the endpoint says; all of them come."""

        async def go() -> None:
            async with client_of(concurrency=2) as client:
                await make(client, 7)

        run(go())
        assert (2, 7) == (provider.most, len(provider.sent))

    def test_over_processes(self, client_of: Make, provider: Counting) -> None:
        """Two clients on one ledger share one account, whichever models they ask for."""

        async def go() -> None:
            async with client_of(concurrency=3) as one, client_of(concurrency=3) as two:
                await asyncio.gather(make(one, 5), make(two, 5, model="other"))

        run(go())
        assert (3, 10) == (provider.most, len(provider.sent))

    def test_without_a_limit(self, client_of: Make, provider: Counting) -> None:
        """Nobody waits."""

        async def go() -> None:
            async with client_of() as client:
                await make(client, 5)

        run(go())
        assert 5 == provider.most

    def test_of_two_scopes(self, client_of: Make, provider: Counting) -> None:
        """Tenants with keys of their own are customers of their own."""

        async def go() -> None:
            async with client_of(concurrency=1, keyed=True) as client:
                await asyncio.gather(make(client, 2, scope="a"), make(client, 2, scope="b"))

        run(go())
        assert 2 == provider.most

    def test_of_one_machine(self, client_of: Make, provider: Counting) -> None:
        """Where no key tells them apart, they share it."""

        async def go() -> None:
            async with client_of(concurrency=1) as client:
                await asyncio.gather(make(client, 2, scope="a"), make(client, 2, scope="b"))

        run(go())
        assert 1 == provider.most


class TestPerMinute:
    def test_submits_within_any_minute(self, client_of: Make, provider: Counting) -> None:
        """The fourth of three a minute goes a minute after the first."""

        async def go() -> None:
            async with client_of(per_minute=3) as client:
                await make(client, 7)

        run(go())
        sent = [at for at, _ in provider.sent]
        assert 7 == len(sent)
        assert all(later - earlier >= 60 for earlier, later in zip(sent, sent[3:], strict=False))
        assert sent[-1] - sent[0] < 150


class TestWaiting:
    def test_is_told_and_timed(self, client_of: Make, provider: Counting) -> None:
        """It is a stage of its own, and its seconds are the clip's `wait`."""
        stages: list[str] = []

        async def go() -> float:
            async with client_of(concurrency=1) as client:
                first = asyncio.ensure_future(client.generate("a", model="basic"))
                second = await client.generate(
                    "b", model="basic", on_progress=lambda told: stages.append(told.stage)
                )
                other = await first
                return max(second.clip.timings.wait, other.clip.timings.wait)

        assert run(go()) >= 3
        assert "waiting for a turn" in stages

    def test_ends_with_timeout(self, client_of: Make, provider: Counting) -> None:
        """Whoever waits no longer has paid for nothing: nothing of it was sent."""
        provider.polls = [Progress("running")] * 500 + [Done((Output(0, "x"),))]

        async def go() -> list[str]:
            async with client_of(concurrency=1) as client:
                await client.submit("a", model="basic")
                with pytest.raises(TimedOut):
                    await client.generate("b", model="basic", timeout=5)
                return sorted(job.state for job in await client.jobs())

        assert ["running", "uploading"] == run(go())
        assert 1 == len(provider.sent)

    def test_can_be_cancelled(self, client_of: Make, provider: Counting) -> None:
        """Nothing was sent, nothing is charged, and the next one is not held up."""
        provider.polls = [Progress("running")] * 30 + [Done((Output(0, "x"),))]

        async def go() -> tuple[list[str], str]:
            waits, loop = asyncio.Event(), asyncio.get_running_loop()

            def told(progress: vidorch.Progress) -> None:
                if progress.stage == "waiting for a turn":
                    loop.call_soon_threadsafe(waits.set)

            async with client_of(concurrency=1) as client:
                first = await client.submit("a", model="basic")
                second = asyncio.ensure_future(client.submit("b", model="basic", on_progress=told))
                await waits.wait()
                waiting = next(job for job in await client.jobs() if job.run_id != first.id)
                await client.cancel(waiting.run_id)
                await asyncio.gather(second, return_exceptions=True)
                await first.wait()
                third = await client.generate("c", model="basic")
                return [job.state for job in await client.jobs() if job.id == waiting.id], third.clip.model

        assert (["cancelled"], "basic") == run(go())
        assert 2 == len(provider.sent)


class TestRoom:
    """What the ledger counts."""

    ACCOUNT = Account("fal", at_once=1)

    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Any:
        made = Ledger(tmp_path / "ledger.db")
        yield made
        made.close()

    def sends(self, ledger: Ledger, number: int, at: float, account: Account) -> None:
        job = a_job(ledger, number)
        job = ledger.move(job, State.UPLOADING, at).result()
        ledger.move(job, State.SENDING, at, changes={"lease_until": at + 60}, room=account).result()

    def test_none_is_left(self, ledger: Ledger) -> None:
        """The move is refused, and nothing of it is written."""
        self.sends(ledger, 1, NOW, self.ACCOUNT)
        with pytest.raises(NoRoom) as caught:
            self.sends(ledger, 2, NOW, self.ACCOUNT)
        assert (None, "uploading") == (caught.value.wait, found(ledger, "job_2").state)

    def test_a_killed_process_leaks_none(self, ledger: Ledger) -> None:
        """What it was sending counts until its lease has run out."""
        self.sends(ledger, 1, NOW, self.ACCOUNT)
        self.sends(ledger, 2, NOW + 61, self.ACCOUNT)
        assert "sending" == found(ledger, "job_2").state

    def test_what_a_vendor_has_counts_on(self, ledger: Ledger) -> None:
        """Nobody may be looking, and it works on it all the same, until its deadline."""
        self.sends(ledger, 1, NOW, self.ACCOUNT)
        job = found(ledger, "job_1")
        ledger.move(
            job,
            State.ACCEPTED,
            NOW,
            changes={"remote_id": "r", "deadline": NOW + 900, "lease_until": NOW + 60},
        ).result()
        with pytest.raises(NoRoom):
            self.sends(ledger, 2, NOW + 899, self.ACCOUNT)
        self.sends(ledger, 3, NOW + 901, self.ACCOUNT)

    def test_of_a_named_account(self, ledger: Ledger) -> None:
        """Endpoints that name the same account share it; others do not count."""
        for number, endpoint, account in ((1, "eu", "ours"), (2, "us", "ours"), (3, "eu", "")):
            ledger.record(
                run_row(f"run_{number}"),
                [job_row(f"job_{number}", f"run_{number}", endpoint=endpoint, account=account)],
                at=NOW,
            ).result()
            job = ledger.move(found(ledger, f"job_{number}"), State.UPLOADING, NOW).result()
            limits = Account(endpoint, account, at_once=1)
            move = ledger.move(job, State.SENDING, NOW, changes={"lease_until": NOW + 60}, room=limits)
            if number == 2:
                with pytest.raises(NoRoom):
                    move.result()
            elif number == 1:
                move.result()
            else:
                with pytest.raises(NoRoom):  # its endpoint has one at work, under whichever name
                    move.result()

    def test_says_when_the_clock_makes_room(self, ledger: Ledger) -> None:
        """Of two a minute the third waits for what is left of the first one's minute."""
        account = Account("fal", per_minute=2)
        self.sends(ledger, 1, NOW, account)
        self.sends(ledger, 2, NOW + 10, account)
        with pytest.raises(NoRoom) as caught:
            self.sends(ledger, 3, NOW + 20, account)
        assert 40 == caught.value.wait
        self.sends(ledger, 4, NOW + 60.5, account)

    def test_within_any_24_hours(self, ledger: Ledger) -> None:
        """Of two a day the third waits for what is left of the first one's 24 hours."""
        account = Account("fal", per_day=2)
        self.sends(ledger, 1, NOW, account)
        self.sends(ledger, 2, NOW + 60, account)
        with pytest.raises(NoRoom) as caught:
            self.sends(ledger, 3, NOW + 3600, account)
        assert 82_800 == caught.value.wait  # 23 hours

    def test_the_longest_wait_counts(self, ledger: Ledger) -> None:
        """A minute that is over makes no room on a day that is full."""
        account = Account("fal", per_minute=1, per_day=1)
        self.sends(ledger, 1, NOW, account)
        with pytest.raises(NoRoom) as caught:
            self.sends(ledger, 2, NOW + 30, account)
        assert 86_370 == caught.value.wait

    def test_of_each_model(self, ledger: Ledger) -> None:
        """Where each model has a limit for itself, the jobs of another one leave it its room."""
        own = Account(
            "fal", at_once=1, per_day=1, model="kling", each_model=frozenset({"at_once", "per_day"})
        )
        job = a_job(ledger, 1, model="other")
        job = ledger.move(job, State.UPLOADING, NOW).result()
        ledger.move(job, State.SENDING, NOW, changes={"lease_until": NOW + 60}).result()
        self.sends(ledger, 2, NOW, own)
        with pytest.raises(NoRoom):
            self.sends(ledger, 3, NOW, own)
