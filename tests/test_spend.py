"""`client.spend` and what it is made of: money to the cent, and where the time went."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

import vidorch
from tests.engine.scripted import Scripted, catalog, offer, paid
from vidorch.contract import Done, Failed, Output
from vidorch.errors import InvalidRequest, ProviderFailed
from vidorch.spend import STAGES, SpendJob, spend_of
from vidorch.testing import VirtualClock

DAY = datetime(2026, 11, 26, tzinfo=UTC).timestamp()


def job(**more: Any) -> SpendJob:
    """One that was to cost $1.00 (at most $2.00), did, and took 15 s."""
    plain: dict[str, Any] = {
        "created_at": DAY, "endpoint": "fal", "model": "kling", "scope": "default", "ended": True, "settled": True,
        "billed": True, "samples": 1, "estimate": 1_000_000, "high": 2_000_000, "cost": 1_000_000, "basis": "reported",
        "timings": json.dumps(dict(zip(STAGES, (1, 2, 3, 4, 5), strict=True))),
    }  # fmt: skip
    return SpendJob(**(plain | more))


class TestSpendOf:
    def test_nothing(self) -> None:
        """No jobs, no lines, no made-up numbers."""
        found = spend_of([], "model")
        assert ((), 0, Decimal(0), None, None) == (
            found.lines, found.total.jobs, found.total.cost, found.total.error, found.total.latency
        )  # fmt: skip

    def test_estimate_against_real(self) -> None:
        """The error is of what is known to have been charged for clips that came: 1.00 + 1.30 against 2.00 is 15 % too little."""
        (line,) = spend_of([job(), job(cost=1_300_000)], "model").lines
        assert (Decimal("2.30"), Decimal("2.00"), Decimal("0.1500")) == (
            line.cost,
            line.estimated,
            line.error,
        )

    def test_what_is_assumed_says_nothing_of_the_estimate(self) -> None:
        """It is booked, and is nobody's word."""
        (line,) = spend_of([job(cost=2_000_000, basis="assumed")], "model").lines
        assert (Decimal(2), Decimal(2), None) == (line.cost, line.assumed, line.error)

    def test_overruns(self) -> None:
        """What went over its high, and by how much in all."""
        line = spend_of([job(cost=2_500_000), job(cost=2_000_000)], "model").total
        assert (1, Decimal("0.50")) == (line.overruns, line.over)

    def test_for_nothing(self) -> None:
        """A failed job that was charged is spent, and is no clip."""
        line = spend_of([job(settled=False, cost=400_000), job(settled=False, cost=0)], "model").total
        assert (0, Decimal("0.40"), Decimal("0.40"), None) == (line.clips, line.cost, line.wasted, line.error)

    def test_open_jobs(self) -> None:
        """They hold their high, and have cost nothing yet."""
        line = spend_of([job(ended=False, settled=False, cost=None)], "model").total
        assert (1, Decimal(2), Decimal(0)) == (line.open, line.held, line.cost)

    def test_ones_own_hardware(self) -> None:
        """Imputed, beside what was spent."""
        line = spend_of([job(billed=False)], "model").total
        assert (Decimal(0), Decimal(1), 1) == (line.cost, line.imputed, line.clips)

    @pytest.mark.parametrize(
        ("by", "names"),
        [
            ("model", ["veo", "kling"]),
            ("endpoint", ["fal", "vertex"]),
            ("scope", ["default", "tenant"]),
            ("day", ["2026-11-25", "2026-11-26"]),
            ("tag", ["team=b", "team=a", "(no tag)"]),
        ],
    )
    def test_by(self, by: Any, names: list[str]) -> None:
        """Days by date, everything else by what it cost."""
        jobs = [
            job(tags='{"team": "a"}'),
            job(created_at=DAY - 1, model="veo", tags='{"team": "b"}', cost=3_000_000),
            job(endpoint="vertex", model="veo", scope="tenant", tags="{}", cost=100_000),
        ]
        assert names == [line.name for line in spend_of(jobs, by).lines]

    def test_a_run_of_two_tags_counts_for_each(self) -> None:
        """And once in the total."""
        found = spend_of([job(tags='{"a": "1", "b": "2"}')], "tag")
        assert ({"a=1", "b=2"}, Decimal(1)) == ({line.name for line in found.lines}, found.total.cost)

    def test_percentiles(self) -> None:
        """Half, nine tenths and 99 of a hundred clips took at most so long, in all and by stage; no clip, no time."""
        jobs = [
            job(timings=json.dumps({"run": float(seconds), "wait": 1.0})) for seconds in range(100, 0, -1)
        ]
        line = spend_of([*jobs, job(settled=False, timings='{"run": 5000}')], "model").total
        assert line.latency is not None
        assert (51.0, 91.0, 100.0) == (line.latency.p50, line.latency.p90, line.latency.p99)
        assert (50.0, 90.0, 99.0) == (line.stages["run"].p50, line.stages["run"].p90, line.stages["run"].p99)
        assert (1.0, 0.0) == (line.stages["wait"].p99, line.stages["upload"].p99)

    def test_lines_come_to_the_total(self) -> None:
        """Whatever is put together, to the millionth."""
        jobs = [job(model=f"m{n % 3}", cost=333_333 + n, estimate=7 * n) for n in range(100)]
        found = spend_of(jobs, "model")
        assert (
            found.total.cost
            == sum(line.cost for line in found.lines)
            == Decimal(100 * 333_333 + 4950) / 1_000_000
        )

    def test_as_json(self) -> None:
        """Money is text, so that nothing is rounded on its way."""
        document = json.loads(json.dumps(spend_of([job()], "model").to_dict()))
        (line,) = document["lines"]
        assert ("1.00", "0.0000", 15.0) == (line["cost"], line["error"], line["latency"]["p50"])


class TestClientSpend:
    @pytest.fixture
    def provider(self) -> Scripted:
        return Scripted()

    @pytest.fixture
    def client(self, home: Any, provider: Scripted) -> Any:
        with vidorch.Client(
            catalog=catalog(paid(), offer("free")), providers={"test": provider}, clock=VirtualClock()
        ) as client:
            yield client

    def test_what_was_spent(self, client: vidorch.Client, provider: Scripted) -> None:
        """A clip that the vendor says cost $0.80 of $1.00, one that failed for $0.30, and a free one."""
        provider.polls = [Done((Output(0, "x"),), cost=Decimal("0.80"))]
        client.generate("a", model="basic", tags={"team": "x"})
        provider.polls = [Failed(ProviderFailed("no", charged=True), cost=Decimal("0.30"))]
        with pytest.raises(ProviderFailed):
            client.generate("b", model="basic")
        provider.polls = None
        client.generate("c", model="free")
        total = client.spend().total
        assert (3, Decimal("1.10"), Decimal("0.30"), Decimal("-0.2000")) == (
            total.jobs,
            total.cost,
            total.wasted,
            total.error,
        )
        assert {"basic", "free"} == {line.name for line in client.spend("model").lines}
        assert Decimal("0.80") == next(
            line.cost for line in client.spend("tag").lines if line.name == "team=x"
        )

    def test_of_a_stretch_of_time_and_a_scope(self, client: vidorch.Client) -> None:
        """From the first moment on, and before the second."""
        client.generate("a", model="free", scope="tenant")
        (row,) = client.jobs()
        at = datetime.fromtimestamp(row.created_at, UTC)
        assert (1, 0, 0, 0) == (
            client.spend(since=at).total.jobs, client.spend(until=at).total.jobs,
            client.spend(since=row.created_at + 0.001).total.jobs, client.spend(scope="default").total.jobs,
        )  # fmt: skip

    def test_by_something_else(self, client: vidorch.Client) -> None:
        """Refused with what there is."""
        with pytest.raises(InvalidRequest, match="day, model, endpoint, scope, tag"):
            client.spend("month")  # type: ignore[arg-type]
