"""What one vendor's trouble means for the caller: another offer where the trouble is clear, one clear question where it is not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from tests.promises.sim import World, simulated
from tests.remote import Fate
from tests.remote.audit import audit
from vidorch.errors import SubmissionUnknown, VidorchError
from vidorch.result import Result

HEALTHY = Fate(latency=3)
LIST = ["north/blind", "south/exact"]
RUNS = 100


@dataclass(frozen=True)
class Kind:
    """One kind of trouble at the first offer, which the second does not have.

    Attributes:
        fate: what becomes of every submit there. where: the model that gives the clip in the end. submits: how many it takes.
        spent: USD for all of it. options: what the caller allowed beyond the list.
    """

    fate: Fate
    where: str
    submits: int
    spent: str
    options: tuple[tuple[str, Any], ...] = ()


CLEAR = {
    "throttled for good": Kind(Fate(answer="throttled", retry_after=2), "exact", 7, "0.25"),
    "rejected: no quota, no credit, no such model": Kind(Fate(answer="rejected"), "exact", 2, "0.25"),
    "input refused, and the caller goes on": Kind(Fate(answer="refused"), "exact", 2, "0.25", (("fallback_on_refusal", True),)),
    "output refused, and the caller goes on": Kind(
        Fate(ending="refused", charged=True), "exact", 2, "0.50", (("fallback_on_refusal", True),)
    ),
    "every clip withheld, and the caller goes on": Kind(Fate(withheld=1), "exact", 2, "0.50", (("fallback_on_refusal", True),)),
    "failed, not charged": Kind(Fate(ending="failed", charged=False), "exact", 2, "0.25"),
    "failed, charged": Kind(Fate(ending="failed", charged=True), "exact", 2, "0.50"),
    "failed without a word on charging": Kind(Fate(ending="failed", charged=None), "exact", 2, "0.50"),
    "looks that get no answer": Kind(Fate(lost_polls=5), "blind", 1, "0.25"),
    "a status that nobody knows": Kind(Fate(odd_polls=4), "blind", 1, "0.25"),
    "a file that is cut on its way": Kind(Fate(bad_files=1), "blind", 1, "0.25"),
    "a link that has expired": Kind(Fate(link="expired"), "blind", 1, "0.25"),
    "a file that is no video, each time": Kind(Fate(bad_files=-1), "exact", 2, "0.50"),
    "a very slow answer": Kind(Fate(reply=300.0), "blind", 1, "0.25"),
}  # fmt: skip

AMBIGUOUS = {
    "the reply is lost": Fate(answer="silent"),
    "it is lost on its way": Fate(answer="vanished"),
    "the reply is lost after minutes": Fate(answer="silent", reply=200.0),
}


@pytest.fixture(autouse=True)
def _simulated() -> Iterator[None]:
    with simulated():
        yield


@contextlib.contextmanager
def asked(fate: Fate, runs: int, **options: Any) -> Iterator[tuple[World, list[Result | VidorchError]]]:
    """So many calls side by side, whose first offer has that trouble."""
    world = World(1, lambda number, offer, samples: fate if offer == LIST[0] else HEALTHY)
    process = world.process()

    async def go() -> list[Result | VidorchError]:
        async with process.client() as client:
            return await client.generate_many(["a ball"] * runs, model=LIST, max_cost=runs, **options)

    try:
        yield world, world.run(process.spawn(go()))
        assert [] == audit(world.books, world.ledger) + world.troubles
    finally:
        world.close()


@pytest.mark.parametrize("name", CLEAR)
def test_clear_trouble_is_survived(name: str) -> None:
    """With a healthy offer left, at least 99 of 100 calls give their clip, with no job and no cent too many."""
    kind = CLEAR[name]
    with asked(kind.fate, RUNS, **dict(kind.options)) as (world, results):
        came = [result for result in results if isinstance(result, Result)]
        assert 0.99 * RUNS <= len(came)
        assert {kind.where} == {result.clip.model for result in came}
        assert {Decimal(kind.spent)} == {result.cost for result in came}
        assert kind.submits * RUNS == len(world.books.everything())


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_trouble_is_a_question(name: str) -> None:
    """No other job is paid for, and each caller gets one `SubmissionUnknown` that names the job and what stays reserved."""
    with asked(AMBIGUOUS[name], RUNS) as (world, results):
        assert all(isinstance(result, SubmissionUnknown) for result in results)
        assert RUNS == len({result.job_id for result in results if isinstance(result, SubmissionUnknown)})
        assert all("$0.25 stay reserved" in str(result) for result in results)
        assert RUNS == len(world.books.everything())


@pytest.mark.parametrize("option", [{}, {"fallback_on_refusal": True}])
def test_refusals_go_on_only_when_asked(option: dict[str, Any]) -> None:
    """A refused input is the caller's matter: another vendor is asked only by their leave."""
    with asked(Fate(answer="refused"), 1, **option) as (world, results):
        assert bool(option) == isinstance(results[0], Result)
        assert 1 + bool(option) == len(world.books.everything())
