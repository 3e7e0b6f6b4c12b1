"""`assert_cost(requests, at_most=...)`."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from vidorch import Request
from vidorch.errors import InvalidRequest, Unsupported
from vidorch.estimating import Range
from vidorch.testing import assert_cost, mock

BOAT = "a boat at dawn"


def over(*args: Any, **options: Any) -> list[str]:
    """The lines that the assertion says."""
    with pytest.raises(AssertionError) as raised:
        assert_cost(*args, **options)
    return str(raised.value).splitlines()


class TestAssertCost:
    def test_one_request(self) -> None:
        """5 s of gen4.5 at 12 cents."""
        assert Range(Decimal("0.60"), Decimal("0.60"), Decimal("0.60")) == assert_cost(
            BOAT, "0.60", model="gen4.5", duration=5
        )

    def test_many_together(self) -> None:
        """The amount is for all of them."""
        both = [BOAT, "a boat at dusk"]
        assert Decimal("1.20") == assert_cost(both, at_most="1.20", model="gen4.5", duration=5).high
        assert (
            "2 requests may cost up to $1.20, which is $0.01 more than $1.19."
            == over(both, "1.19", model="gen4.5", duration=5)[0]
        )

    def test_requests_and_mappings(self) -> None:
        """A mapping's own options go before the common ones."""
        asked = [
            Request(prompt=BOAT, duration=5),
            {"prompt": BOAT, "duration": 10},
            {"prompt": BOAT, "model": "mini", "duration": 2},
        ]
        with pytest.raises(Unsupported):
            assert_cost(asked[2:], "9")
        assert Decimal("1.80") == assert_cost(asked[:2], at_most=2, model="gen4.5").high

    def test_candidates_count(self) -> None:
        """Each of them is paid for."""
        assert Decimal("1.80") == assert_cost(BOAT, "2.00", model="gen4.5", duration=5, candidates=3).high

    def test_says_line_by_line_why(self) -> None:
        """Each request has its offer, low, expected, high, and the day of its price."""
        first, head, boat, mini, total = over(
            [{"prompt": BOAT, "model": "gen4.5", "duration": 5}, "a red ball rolling left"], "0.50"
        )
        assert "2 requests may cost up to $0.60, which is $0.10 more than $0.50." == first
        assert ["#", "offer", "low", "expected", "high", "price", "of", "prompt"] == head.split()
        assert ["1", "runway/gen4.5", "$0.60", "$0.60", "$0.60", "2026-09-25", f"'{BOAT}'"] == boat.split(
            maxsplit=6
        )
        assert "local/mini" in mini
        assert ["all", "$0.60", "$0.60", "$0.60"] == total.split()

    def test_the_high_counts(self) -> None:
        """What is expected may fit, and what it may come to not."""
        asked = {"model": "vertex/veo-3.1-lite", "duration": 8, "resolution": "720p", "audio": False}
        assert "more than $0.30" in over(BOAT, "0.30", **asked)[0]
        assert (Decimal("0.24"), Decimal("0.40")) == (
            (cost := assert_cost(BOAT, "0.40", **asked)).expected, cost.high
        )  # fmt: skip

    def test_what_is_not_sure_says_so(self) -> None:
        """A price that nobody could confirm is told as that."""
        assert "not confirmed" in over(BOAT, "0.10", model="fal/kling-3.0-pro", duration=5)[2]

    def test_nothing_costs_nothing(self) -> None:
        """No request at all."""
        assert Range(Decimal(0), Decimal(0), Decimal(0)) == assert_cost([], at_most=0)

    def test_what_cannot_be_made(self) -> None:
        """It is an error of its own, with the number of the request."""
        with pytest.raises(Unsupported) as raised:
            assert_cost([BOAT, {"prompt": BOAT, "duration": 60}], "9.00", model="gen4.5")
        assert any("request 2" in note for note in raised.value.__notes__)

    @pytest.mark.parametrize("requests", [5, [5], None])
    def test_what_is_no_request(self, requests: Any) -> None:
        """It is named."""
        with pytest.raises(InvalidRequest, match="requests="):
            assert_cost(requests, "1.00")

    def test_floats_are_no_money(self) -> None:
        """As everywhere."""
        with pytest.raises(InvalidRequest, match="at_most"):
            assert_cost(BOAT, 0.6)  # type: ignore[arg-type]

    def test_inside_of_a_mock(self) -> None:
        """The mock's invented models have prices, too, and nothing is bought by asking."""
        with mock() as m:
            assert Decimal("0.50") == assert_cost(BOAT, "0.50", model="test/basic", duration=5).high
            assert ([], 0) == (m.requests, m.spend)

    def test_outside_it_is_what_ships(self, home: Path) -> None:
        """No layer of anybody's changes what a test says, not even a broken one; and nothing is written."""
        home.mkdir()
        (home / "catalog.toml").write_text("oops")
        assert Decimal("0.60") == assert_cost(BOAT, "0.60", model="gen4.5", duration=5).high
        assert [home / "catalog.toml"] == list(home.iterdir())
