"""Many calls at once, and many processes on one ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests import postgres
from tests.promises.killing import Case, Mother
from tests.promises.sim import World, simulated
from tests.remote import Books, Fate
from tests.remote.audit import audit
from vidorch.ledger.ledger import Ledger
from vidorch.result import Result


@pytest.fixture(scope="module")
def mother() -> Iterator[Mother]:
    with Mother() as mother:
        yield mother


def test_a_thousand_calls_at_once() -> None:
    """Each gives a clip of its own; their waits do not add up."""
    with simulated():
        world = World(1, lambda number, *_: Fate(latency=60 + number % 60))
        process = world.process()

        async def go() -> list[Result]:
            async with process.client() as client:
                calls = (client.generate(f"ball {number}", model="north/exact") for number in range(1000))
                return await asyncio.gather(*calls)

        results = world.run(process.spawn(go()))
        assert 1000 == len({result.clip.sha256 for result in results})
        assert Decimal(250) == sum(result.cost for result in results)
        assert 200 > world.loop.time()
        assert [] == audit(world.books, world.ledger) + world.troubles
        world.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> str:
    """Of a ledger on PostgreSQL; empty for a file."""
    return "" if request.param == "sqlite" else postgres.url_of(postgres.empty())


class TestEightProcesses:
    def test_with_one_key_pay_once(self, mother: Mother, tmp_path: Path, url: str) -> None:
        """All eight ask for the same at the same moment; one submits, eight are handed the clip."""
        case = Case(str(tmp_path / "home"), key="order-1", fates=({"latency": 0.3},), url=url)
        (tmp_path / "home").mkdir()
        told = mother.run(*[case] * 8)
        assert [["Result"]] * 8 == [one.said for one in told]
        assert 1 == len(Books(case.books).everything())

    def test_of_their_own_do_not_disturb_each_other(self, mother: Mother, tmp_path: Path, url: str) -> None:
        """Eight times five clips through one ledger: all come, and the budget is right to the cent."""
        case = Case(str(tmp_path / "home"), candidates=5, fates=({"latency": 0.05},), url=url)
        (tmp_path / "home").mkdir()
        told = mother.run(*[case] * 8)
        assert [["Result"]] * 8 == [one.said for one in told]
        ledger = Ledger(case.ledger)
        assert [] == audit(Books(case.books), ledger)
        assert Decimal(10) == ledger.budgets(0.0)[0].settled
        ledger.close()
