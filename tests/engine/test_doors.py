"""Offers that fail are left alone for a while: when a door shuts, for whom, and how it opens again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.engine.scripted import PRICE, Scripted, catalog, offer, paid
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
from vidorch.offer import Offer
from vidorch.request import Request
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

    def test_of_another_credential(self) -> None:
        """What the old one was refused says nothing of the new one; what nobody marked, or another machine did, still does."""
        refused = [one._replace(credential="a:1") for one in tries(*[NO_MONEY] * SHUTS_AFTER)]
        assert door_of(refused, "m", "a:2") is None
        assert all(door_of(refused, "m", now) is not None for now in ("a:1", "b:2", ""))
        assert door_of(tries(*[NO_MONEY] * SHUTS_AFTER), "m", "a:2") is not None


class Vendor(Scripted):
    """Fails for some scopes and models."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = {"basic"}
        self.poor: set[str] = set()
        self.ends: dict[str, Failed] = {}
        self.preparing: Callable[[], Awaitable[object]] | None = None
        self.sent: list[tuple[str, str]] = []

    async def prepare(self, context: Context, request: Request, offer: Offer) -> Prepared:
        if self.preparing is not None:
            await self.preparing()
        return await super().prepare(context, request, offer)

    async def submit(self, context: Context, prepared: Prepared) -> Accepted:
        self.sent.append((prepared.offer.model, context.scope))
        if context.scope in self.poor:
            raise Rejected(OverBudget("balance is empty", charged=False))
        end = BROKEN if prepared.offer.model in self.broken else GOOD
        self.polls = [Progress("running"), self.ends.get(prepared.offer.model, end)]
        return await super().submit(context, prepared)


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


Make = Callable[[], AsyncClient]
DEAR = paid("dear", price={**PRICE, "row": [{**PRICE["row"][0], "per_second": "2.00"}]})


@pytest.fixture
def client_of(tmp_path: Path, vendor: Vendor, clock: VirtualClock) -> Make:
    def make() -> AsyncClient:
        return AsyncClient(
            home=tmp_path / "home", catalog=catalog(paid(), paid("other"), DEAR, offer("free")), providers={"test": vendor}, clock=clock,
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


@pytest.mark.databases(quick=True)
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


class TestOfARefusedAccount:
    @pytest.fixture
    def keys(self) -> dict[str, str]:
        return {"default": "key-that-is-bad"}

    @pytest.fixture
    def keyed(self, tmp_path: Path, vendor: Vendor, clock: VirtualClock, keys: dict[str, str]) -> Make:
        def make() -> AsyncClient:
            return AsyncClient(
                home=tmp_path / "home", catalog=catalog(paid("other", variables=["TEST_KEY"])), providers={"test": vendor},
                clock=clock, credentials=lambda scope, endpoint: keys.get(scope),
            )  # fmt: skip

        return make

    def poor_without(self, vendor: Vendor, key: str) -> None:
        """Only this key has a balance."""
        before = vendor.submit

        async def submit(context: Context, prepared: Prepared) -> Accepted:
            vendor.poor = set() if context.secret == key else {"default", "a"}
            return await before(context, prepared)

        vendor.submit = submit  # type: ignore[method-assign]

    def test_opens_with_another_credential(self, keyed: Make, vendor: Vendor, keys: dict[str, str]) -> None:
        """At once, in the process that was refused."""
        self.poor_without(vendor, "key-that-is-good")

        async def go() -> str:
            async with keyed() as client:
                assert SHUTS_AFTER + 1 == len(await errors_of(client, SHUTS_AFTER + 1, model="other"))
                keys["default"] = "key-that-is-good"
                return (await client.generate("x", model="other")).clip.model

        assert "other" == asyncio.run(go())
        assert SHUTS_AFTER + 1 == len(vendor.sent)

    def test_opens_in_every_process(self, keyed: Make, vendor: Vendor, keys: dict[str, str]) -> None:
        """The next command with a mended key goes through, and one with the old key does not."""
        self.poor_without(vendor, "key-that-is-good")

        async def go() -> str:
            async with keyed() as client:
                await errors_of(client, SHUTS_AFTER, model="other")
            async with keyed() as client:
                await errors_of(client, 1, model="other")
            assert SHUTS_AFTER == len(vendor.sent)
            keys["default"] = "key-that-is-good"
            async with keyed() as client:
                return (await client.generate("x", model="other")).clip.model

        assert "other" == asyncio.run(go())

    def test_of_another_scope_stays_shut(self, keyed: Make, vendor: Vendor, keys: dict[str, str]) -> None:
        """A tenant's new key opens its own doors and nobody else's."""
        self.poor_without(vendor, "nobody has this one")
        keys["a"] = "key-of-a"

        async def go() -> int:
            async with keyed() as client:
                for scope in ("default", "a"):
                    await errors_of(client, SHUTS_AFTER, model="other", scope=scope)
                keys["default"] = "key-that-is-new"
                await errors_of(client, 1, model="other", scope="a")
                return len(vendor.sent)

        assert 2 * SHUTS_AFTER == asyncio.run(go())

    def test_writes_down_no_credential(
        self, keyed: Make, vendor: Vendor, keys: dict[str, str], tmp_path: Path
    ) -> None:
        """Nor the word that marks it, in any file of the home folder."""
        self.poor_without(vendor, "nobody has this one")

        async def go() -> None:
            async with keyed() as client:
                await errors_of(client, SHUTS_AFTER + 1, model="other")

        asyncio.run(go())
        files = [one for one in (tmp_path / "home").rglob("*") if one.is_file()]
        assert "ledger.db" in {one.name for one in files}
        key, maker = keys["default"].encode(), (tmp_path / "home" / "doors.key").read_bytes()
        assert not any(key in one.read_bytes() for one in files)
        assert not any(maker in one.read_bytes() for one in files if one.name != "doors.key")


class TestProbe:
    def test_that_bought_nothing_keeps_nobody_out(
        self, client_of: Make, vendor: Vendor, clock: VirtualClock
    ) -> None:
        """Over its own max_cost, it sent nothing: the next one may try at once."""

        async def go() -> list[VidorchError]:
            async with client_of() as client:
                await errors_of(client, SHUTS_AFTER)
                await clock.sleep(FIRST_PAUSE + 1)
                over = await errors_of(client, 1, max_cost="0.01")
                vendor.broken.clear()
                await client.generate("x", model="basic")
                return over

        assert [OverBudget] == [type(error) for error in asyncio.run(go())]
        assert SHUTS_AFTER + 1 == len(vendor.sent)

    def test_that_bought_nothing_in_a_fallback(
        self, client_of: Make, vendor: Vendor, clock: VirtualClock
    ) -> None:
        """The same where it was the second choice, once the first had failed and used the cap up."""

        async def go() -> None:
            async with client_of() as client:
                await errors_of(client, SHUTS_AFTER)
                await clock.sleep(FIRST_PAUSE + 1)
                vendor.ends["other"] = Failed(ProviderFailed("broken", charged=True), cost=Decimal(1))
                await errors_of(client, 1, model=["other", "basic"], retries=1, max_cost="1.50")
                vendor.broken.clear()
                await client.generate("x", model="basic")

        asyncio.run(go())
        assert ["basic"] * SHUTS_AFTER + ["other", "basic"] == [model for model, _ in vendor.sent]

    def test_that_was_cancelled_keeps_nobody_out(
        self, client_of: Make, vendor: Vendor, clock: VirtualClock
    ) -> None:
        """Called off before anything was sent."""

        async def go() -> None:
            async with client_of() as client:
                await errors_of(client, SHUTS_AFTER)
                await clock.sleep(FIRST_PAUSE + 1)
                begun, called_off = asyncio.Event(), asyncio.Event()

                async def prepares() -> None:
                    begun.set()
                    await called_off.wait()

                vendor.preparing = prepares
                first = asyncio.create_task(client.generate("x", model="basic"))
                await begun.wait()
                (run_id,) = client._engine.live  # type: ignore[union-attr]
                await client.cancel(run_id)
                called_off.set()
                with pytest.raises(VidorchError):
                    await first
                vendor.preparing = None
                vendor.broken.clear()
                await client.generate("x", model="basic")

        asyncio.run(go())

    def test_of_the_next_in_the_list_is_asked_for_too(self, client_of: Make, vendor: Vendor) -> None:
        """Where the first does not fit the cap, the second is left alone if it has failed."""

        async def go() -> list[VidorchError]:
            async with client_of() as client:
                await errors_of(client, SHUTS_AFTER)
                return await errors_of(client, 1, model=["dear", "basic"], max_cost="1.00")

        (error,) = asyncio.run(go())
        assert (OverBudget, SHUTS_AFTER) == (type(error), len(vendor.sent))


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
