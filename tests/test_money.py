"""Money: exact inside, decimal outside, never a float."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidorch.errors import InvalidRequest
from vidorch.money import MOST, from_micros, show_usd, to_micros, usd

micros = st.integers(min_value=0, max_value=int(MOST) * 10**6)
amounts = st.decimals(min_value=0, max_value=MOST, allow_nan=False, allow_infinity=False)
countable = amounts.filter(lambda amount: amount == 0 or amount >= Decimal("0.000001"))


class TestUsd:
    @pytest.mark.parametrize(
        ("given_", "expected"),
        [
            ("3.00", "3.00"),
            (3, "3"),
            (Decimal("0.1"), "0.1"),
            ("$2.50", "2.50"),
            (" 4 ", "4"),
            ("0.0042", "0.0042"),
            (".5", "0.5"),
            ("0.000001", "0.000001"),
            ("0", "0"),
            (0, "0"),
            (10_000_000, "10000000"),
        ],
    )
    def test_takes(self, given_: Any, expected: str) -> None:
        """Text, int and Decimal are taken as they are."""
        assert Decimal(expected) == usd(given_, "max_cost")

    @pytest.mark.parametrize(
        "bad",
        [
            0.1, 3.0, float("nan"), True, False, None, "", "abc", "-1", -1, Decimal(-1), Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"),
            "inf", "nan", "1e5", "1E-3", "1_000", "+3", "٣", "$", ".", "$ 3", "0.0000009", Decimal("1E-7"), 10_000_001, b"3", [3], {"usd": 3}, "3,00", "1" * 5000,
        ],
    )  # fmt: skip
    def test_refuses(self, bad: Any) -> None:
        """Floats, bools, what is no amount, negative and absurd amounts are refused."""
        with pytest.raises(InvalidRequest):
            usd(bad, "max_cost")

    def test_refusal_names_field_value_and_what_is_allowed(self) -> None:
        """The error says which field, what it was, and what would do."""
        with pytest.raises(InvalidRequest, match=r"max_cost=0\.1 .* USD .* text, int or Decimal") as caught:
            usd(0.1, "max_cost")
        assert ("max_cost", 0.1) == (caught.value.field, caught.value.value)

    @pytest.mark.parametrize(
        ("slip", "plain"), [("1e5", "100000"), ("1_000", "1000"), ("$1E-3", "0.001"), ("٣.٥", "3.5")]
    )
    def test_says_how_to_write_what_only_a_program_would(self, slip: str, plain: str) -> None:
        """What could be read as a number and is not written in plain digits is refused with how to write it."""
        with pytest.raises(InvalidRequest, match="in plain digits") as caught:
            usd(slip, "max_cost")
        assert f"Write it as '{plain}'." == caught.value.hint

    @given(st.floats())
    def test_no_float_ever(self, value: float) -> None:
        """No float is an amount, since 0.1 is not a tenth."""
        with pytest.raises(InvalidRequest):
            usd(value, "max_cost")

    @given(countable)
    def test_exact(self, amount: Decimal) -> None:
        """What was written is what is counted, to the last digit."""
        assert (amount, amount) == (usd(f"{amount:f}", "max_cost"), usd(amount, "max_cost"))


class TestMicros:
    @given(micros)
    def test_round_trip(self, count: int) -> None:
        """Millionths survive the way out and back."""
        assert count == to_micros(from_micros(count))

    @given(micros, micros)
    def test_sums_are_exact(self, one: int, two: int) -> None:
        """Adding in the ledger and adding outside give the same."""
        assert from_micros(one + two) == from_micros(one) + from_micros(two)

    @given(amounts)
    def test_reservations_round_up(self, amount: Decimal) -> None:
        """A reservation is never less than what it stands for, and less than a millionth more."""
        assert 0 <= Decimal(to_micros(amount, up=True)) / 10**6 - amount < Decimal("0.000001")

    @given(amounts)
    def test_costs_round_to_the_nearest(self, amount: Decimal) -> None:
        """A cost is at most half a millionth off."""
        assert abs(Decimal(to_micros(amount)) / 10**6 - amount) <= Decimal("0.0000005")

    @pytest.mark.parametrize(
        ("count", "text"),
        [(0, "0.00"), (1_200_000, "1.20"), (5_000_000, "5.00"), (12_345, "0.012345"), (1, "0.000001")],
    )
    def test_reads_well(self, count: int, text: str) -> None:
        """At least cents, and no needless zeros after them."""
        assert text == str(from_micros(count))

    @given(micros)
    def test_text_is_plain(self, count: int) -> None:
        """The text that `--json` prints has no exponent that a reader might trip over."""
        assert "E" not in str(from_micros(count))


class TestShowUsd:
    @pytest.mark.parametrize(
        ("amount", "text"),
        [
            ("1.2", "$1.20"),
            ("0", "$0.00"),
            ("0.0125", "$0.0125"),
            ("10000000", "$10000000.00"),
            ("0.000001", "$0.000001"),
        ],
    )
    def test_shows(self, amount: str, text: str) -> None:
        """Cents, and more digits only where they matter."""
        assert text == show_usd(Decimal(amount))

    @given(micros)
    def test_never_hides_a_digit(self, count: int) -> None:
        """What is shown is what is meant."""
        assert from_micros(count) == Decimal(show_usd(from_micros(count)).removeprefix("$"))
