"""Offers that fail are left alone for a while: when a door shuts, for whom, and how it opens again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.engine.scripted import Scripted, catalog, offer, paid
from vidorch.client.aio import AsyncClient
from vidorch.contract import Accepted, Context, Done, Failed, Output, Prepared, Progress, Rejected
from vidorch.doors import FIRST_PAUSE, LONGEST_PAUSE, SHUTS_AFTER, Try, door_of
from vidorch.errors import (
    InvalidRequest,
    OverBudget,
    ProviderFailed,
    Refused,
    SubmissionUnknown,
    VidorchError,
)
from vidorch.testing import VirtualClock

BROKEN = Failed(ProviderFailed("broken", charged=False))
GOOD = Done((Output(0, "x"),))


def tries(*ends: tuple[str, str | None], model: str = "m") -> list[Try]:
    """Jobs, oldest first, each a second after the one before it."""
    return [Try(model, state, error, float(at), float(at)) for at, (state, error) in enumerate(ends)]


FAILED, SETTLED, ASKED_WRONG = ("failed", "ProviderFailed"), ("settled", None), ("rejected", "InvalidRequest")
NO_MONEY = ("rejected", "OverBudget")


class TestDoorOf:
    def test_shuts_after_so_many_in_a_row(self) -> None:
        """Not after one less, and not where a clip came between them."""
        assert door_of(tries(*[FAILED] * (SHUTS_AFTER - 1)), "m") is None
        assert door_of(tries(*[FAILED] * SHUTS_AFTER), "m") is not None
        assert door_of(tries(FAILED, SETTLED, *[FAILED] * (SHUTS_AFTER - 1)), "m") is None
        assert SHUTS_AFTER <= 5

    @pytest.mark.parametrize(
        "end",
        [
            ("refused", "Refused"),
            ASKED_WRONG,
            ("rejected", "Throttled"),
            ("cancelled", None),
            ("abandoned", None),
        ],
    )
    def test_by_what_says_nothing_of_it(self, end: tuple[str, str | None]) -> None:
        """Refusals, wrong requests, throttling and what we ended ourselves neither shut nor open it."""
        assert door_of(tries(*[end] * 50), "m") is None
        assert door_of(tries(*[FAILED, end] * SHUTS_AFTER), "m") is not None

    @pytest.mark.parametrize(
        "end", [("unknown", "ProviderFailed"), ("unknown", None), ("lost", "ProviderFailed"), ("rejected", "ProviderFailed"),
                ("failed", "BadMedia")]
    )  # fmt: skip
    def test_by_every_kind_of_failure(self, end: tuple[str, str | None]) -> None:
        """A vendor that answers no submit holds a reservation with each: that shuts it, too."""
        assert door_of(tries(*[end] * SHUTS_AFTER), "m") is not None

    def test_longer_with_each_failure(self) -> None:
        """Twice as long, up to ten minutes."""
        for more in range(8):
            door = door_of(tries(*[FAILED] * (SHUTS_AFTER + more)), "m")
            assert door is not None
            assert min(FIRST_PAUSE * 2**more, LONGEST_PAUSE) == door.until - (SHUTS_AFTER + more - 1)

    def test_lets_one_in_at_a_time(self) -> None:
        """After its pause, and only while no other one is trying."""
        door = door_of(tries(*[FAILED] * SHUTS_AFTER), "m")
        assert door is not None
        assert (False, True) == (door.lets_in(door.until - 0.1), door.lets_in(door.until))
        probed = door_of(tries(*[FAILED] * SHUTS_AFTER, ("running", None)), "m")
        assert probed is not None
        assert not probed.lets_in(probed.until + 1000)

    def test_of_another_model(self) -> None:
        """Another one at the same endpoint may well be sound."""
        assert door_of(tries(*[FAILED] * 9), "other") is None

    def test_of_the_account(self) -> None:
        """An empty balance is empty for every model there."""
        door = door_of(tries(*[NO_MONEY] * SHUTS_AFTER), "other")
        assert door is not None
        assert door.account


class Vendor(Scripted):
    """Fails for some scopes and models."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = {"basic"}
        self.poor: set[str] = set()
        self.sent: list[tuple[str, str]] = []

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        self.sent.append((prepared.offer.model, context.scope))
        if context.scope in self.poor:
            raise Rejected(OverBudget("balance is empty", charged=False))
        self.polls = [Progress("running"), BROKEN if prepared.offer.model in self.broken else GOOD]
        return await super().submit(context, prepared)


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


Make = Callable[[], AsyncClient]


@pytest.fixture
def client_of(tmp_path: Path, vendor: Vendor, clock: VirtualClock) -> Make:
    def make() -> AsyncClient:
        return AsyncClient(
            home=tmp_path / "home", catalog=catalog(paid(), paid("other"), offer("free")), providers={"test": vendor}, clock=clock,
        )  # fmt: skip

    return make


async def errors_of(client: AsyncClient, count: int, **more: Any) -> list[VidorchError]:
    found = []
    for _ in range(count):
        try:
            await client.generate("x", **{"model": "basic", **more})
        except VidorchError as error:
            found.append(error)
    return found


class TestLeftAlone:
    def test_nothing_more_is_sent(self, client_of: Make, vendor: Vendor) -> None:
        """Within five failures; the error says until when, that nothing was paid, and what to do."""

        async def go() -> list[VidorchError]:
            async with client_of() as client:
                return await errors_of(client, 9)

        errors = asyncio.run(go())
        assert (9, SHUTS_AFTER) == (len(errors), len(vendor.sent))
        last = errors[-1]
        assert isinstance(last, ProviderFailed)
        assert (False, True) == (last.charged, last.retryable)
        assert f"test/basic has failed {SHUTS_AFTER} times in a row" in str(last)

    def test_goes_on_with_the_next(self, client_of: Make, vendor: Vendor) -> None:
        """Where the caller named one."""

        async def go() -> Any:
            async with client_of() as client:
                await errors_of(client, SHUTS_AFTER)
                return await client.generate("x", model=["basic", "other"])

        result = asyncio.run(go())
        assert "other" == result.clip.model
        assert any("test/basic was passed over" in note for note in result.notes)

    def test_closes_by_a_probe(self, client_of: Make, vendor: Vendor, clock: VirtualClock) -> None:
        """After its pause one job may try; a clip opens it for all, a failure shuts it for longer."""

        async def go() -> list[int]:
            counts = []
            async with client_of() as client:
                await errors_of(client, SHUTS_AFTER)
                await clock.sleep(FIRST_PAUSE + 1)
                await errors_of(client, 3)
                counts.append(len(vendor.sent))
                await clock.sleep(2 * FIRST_PAUSE + 1)
                vendor.broken.clear()
                await errors_of(client, 3)
                counts.append(len(vendor.sent))
            return counts

        assert [SHUTS_AFTER + 1, SHUTS_AFTER + 4] == asyncio.run(go())

    def test_one_probe_of_many(self, client_of: Make, vendor: Vendor, clock: VirtualClock) -> None:
        """A crowd that waits for it sends one."""

        async def go() -> None:
            async with client_of() as client:
                await errors_of(client, SHUTS_AFTER)
                await clock.sleep(FIRST_PAUSE + 1)
                await asyncio.gather(*(errors_of(client, 1) for _ in range(8)))

        asyncio.run(go())
        assert SHUTS_AFTER + 1 == len(vendor.sent)

    def test_in_every_process(self, client_of: Make, vendor: Vendor) -> None:
        """Another client on the same ledger leaves it alone, too."""

        async def go() -> None:
            async with client_of() as client:
                await errors_of(client, SHUTS_AFTER)
            async with client_of() as client:
                await errors_of(client, 1)

        asyncio.run(go())
        assert SHUTS_AFTER == len(vendor.sent)

    def test_of_another_scope(self, client_of: Make, vendor: Vendor) -> None:
        """One tenant's empty balance never closes another's door; its own is shut for every model there."""
        vendor.poor.add("a")

        async def go() -> tuple[list[VidorchError], str]:
            async with client_of() as client:
                errors = await errors_of(client, SHUTS_AFTER + 1, model="other", scope="a")
                return errors, (await client.generate("x", model="other", scope="b")).clip.model

        errors, model = asyncio.run(go())
        assert ("other", SHUTS_AFTER + 1) == (model, len(vendor.sent))
        assert "test has refused the account" in str(errors[-1])

    def test_for_a_retry(self, client_of: Make, vendor: Vendor) -> None:
        """However often the caller would try again."""

        async def go() -> list[VidorchError]:
            async with client_of() as client:
                return await errors_of(client, 1, retries=20, max_cost=100)

        asyncio.run(go())
        assert SHUTS_AFTER == len(vendor.sent)

    def test_of_submits_that_nobody_answers(self, client_of: Make, vendor: Vendor) -> None:
        """Each of them holds its high: they are not piled up."""

        def dead(number: int) -> Accepted | None:
            raise ProviderFailed("gone")

        vendor.on_submit = dead

        async def go() -> tuple[list[VidorchError], Decimal]:
            async with client_of() as client:
                errors = await errors_of(client, 7)
                return errors, (await client.spend()).total.held

        errors, held = asyncio.run(go())
        assert [SubmissionUnknown] * SHUTS_AFTER == [type(error) for error in errors[:SHUTS_AFTER]]
        assert (SHUTS_AFTER, Decimal(SHUTS_AFTER)) == (len(vendor.sent), held)

    def test_not_for_a_refusal(self, client_of: Make, vendor: Vendor) -> None:
        """A prompt that is refused nine times says nothing of the model."""

        def refuse(number: int) -> Accepted | None:
            raise Rejected(Refused("no", stage="input", charged=False))

        vendor.on_submit = refuse

        async def go() -> None:
            async with client_of() as client:
                await errors_of(client, 9)

        asyncio.run(go())
        assert 9 == len(vendor.sent)

    def test_not_for_free_work(self, client_of: Make, vendor: Vendor) -> None:
        """What runs here and costs nothing may fail as often as it likes."""
        vendor.broken.add("free")

        async def go() -> None:
            async with client_of() as client:
                await errors_of(client, 9, model="free")

        asyncio.run(go())
        assert 9 == len(vendor.sent)

    def test_joins_all_the_same(self, client_of: Make, vendor: Vendor) -> None:
        """A run that is finished is handed over by its key, whatever has failed since."""

        async def go() -> bool:
            async with client_of() as client:
                vendor.broken.clear()
                await client.generate("x", model="basic", key="k")
                vendor.broken.add("basic")
                await errors_of(client, SHUTS_AFTER + 1)
                return (await client.generate("x", model="basic", key="k")).joined

        assert asyncio.run(go())


def test_invalid_requests_say_nothing(client_of: Make, vendor: Vendor) -> None:
    """The vendor's own word that a request is wrong is no failure of the vendor."""

    def wrong(number: int) -> Accepted | None:
        raise Rejected(InvalidRequest("bad seed"))

    vendor.on_submit = wrong

    async def go() -> None:
        async with client_of() as client:
            await errors_of(client, 9)

    asyncio.run(go())
    assert 9 == len(vendor.sent)


def test_what_is_thrown_back_for_a_moment_goes_again(client_of: Make, vendor: Vendor) -> None:
    """Five more times, in the run that it happens to; the next run finds the door shut."""

    def gone(number: int) -> Accepted | None:
        raise Rejected(ProviderFailed("refused", charged=False), retry_after=1)

    vendor.on_submit = gone

    async def go() -> list[VidorchError]:
        async with client_of() as client:
            return await errors_of(client, 2)

    errors = asyncio.run(go())
    assert 6 == len(vendor.sent)
    assert "in a row" in str(errors[1])
