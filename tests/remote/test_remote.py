"""The vendor in the tests is held to its own word: it remembers, it bills once, and it misbehaves only as its fates say."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.remote import Books, Fate, Remote, catalog, random_fate
from tests.remote.provider import clip_bytes
from vidorch import media
from vidorch.catalog import load
from vidorch.clock import RealClock
from vidorch.contract import (
    Accepted,
    Context,
    Done,
    Endpoint,
    Failed,
    LookFor,
    Output,
    Prepared,
    Progress,
    Rejected,
)
from vidorch.errors import BadMedia, Refused, Throttled
from vidorch.request import Request

REQUEST = Request(prompt="a ball", duration=1, size=(64, 64))


class Desk:
    """A remote, a clock that is set by hand, and the calls in short."""

    def __init__(self, books: Books, *fates: Fate) -> None:
        self.time = 1000.0
        script = fates or (Fate(),)
        self.remote = Remote(
            books, lambda number, *_: script[min(number, len(script)) - 1], lambda: self.time
        )
        self.offers = {offer.name: offer for offer in load(catalog()).offers}

    def context(self, job_id: str = "job_1", samples: int = 1) -> Context:
        return Context(Endpoint("north", "remote"), RealClock(), job_id, Path(), samples=samples)

    def submit(self, job_id: str = "job_1", model: str = "north/exact", samples: int = 1) -> Accepted:
        prepared = Prepared(REQUEST, self.offers[model])
        return asyncio.run(self.remote.submit(self.context(job_id, samples), prepared))

    def poll(self, accepted: Accepted) -> Any:
        return asyncio.run(self.remote.poll(self.context(), accepted))

    def find(self, job_id: str, model: str) -> list[str]:
        look = LookFor(job_id, REQUEST.describe(), self.offers[model], self.time)
        return [found.accepted.remote_id for found in asyncio.run(self.remote.find(self.context(), look))]

    def fetch(self, output: Output, path: Path) -> None:
        asyncio.run(self.remote.fetch(self.context(), output, path))


class TestASubmit:
    def test_is_remembered_by_another_process(self, tmp_path: Path) -> None:
        """The books are a file: who opens it later polls the same job."""
        books = Books(tmp_path / "vendor.db")
        accepted = Desk(books).submit()
        books.close()
        later = Desk(Books(tmp_path / "vendor.db"))
        later.time += 10
        assert isinstance(later.poll(accepted), Done)

    @pytest.mark.parametrize(
        ("answer", "error", "taken"),
        [
            ("throttled", Rejected, False), ("rejected", Rejected, False), ("refused", Rejected, False),
            ("silent", ConnectionResetError, True), ("vanished", ConnectionResetError, False),
        ],
    )  # fmt: skip
    def test_gets_the_answer_of_its_fate(self, answer: Any, error: type[Exception], taken: bool) -> None:
        """Whether it is in the books is another matter than what its sender hears."""
        desk = Desk(Books(), Fate(answer=answer))
        with pytest.raises(error):
            desk.submit()
        assert taken == (desk.remote.books.job("r-1") is not None)
        assert 1 == len(desk.remote.books.everything())

    def test_tells_a_throttle_from_a_refusal(self) -> None:
        """One names a delay, the other a stage."""
        desk = Desk(Books(), Fate(answer="throttled", retry_after=7), Fate(answer="refused"))
        with pytest.raises(Rejected) as throttled:
            desk.submit()
        with pytest.raises(Rejected) as refused:
            desk.submit("job_2")
        assert (7, True) == (throttled.value.retry_after, isinstance(throttled.value.cause, Throttled))
        assert (None, True) == (refused.value.retry_after, isinstance(refused.value.cause, Refused))


class TestALook:
    def test_goes_from_the_queue_to_the_end(self) -> None:
        """By the vendor's clock."""
        desk = Desk(Books(), Fate(latency=10))
        accepted = desk.submit()
        seen = [desk.poll(accepted)]
        for _ in range(2):
            desk.time += 5
            seen.append(desk.poll(accepted))
        assert ["queued", "running"] == [look.stage for look in seen if isinstance(look, Progress)]
        assert isinstance(seen[-1], Done)

    def test_gets_no_answer_as_often_as_its_fate_says(self) -> None:
        """And then an unknown status, which is not an end."""
        desk = Desk(Books(), Fate(latency=0, lost_polls=2, odd_polls=1))
        accepted = desk.submit()
        for _ in range(2):
            with pytest.raises(TimeoutError):
                desk.poll(accepted)
        assert isinstance(desk.poll(accepted), Progress)
        assert isinstance(desk.poll(accepted), Done)

    def test_at_withheld_clips(self) -> None:
        """They are counted, and not among the outputs."""
        desk = Desk(Books(), Fate(latency=0, withheld=3))
        done = desk.poll(desk.submit(model="north/many-exact", samples=4))
        assert (1, 3) == (len(done.outputs), done.filtered)

    def test_at_a_cancelled_job(self) -> None:
        """It ends as cancelled, unless it was over by then."""
        desk = Desk(Books(), Fate(latency=10))
        first = desk.submit()
        assert asyncio.run(desk.remote.cancel(desk.context(), first)).stopped
        found = desk.poll(first)
        assert isinstance(found, Failed) and found.cancelled
        second = desk.submit("job_2")
        desk.time += 20
        assert not asyncio.run(desk.remote.cancel(desk.context(), second)).stopped
        assert isinstance(desk.poll(second), Done)


class TestTheBill:
    @pytest.mark.parametrize(
        ("fate", "bill"),
        [
            (Fate(), 1_000_000), (Fate(withheld=2), 1_000_000), (Fate(tells=True, factor=140), 1_400_000),
            (Fate(ending="failed", charged=True), 1_000_000), (Fate(ending="failed", charged=False), 0),
            (Fate(ending="failed", charged=None), None), (Fate(answer="silent"), 1_000_000), (Fate(answer="rejected"), 0),
            (Fate(answer="vanished"), 0),
        ],
    )  # fmt: skip
    def test_of_four_clips(self, fate: Fate, bill: int | None) -> None:
        """In millionths; None where only the rule of the catalog tells."""
        desk = Desk(Books(), fate)
        with contextlib.suppress(Rejected, ConnectionResetError):
            desk.submit(model="north/many-exact", samples=4)
        assert bill == desk.remote.books.everything()[0].bill

    def test_is_told_where_the_fate_says_so(self) -> None:
        """As the vendor's own figure, in the last look."""
        desk = Desk(Books(), Fate(latency=0, tells=True, factor=50))
        assert Decimal("0.125") == desk.poll(desk.submit()).cost


class TestASearch:
    def test_by_our_id(self) -> None:
        """It gives what was taken under that id, and nothing else."""
        desk = Desk(Books(), Fate(answer="silent"), Fate())
        with pytest.raises(ConnectionResetError):
            desk.submit("job_1")
        desk.submit("job_2")
        assert (["r-1"], ["r-2"], []) == tuple(
            desk.find(name, "north/exact") for name in ("job_1", "job_2", "job_3")
        )

    def test_in_a_list(self) -> None:
        """It gives all that look alike at one model."""
        desk = Desk(Books())
        for number in range(3):
            desk.submit(f"job_{number}", "north/listed" if number else "north/exact")
        assert ["r-2", "r-3"] == desk.find("job_9", "north/listed")

    def test_lags(self) -> None:
        """What has just come is not shown yet."""
        desk = Desk(Books())
        desk.submit(model="north/lagging")
        assert [] == desk.find("job_1", "north/lagging")
        desk.time += 61
        assert ["r-1"] == desk.find("job_1", "north/lagging")


class TestADownload:
    def test_is_a_real_clip_of_its_own(self, tmp_path: Path) -> None:
        """Every output has other bytes, and each is a video that can be checked."""
        desk = Desk(Books(), Fate(latency=0))
        done = desk.poll(desk.submit(model="north/many-exact", samples=4))
        for output in done.outputs:
            desk.fetch(output, tmp_path / str(output.index))
            assert 8 == media.verify(tmp_path / str(output.index), duration=1, size=(64, 64)).frames
        assert 4 == len({(tmp_path / str(number)).read_bytes() for number in range(4)})
        assert clip_bytes("r-1/0") == (tmp_path / "0").read_bytes()

    def test_is_cut_as_often_as_its_fate_says(self, tmp_path: Path) -> None:
        """A cut one is no video."""
        desk = Desk(Books(), Fate(latency=0, bad_files=1))
        output = desk.poll(desk.submit()).outputs[0]
        desk.fetch(output, tmp_path / "cut")
        with pytest.raises(BadMedia):
            media.verify(tmp_path / "cut")
        desk.fetch(output, tmp_path / "whole")
        assert 8 == media.verify(tmp_path / "whole").frames

    def test_by_an_expired_link(self, tmp_path: Path) -> None:
        """It works with a renewed one, where links can be renewed."""
        desk = Desk(Books(), Fate(latency=0, link="expired"), Fate(latency=0, link="dead"))
        first, second = (desk.submit(f"job_{number}") for number in range(2))
        output = desk.poll(first).outputs[0]
        with pytest.raises(PermissionError):
            desk.fetch(output, tmp_path / "clip")
        desk.fetch(asyncio.run(desk.remote.refresh(desk.context(), first, output)), tmp_path / "clip")
        with pytest.raises(FileNotFoundError):
            asyncio.run(desk.remote.refresh(desk.context(), second, replace(output, ref="r-2/0")))


def test_chance_gives_the_same_fates_again() -> None:
    """A seed is a script; and every answer and ending comes up."""
    drawn = [[random_fate(random.Random(seed), 4) for seed in range(500)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert {"accepted", "silent", "vanished", "throttled", "rejected", "refused"} == {
        fate.answer for fate in drawn[0]
    }
    assert {"done", "failed", "refused", "gone"} == {fate.ending for fate in drawn[0]}
    assert all(fate == Fate.from_json(fate.to_json()) for fate in drawn[0])


class TestTheVendorsOwnTime:
    def test_goes_on_when_it_is_asked_for(self, tmp_path: Path) -> None:
        """A hundredth of a second each time, whichever process asks, however long nobody did."""
        one, other = Books(tmp_path / "books.db"), Books(tmp_path / "books.db")
        began = one.now()
        told = [other.now(), one.now(), other.now()]
        one.close()
        other.close()
        assert [1, 2, 3] == [round((now - began) * 100) for now in told]

    def test_makes_a_job_run_as_long_as_looks_take(self, tmp_path: Path) -> None:
        """A job of three hundredths is at work at the first look, also on a machine that sleeps before it."""
        books = Books(tmp_path / "books.db")
        desk = Desk(books, Fate(latency=0.03))
        desk.remote.now = books.now
        accepted = desk.submit()
        told = [desk.poll(accepted) for _ in range(5)]
        books.close()
        assert [Progress, Progress, Done] == [type(told[place]) for place in (0, 1, 4)]
