"""How commands put what one's own hardware takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.engine.conftest import client_of, clock, provider  # noqa: F401  (fixtures)
from tests.test_hours import hours, loaded
from vidorch import Endpoint
from vidorch.cli import words
from vidorch.client.aio import AsyncClient
from vidorch.result import Job, Result


@pytest.fixture
def made(client_of: Callable[..., AsyncClient]) -> tuple[Result, Job]:  # noqa: F811
    """A clip on one's own hardware, and its job."""

    async def go() -> tuple[Result, Job]:
        where = {"test": Endpoint("test", "test", usd_per_hour=Decimal("3.60"))}
        async with client_of(hours(), endpoints=where) as client:
            result = await client.generate("a ball", model="test/basic")
            return result, client._opened_ledger().jobs()[0]

    return asyncio.run(go())


class TestSayResult:
    def test_what_is_imputed(self, made: tuple[Result, Job]) -> None:
        """It is said beside the clip, and that nothing was spent."""
        _, asides = words.say_result(made[0])
        assert "imputed, nothing spent" in asides[0]


class TestAmount:
    def test_what_is_imputed(self, made: tuple[Result, Job]) -> None:
        """A job's amount says that it is no money."""
        assert words.amount(made[1]).endswith(" imputed")
        assert not words.amount(replace(made[1], billed=True)).endswith(" imputed")


class TestPriceOfCancelling:
    def test_hours_that_are_billed(self, made: tuple[Result, Job], monkeypatch: pytest.MonkeyPatch) -> None:
        """What was worked until then, whatever the offer says of vendors' jobs."""
        monkeypatch.setattr(words, "_offers", lambda: {"test/basic": loaded(hours())})
        job = replace(made[1], billed=True, state="running", estimate_high=Decimal("0.18"))
        assert "test/basic is billed by the hour: what it was worked on until then, up to $0.18." == (
            words.price_of_cancelling([job])
        )
