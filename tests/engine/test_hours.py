"""Hours of one's own hardware: reserved before the start where they are billed, and booked as the seconds that it worked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.engine.scripted import Scripted, VirtualClock
from tests.test_hours import hours, loaded
from vidorch import Budget, Endpoint, errors
from vidorch.client.aio import AsyncClient
from vidorch.contract import Done, Failed, Output, Progress
from vidorch.engine.costing import Cost, cost_of_abandoned
from vidorch.engine.purchase import Purchase
from vidorch.hardware import hour_of
from vidorch.price import Hour
from vidorch.result import Job

RATE = Decimal("3.60")  # a tenth of a cent a second
BILLED = {"test": Endpoint("test", "test", usd_per_hour=RATE, billed=True)}
OWN = {"test": Endpoint("test", "test", usd_per_hour=RATE)}


def served() -> dict[str, Any]:
    """An offer for hardware that goes on without us."""
    return hours(outlives_caller=True, find="exact")


def seconds_of(job: Job) -> Decimal:
    """What its work took, as its timings say."""
    return Decimal(str(job.timings.run))


def jobs_after(client: AsyncClient, **options: Any) -> tuple[list[Job], Exception | None]:
    """The jobs of a call that may fail, and why it did."""

    async def go() -> tuple[list[Job], Exception | None]:
        error = None
        async with client:
            try:
                await client.generate("a ball", model="test/basic", **options)
            except errors.VidorchError as caught:
                error = caught
            return client._opened_ledger().jobs(), error

    return asyncio.run(go())


class TestBilled:
    def test_settled_at_the_seconds_that_it_worked(self, client_of: Callable[..., AsyncClient]) -> None:
        """A tenth of a cent for each second of the work, computed, and counted as spent."""
        jobs, error = jobs_after(client_of(hours(), endpoints=BILLED))
        job = jobs[0]
        assert (None, "settled", "computed", True) == (error, job.state, job.cost_basis, job.charged)
        assert job.cost is not None
        assert abs(job.cost - seconds_of(job) / 1000) <= Decimal("0.000001")
        assert job.cost > 0

    def test_reserved_at_its_high(self, client_of: Callable[..., AsyncClient]) -> None:
        """180 s at most: 18 cents are held before it starts."""
        jobs, _ = jobs_after(client_of(hours(), endpoints=BILLED))
        assert (Decimal("0.06"), Decimal("0.09"), Decimal("0.18")) == (
            *(jobs[0].estimate_low, jobs[0].estimate),
            jobs[0].estimate_high,
        )

    def test_over_max_cost(self, client_of: Callable[..., AsyncClient], provider: Scripted) -> None:
        """What may cost more than is allowed is not begun."""
        _, error = jobs_after(client_of(hours(), endpoints=BILLED), max_cost="0.17")
        assert isinstance(error, errors.OverBudget)
        assert "submit" not in provider.calls

    def test_counted_against_a_budget(
        self, client_of: Callable[..., AsyncClient], provider: Scripted
    ) -> None:
        """Three candidates may cost 54 cents, and the budget has 50."""
        _, error = jobs_after(client_of(hours(), endpoints=BILLED, budget=Budget("0.50")), candidates=3)
        assert isinstance(error, errors.OverBudget)
        assert "submit" not in provider.calls

    def test_longer_than_was_reserved(
        self, client_of: Callable[..., AsyncClient], provider: Scripted
    ) -> None:
        """Work that takes longer than its high is booked in full, as an overrun."""
        latency = {"low": 0.1, "expected": 0.2, "high": 0.5, "source": "a test"}
        provider.polls = [*[Progress("running", 0.5)] * 20, Done((Output(0, "a"),))]

        async def go() -> tuple[Job, list[str]]:
            async with client_of(hours(latency=latency), endpoints=BILLED) as client:
                result = await client.generate("a ball", model="test/basic")
                return client._opened_ledger().jobs()[0], list(result.notes)

        job, notes = asyncio.run(go())
        assert job.cost is not None
        assert job.cost > job.estimate_high
        assert any("reserved" in note for note in notes)

    def test_failed(self, client_of: Callable[..., AsyncClient], provider: Scripted) -> None:
        """A job that failed costs the seconds that it was worked on."""
        provider.polls = [*[Progress("running", 0.5)] * 5, Failed(errors.ProviderFailed("out of memory"))]
        jobs, error = jobs_after(client_of(hours(), endpoints=BILLED))
        assert jobs[0].cost is not None
        assert ("failed", True) == (jobs[0].state, jobs[0].cost > 0)
        assert abs(jobs[0].cost - seconds_of(jobs[0]) / 1000) <= Decimal("0.000001")
        assert isinstance(error, errors.ProviderFailed)
        assert error.charged is True

    def test_abandoned(self, client_of: Callable[..., AsyncClient], provider: Scripted) -> None:
        """Work whose process lets go of it costs what it was worked on until then."""
        provider.polls = [Progress("running", 0.5)]

        async def go() -> Job | None:
            looks, worked = [], asyncio.Event()

            def look(_: Any) -> None:
                looks.append(1)
                if len(looks) > 6:
                    worked.set()

            client = client_of(hours(), endpoints=BILLED)
            await client.submit("a ball", model="test/basic", on_progress=look)
            await worked.wait()
            ledger = client._opened_ledger()
            await client._engine.aclose()  # type: ignore[union-attr]
            job = ledger.jobs()[0]
            await client.aclose()
            return job

        job = asyncio.run(go())
        assert job is not None
        assert job.cost is not None
        assert ("abandoned", "computed", True, True) == (job.state, job.cost_basis, job.charged, job.cost > 0)

    def test_its_process_died(self, client_of: Callable[..., AsyncClient]) -> None:
        """Then the seconds count until it was last heard of: 60 s before its lease ends, here 40 s after it was taken."""
        jobs, _ = jobs_after(client_of(hours(), endpoints=BILLED))
        died = replace(
            jobs[0], state="running", running_at=None, accepted_at=1000.0, updated_at=1010.0, lease_until=1100.0, ended_at=None
        )  # fmt: skip
        bought = Purchase.of_job(died, {"test/basic": loaded(hours())})
        assert cost_of_abandoned(died, bought, lambda _: Hour(RATE)) == Cost(
            Decimal("0.04"), "computed", True
        )
        assert cost_of_abandoned(replace(died, billed=False), bought, lambda _: Hour(RATE)) is None

    def test_stopped_at_its_deadline(self, client_of: Callable[..., AsyncClient], provider: Scripted) -> None:
        """Work that came to no end within its time costs the quarter of an hour until it was stopped."""
        provider.polls = [Progress("running", 0.5)]
        jobs, error = jobs_after(client_of(hours(), endpoints=BILLED))
        assert jobs[0].cost is not None
        assert ("failed", "computed", True) == (jobs[0].state, jobs[0].cost_basis, jobs[0].charged)
        assert Decimal("0.9") <= jobs[0].cost <= Decimal("0.91")
        assert isinstance(error, errors.TimedOut)
        assert error.charged is True


class TestOnAServer:
    def test_counted_from_when_it_waited_no_more(
        self, client_of: Callable[..., AsyncClient], provider: Scripted
    ) -> None:
        """What was at work at the first look was so before it too: whole, however late that look was."""
        provider.polls = [Progress("running", 0.5), Progress("running", 0.9), Done((Output(0, "a"),))]
        jobs, _ = jobs_after(client_of(served(), endpoints=BILLED))
        job = jobs[0]
        assert job.cost is not None
        assert job.accepted_at is not None
        assert job.downloading_at is not None
        whole = Decimal(str(job.downloading_at - job.accepted_at)) / 1000
        assert abs(job.cost - whole) <= Decimal("0.00001")

    def test_its_queue_is_not_counted(
        self, client_of: Callable[..., AsyncClient], provider: Scripted
    ) -> None:
        """Until the last look that found it waiting nobody worked on it."""
        provider.polls = [*[Progress("queued")] * 3, Done((Output(0, "a"),))]
        jobs, _ = jobs_after(client_of(served(), endpoints=BILLED))
        job = jobs[0]
        assert job.cost is not None
        assert job.timings.queue > 0
        assert abs(job.cost - seconds_of(job) / 1000) <= Decimal("0.00001")

    @pytest.mark.parametrize(
        ("endpoints", "timings", "usd", "basis", "charged"),
        [
            (BILLED, {}, "0.18", "assumed", None),
            (BILLED, {"run": 70.0}, "0.07", "computed", True),
            (OWN, {"run": 70.0}, "0.07", "imputed", False),
        ],
    )
    def test_nobody_saw_it_end(
        self,
        endpoints: dict[str, Endpoint],
        timings: dict[str, float],
        usd: str,
        basis: str,
        charged: bool | None,
        client_of: Callable[..., AsyncClient],
        provider: Scripted,
        clock: VirtualClock,
    ) -> None:
        """Taken up three days later it is no work of three days: the server's own seconds count, else its reserved high."""

        async def go() -> Job:
            async with client_of(served(), endpoints=endpoints) as client:
                await client.submit("a ball", model="test/basic", detach=True)
            clock.time += 3 * 86_400
            for job_id in provider._left:
                provider._left[job_id] = [Done((Output(0, "a"),), timings=timings)]
            async with client_of(served(), endpoints=endpoints) as client:
                for run in await client.resume():
                    await run.wait()
                return client._opened_ledger().jobs()[0]

        job = asyncio.run(go())
        assert (Decimal(usd), basis, charged) == (job.cost, job.cost_basis, job.charged)


class TestImputed:
    def test_shown_and_not_spent(self, client_of: Callable[..., AsyncClient]) -> None:
        """The result says what the hardware took, and that nothing was spent."""

        async def go() -> Any:
            async with client_of(hours(), endpoints=OWN) as client:
                return await client.generate("a ball", model="test/basic")

        result = asyncio.run(go())
        run = Decimal(str(result.clip.timings.run))
        assert (Decimal(0), "imputed") == (result.cost, result.clip.cost_basis)
        assert abs(result.imputed - run / 1000) <= Decimal("0.000001")
        assert result.imputed > 0

    def test_no_budget_holds_it(self, client_of: Callable[..., AsyncClient]) -> None:
        """Neither max_cost nor a budget counts what nobody pays."""
        jobs, error = jobs_after(client_of(hours(), endpoints=OWN, budget=Budget("0.01")), max_cost="0.01")
        assert (None, "settled", False) == (error, jobs[0].state, jobs[0].billed)

    def test_failed(self, client_of: Callable[..., AsyncClient], provider: Scripted) -> None:
        """What gave no clip costs nothing."""
        provider.polls = [*[Progress("running", 0.5)] * 5, Failed(errors.ProviderFailed("out of memory"))]
        jobs, error = jobs_after(client_of(hours(), endpoints=OWN))
        assert ("failed", None, False) == (jobs[0].state, jobs[0].cost, error.charged)  # type: ignore[union-attr]

    def test_its_device_is_written_down(self, client_of: Callable[..., AsyncClient]) -> None:
        """So that later estimates go by clips of the same class of machines."""
        client = client_of(hours(), endpoints=OWN)
        client._market._cards = lambda: ("NVIDIA L40S",)
        jobs, _ = jobs_after(client)
        assert "l40s" == jobs[0].settings["device"]

    def test_the_next_estimate_goes_by_it(self, client_of: Callable[..., AsyncClient]) -> None:
        """After three clips the seconds are those that were measured, and so is what they are imputed at."""

        async def go() -> Any:
            async with client_of(hours(), endpoints=OWN) as client:
                result = await client.generate("a ball", model="test/basic", candidates=3)
                client._market._known = None
                return result, await client.estimate("a ball", model="test/basic")

        result, estimate = asyncio.run(go())
        took = sorted(clip.timings.run for clip in result.candidates)
        assert 3 == estimate.lines[0].seconds_seen
        assert abs(estimate.imputed.expected - Decimal(str(took[1])) / 1000) <= Decimal("0.000001")

    def test_counted_by_spend(self, client_of: Callable[..., AsyncClient]) -> None:
        """What was spent says what was imputed beside it."""

        async def go() -> Any:
            async with client_of(hours(), endpoints=OWN) as client:
                result = await client.generate("a ball", model="test/basic")
                return result, await client.spend()

        result, spend = asyncio.run(go())
        assert (Decimal(0), result.imputed) == (spend.total.cost, spend.total.imputed)


@pytest.mark.parametrize(("endpoints", "free"), [(OWN, True), (BILLED, False)])
def test_free_work_needs_no_ledger(
    endpoints: dict[str, Endpoint], *, free: bool, client_of: Callable[..., AsyncClient]
) -> None:
    """Whether a plan spends is said by its entry, which is what every check goes by."""

    async def go() -> Any:
        async with client_of(hours(), endpoints=endpoints) as client:
            return await client.plan("a ball", model="test/basic")

    plan = asyncio.run(go())
    assert free is not plan.entries[0].spending
    assert hour_of(plan.entries[0].offer, endpoints["test"], lambda: ()).usd == RATE
