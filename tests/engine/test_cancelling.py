"""Cancelling by an id, from anywhere: a run or one job of it; and going on with what waits."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.engine.scripted import Scripted, paid
from tests.engine.test_promises import one_by_one, rejected, run
from vidorch import Client
from vidorch.client.aio import AsyncClient, AsyncRun
from vidorch.clock import RealClock
from vidorch.contract import Done, Output, Progress
from vidorch.errors import InvalidRequest, OverBudget, ProviderFailed, Unsupported, VidorchError
from vidorch.result import Job
from vidorch.testing import Mock

Make = Callable[..., AsyncClient]
ENDLESS = [Progress("running", 0.1)]
QUICK = {"min_poll": 0.01}


def real(client_of: Make, **more: Any) -> AsyncClient:
    return client_of(paid(**QUICK, **more), clock=RealClock())


async def left_alone(client: AsyncClient, **options: Any) -> AsyncRun:
    return await client.submit("x", model="test/basic", detach=True, **options)


async def end_of(handle: AsyncRun) -> VidorchError:
    """What waiting for a run that gives nothing ends with."""
    with pytest.raises(VidorchError) as caught:
        await handle.wait()
    return caught.value


class TestClientCancel:
    def test_of_a_run(self, client_of: Make, provider: Scripted) -> None:
        """Every open job of it is asked to end."""
        provider.polls = ENDLESS

        async def go(client: AsyncClient) -> list[str]:
            handle = await client.submit("x", model="test/basic", candidates=2)
            await client.cancel(handle.id)
            await end_of(handle)
            return [job.state for job in await handle.jobs()]

        assert ["cancelled", "cancelled"] == run(real(client_of), go)

    def test_of_one_job_leaves_the_others(self, client_of: Make, provider: Scripted) -> None:
        """The run goes on, and finishes with what comes."""
        provider.polls = ENDLESS

        async def go(client: AsyncClient) -> tuple[list[str], int]:
            handle = await client.submit("x", model="test/basic", candidates=2)
            endless, other = await handle.jobs()
            await client.cancel(endless.id)
            provider._left[str(other.remote_id)] = [Done((Output(0, "r"),))]
            result = await handle.wait()
            return [job.state for job in await handle.jobs()], len(result.candidates)

        assert (["cancelled", "settled"], 1) == run(real(client_of), go)
        assert 1 == provider.calls.count("cancel")

    def test_what_was_cancelled_is_not_bought_again(self, client_of: Make, provider: Scripted) -> None:
        """Neither `retries` nor a list of models replaces a job that its caller called off."""
        provider.polls = ENDLESS

        async def go(client: AsyncClient) -> int:
            handle = await client.submit("x", model=["first", "second"], retries=3)
            await client.cancel((await handle.jobs())[0].id)
            await end_of(handle)
            return provider.calls.count("submit")

        both = (paid("first", **QUICK), paid("second", **QUICK))
        assert 1 == run(client_of(*both, clock=RealClock()), go)

    def test_of_what_nobody_carries_asks_once(self, client_of: Make, provider: Scripted) -> None:
        """It is taken up for that, and the vendor is asked a single time: at some a second time deletes a finished result."""
        provider.polls = ENDLESS

        async def go(client: AsyncClient) -> tuple[str, int]:
            handle = await left_alone(client)
            await client.cancel(handle.id)
            await end_of(handle)
            return (await handle.jobs())[0].state, provider.calls.count("cancel")

        assert ("cancelled", 1) == run(real(client_of), go)

    def test_of_a_job_that_another_client_carries(self, client_of: Make, provider: Scripted) -> None:
        """The vendor is asked from here; whoever carries it sees the end, and keeps the others."""
        provider.polls = ENDLESS

        async def go(client: AsyncClient) -> list[str]:
            handle = await client.submit("x", model="test/basic", candidates=2)
            endless, other = await handle.jobs()
            async with real(client_of) as elsewhere:
                await elsewhere.cancel(endless.id)
            provider._left[str(other.remote_id)] = [Done((Output(0, "r"),))]
            await handle.wait()
            return [job.state for job in await handle.jobs()]

        assert ["cancelled", "settled"] == run(real(client_of), go)

    def test_of_a_run_that_waits_calls_it_off(self, client_of: Make, provider: Scripted) -> None:
        """Nothing was sent, nothing will be."""
        provider.on_submit = one_by_one(rejected(60.0), None)

        async def go(client: AsyncClient) -> str:
            handle = await left_alone(client)
            await client.cancel(handle.id)
            with pytest.raises(InvalidRequest, match="not waiting"):
                await handle.proceed()
            return await handle.state()

        assert "cancelled" == run(real(client_of), go)
        assert 1 == provider.calls.count("submit")

    def test_that_its_vendor_cannot_do(
        self, client_of: Make, provider: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The vendor's no comes out, and the job goes on to its end."""
        provider.polls = [*ENDLESS * 5, Done((Output(0, "r"),))]

        async def cannot(*_: Any) -> Any:
            raise Unsupported("test cannot cancel a job; it will run to its end.")

        monkeypatch.setattr(provider, "cancel", cannot)

        async def go(client: AsyncClient) -> str:
            handle = await client.submit("x", model="test/basic", candidates=1)
            with pytest.raises(Unsupported, match="cannot cancel"):
                await client.cancel((await handle.jobs())[0].id)
            await handle.wait()
            return (await handle.jobs())[0].state

        assert "settled" == run(real(client_of), go)

    @pytest.mark.parametrize("name", ["run_nope", "job_nope", ""])
    def test_of_nothing(self, client_of: Make, name: str) -> None:
        """No such run or job."""

        async def go(client: AsyncClient) -> None:
            with pytest.raises(InvalidRequest, match="There is no run or job"):
                await client.cancel(name)

        run(client_of(paid()), go)

    def test_of_a_job_that_is_over(self, client_of: Make) -> None:
        """It says what the job is, and changes nothing."""

        async def go(client: AsyncClient) -> Job:
            job_id = (await client.generate("x", model="test/basic")).clip.job_id
            with pytest.raises(InvalidRequest, match="is settled and cannot be cancelled"):
                await client.cancel(job_id)
            return await client.job(job_id)

        assert "settled" == run(client_of(paid()), go).state

    def test_on_the_blocking_face(self, vidorch_mock: Mock) -> None:
        """`Client.cancel` is the same."""
        vidorch_mock.on(model="test/basic").hold()
        with Client() as client:
            handle = client.submit("x", model="test/basic")
            client.cancel(handle.jobs[0].id)
            with pytest.raises(ProviderFailed, match="cancelled"):
                handle.wait()
            assert "cancelled" == handle.state


class TestProceed:
    def test_that_cannot_be_paid_leaves_it_waiting(self, client_of: Make, provider: Scripted) -> None:
        """A cap or budget that does not hold it is said before the run is taken up: it can still be sent later."""
        provider.on_submit = one_by_one(rejected(60.0), None)

        async def go(client: AsyncClient) -> tuple[str, Decimal]:
            handle = await left_alone(client)
            with pytest.raises(OverBudget, match="still waits"):
                await handle.proceed(max_cost="0.10")
            state = await handle.state()
            await handle.proceed(max_cost="5")
            return state, (await handle.wait()).cost

        assert ("waiting", Decimal(1)) == run(real(client_of), go)

    def test_tells_of_its_progress(self, client_of: Make, provider: Scripted) -> None:
        """`on_progress` is called as for `generate`."""
        provider.on_submit = one_by_one(rejected(60.0), None)
        seen: list[str] = []

        async def go(client: AsyncClient) -> None:
            handle = await left_alone(client)
            await handle.proceed(on_progress=lambda progress: seen.append(progress.run_id))
            await handle.wait()
            assert {handle.id} == set(seen)

        run(real(client_of), go)


class TestResume:
    def test_leaves_alone_what_it_is_told_to(self, client_of: Make, provider: Scripted) -> None:
        """`without` names runs that stay as they are."""

        async def go(client: AsyncClient) -> list[str]:
            one, other = [await left_alone(client) for _ in range(2)]
            taken = await client.resume(without=[one.id])
            assert [other.id] == [handle.id for handle in taken]
            for handle in taken:
                await handle.wait()
            return [await one.state(), await other.state()]

        assert ["open", "finished"] == run(real(client_of), go)

    def test_of_a_batch_takes_up_its_lines(self, client_of: Make, provider: Scripted) -> None:
        """A batch's id stands for what is open below it."""
        provider.polls = ENDLESS

        async def begin(client: AsyncClient) -> list[Any]:
            return await client.generate_many(["x", "y"], model="test/basic", timeout=0.01)

        run(real(client_of), begin)
        provider._left = {name: [Done((Output(0, "r"),))] for name in provider._left}

        async def go(client: AsyncClient) -> tuple[int, list[str]]:
            await client.jobs()  # opens the ledger
            (batch,) = [row["id"] for row in client._opened_ledger().open_runs() if row["kind"] == "batch"]
            children = await client.resume(batch)
            return len(await client.resume()), [await one.state() for one in children if await one.wait()]

        assert (0, ["finished", "finished"]) == run(real(client_of), go)
