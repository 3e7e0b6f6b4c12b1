"""Frame times: exact, and steady when they are."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vidorch.errors import InvalidRequest
from vidorch.media.clock import as_seconds, exact_rate, frame_at, steady_rate, time_of

rates = st.builds(Fraction, st.integers(1, 240_000), st.sampled_from([1, 2, 3, 1000, 1001])).filter(
    lambda rate: Fraction(1, 2) <= rate <= 240
)


class TestTimes:
    @given(st.integers(0, 10**7), rates)
    def test_a_frame_is_on_screen_at_its_own_time(self, index: int, fps: Fraction) -> None:
        """The time of a frame names that frame again, at every rate and however far in."""
        assert index == frame_at(time_of(index, fps), fps)

    @given(st.integers(0, 10**5), st.integers(1, 240))
    def test_a_time_given_as_float_means_the_fraction(self, index: int, fps: int) -> None:
        """`index / fps` as a float names the same frame as the exact fraction."""
        assert index == frame_at(index / fps, Fraction(fps))

    @given(st.integers(0, 10**6), rates, st.fractions(0, Fraction(99, 100)))
    def test_a_frame_stays_until_the_next(self, index: int, fps: Fraction, part: Fraction) -> None:
        """Any moment before the next frame's time belongs to this one."""
        assert index == frame_at(time_of(index, fps) + part / fps, fps)

    def test_a_tenth_is_a_tenth(self) -> None:
        """A float stands for the short fraction that it was written for."""
        assert Fraction(1, 10) == as_seconds(0.1)


class TestSteadyRate:
    @given(
        rates, st.integers(2, 400), st.integers(-(10**6), 10**9), st.sampled_from([12_288, 90_000, 1_000_000])
    )
    @example(Fraction(24), 24, 0, 1000)
    def test_rounded_timestamps_still_tell_the_claimed_rate(
        self, fps: Fraction, count: int, start: int, clock: int
    ) -> None:
        """Times rounded to the container's clock are recognised as even, at the rate that the header claims."""
        ticks = [start + round(i * clock / fps) for i in range(count)]
        assert fps == steady_rate(ticks, Fraction(1, clock), [fps])

    @given(
        st.sampled_from([24, 25, 30, 60, Fraction(24000, 1001), Fraction(30000, 1001)]), st.integers(300, 600)
    )
    def test_common_rates_need_no_claim(self, fps: Fraction | int, count: int) -> None:
        """Ten seconds in milliseconds are enough to tell 24 from 23.976 without a header."""
        ticks = [round(i * 1000 / Fraction(fps)) for i in range(count)]
        if fps in (24, Fraction(24000, 1001)) and count * (Fraction(1001, 24) - Fraction(1000, 24)) < 2:
            count = 600
        assert fps == steady_rate(ticks, Fraction(1, 1000), [])

    @given(rates, st.integers(3, 100), st.data())
    def test_one_frame_out_of_place_is_noticed(self, fps: Fraction, count: int, data: st.DataObject) -> None:
        """A frame that comes half a step late makes the rate variable, whatever the header claims."""
        clock = 90_000
        ticks = [round(i * clock / fps) for i in range(count)]
        late = data.draw(st.integers(1, count - 2))
        ticks[late] += round(clock / fps / 2)
        assert steady_rate(ticks, Fraction(1, clock), [fps]) is None

    def test_a_lie_in_the_header_is_not_believed(self) -> None:
        """A claimed rate that the timestamps contradict gives way to the real one."""
        assert steady_rate([i * 40 for i in range(100)], Fraction(1, 1000), [Fraction(24)]) == 25

    @pytest.mark.parametrize("ticks", [[], [5], [7, 7]])
    def test_too_few_times_tell_nothing(self, ticks: list[int]) -> None:
        """One instant has no rate."""
        assert steady_rate(ticks, Fraction(1, 1000), [Fraction(24)]) is None


class TestExactRate:
    @pytest.mark.parametrize(
        ("given_rate", "exact"),
        [
            (24, Fraction(24)),
            (23.976, Fraction(24000, 1001)),
            (23.98, Fraction(24000, 1001)),
            (29.97, Fraction(30000, 1001)),
            (59.94, Fraction(60000, 1001)),
            (24.0, Fraction(24)),
            (7.5, Fraction(15, 2)),
            (Fraction(12345, 678), Fraction(12345, 678)),
        ],
    )
    def test_written_rates_are_meant_exactly(self, given_rate: float | Fraction, exact: Fraction) -> None:
        """The short spellings of NTSC rates mean the real ones; fractions are kept."""
        assert exact == exact_rate(given_rate)

    @pytest.mark.parametrize("wrong", [0, -1, 1001, float("nan"), float("inf"), True, "24"])
    def test_nonsense_names_the_field(self, wrong: object) -> None:
        """What is not a rate is refused with the name of the argument."""
        with pytest.raises(InvalidRequest) as caught:
            exact_rate(wrong)  # type: ignore[arg-type]
        assert caught.value.field == "fps"
