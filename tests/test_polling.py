"""When a job is looked at: what is promised of lag and looks, and what holds whatever anybody says."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import polling as simulated
from vidorch.contract import Progress
from vidorch.inspection import inspect, inspect_at
from vidorch.latencies import Took, law_of
from vidorch.polling import HINTS, LONGEST, Experience, Schedule, Timetable

AT_WORK = Progress("running")
SECONDS = st.floats(0.0, 1e7) | st.sampled_from([5e-324, 1e-300, 1e300])
TOOK = st.builds(Took, SECONDS, st.none() | SECONDS)
IMPOSSIBLE = [("uniform, 20 to 90 s", 5.0), ("uniform, 20 to 90 s", 10.0), ("log-normal, .3", 10.0)]
"""So wide that even who knows the very law needs more than half of the looks of one every `m` seconds."""
PROMISED = [one for one in itertools.product(simulated.LAWS, (1.0, 5.0, 10.0)) if one not in IMPOSSIBLE]


def took(seconds: float, count: int) -> list[Took]:
    """So many jobs, each seen done after so many seconds; nobody knows when they were looked at before."""
    return [Took(seconds)] * count


def schedule(minimum: float = 5.0, **known: object) -> Schedule:
    return Schedule(Timetable(minimum, **known))  # type: ignore[arg-type]


class TestThePromise:
    @pytest.mark.parametrize(("name", "minimum"), PROMISED)
    def test_ends_are_seen_soon_with_few_looks(self, name: str, minimum: float) -> None:
        """Learned from twenty jobs: at most 0.5 m + 0.2 s late, with at most half the looks of one every m. See the benchmark."""
        law, ours, every = simulated.LAWS[name], [], []
        for seed in range(20):
            chance = random.Random(seed)
            known = simulated.learned(law, minimum, 20, chance)
            jobs = [law(chance) for _ in range(200)]
            ours.append(simulated.measured(jobs, simulated.ours(simulated.table(known, minimum)), chance))
            every.append(sum(math.ceil(ends / minimum) for ends in jobs) / len(jobs))
        seen = simulated.middle(ours)
        assert seen.lag <= 0.5 * minimum + 0.2
        assert seen.looks <= 0.5 * statistics.median(every)

    @pytest.mark.parametrize(("name", "minimum"), IMPOSSIBLE)
    def test_nobody_could_do_it_where_it_is_not_kept(self, name: str, minimum: float) -> None:
        """Left out is only what takes more than half of the looks with the law known."""
        assert 0.5 < simulated.least_part(simulated.LAWS[name], minimum)

    def test_the_same_minute_every_time_takes_two_looks(self) -> None:
        """A model that always takes a minute is looked at when it is done, not before."""
        one = Timetable(5.0, latencies=took(60.0, 20))
        seen, looks = simulated.looked_at(57.0, *simulated.ours(one)(random.Random(1)))
        assert (True, True) == (seen.seen <= 65.0, looks <= 3)


class TestASchedule:
    @given(
        st.floats(0.01, 60.0), st.lists(TOOK, max_size=30), st.floats(0.0, 1.0), SECONDS, SECONDS, SECONDS, st.lists(SECONDS, max_size=12),
    )  # fmt: skip
    def test_keeps_its_distance_whatever_is_known(
        self,
        minimum: float,
        latencies: list[Took],
        doubt: float,
        expected: float,
        low: float,
        high: float,
        ages: list[float],
    ) -> None:
        """Never closer than the minimum, never further than twelve of them or half a minute."""
        timetable = Timetable(
            minimum, latencies=latencies, expected=expected, low=low, high=high, doubt=doubt
        )
        one = Schedule(timetable)
        gaps = [one.first(), *(one.next(age, AT_WORK) for age in ages)]
        assert all(minimum <= gap <= max(LONGEST, 12 * minimum) + 1e-9 for gap in gaps[1:])
        assert minimum <= gaps[0]

    @given(
        st.lists(
            st.tuples(SECONDS, st.sampled_from([None, -1.0, 0.0, 0.5, 0.99, 2.0, inf, nan])), max_size=20
        )
    )
    def test_no_progress_bar_makes_it_spin(self, looks: list[tuple[float, float | None]]) -> None:
        """Backwards, stuck, nonsense: looks stay as far apart as the vendor asks."""
        one = schedule(latencies=took(60.0, 5))
        said = [one.next(age, Progress("running", fraction, eta=fraction)) for age, fraction in looks]
        assert all(5.0 <= gap <= 60.0 for gap in said)

    def test_waits_when_the_vendor_asks_for_it(self) -> None:
        """`poll_after` is a floor."""
        assert 47.0 == schedule(latencies=took(20.0, 5)).next(19.0, Progress("running", poll_after=47.0))

    def test_is_sooner_when_the_vendor_says_so_twice(self) -> None:
        """One word is not enough; two that agree bring the look forward."""
        one = schedule(1.0, latencies=took(100.0, 20))
        first = one.next(10.0, Progress("running", eta=10.0))
        second = one.next(12.0, Progress("running", eta=8.0))
        assert (True, 8.0) == (first > 20.0, second)

    def test_believes_only_so_often(self) -> None:
        """A bar that stands at 99 % brings looks forward a few times, not for ever."""
        one = schedule(0.1, latencies=took(1000.0, 20))
        gaps = [one.next(100 + number / 10, Progress("running", eta=0.0)) for number in range(30)]
        assert 0 < sum(gap <= 0.2 for gap in gaps) <= HINTS

    def test_taken_up_late_looks_soon(self) -> None:
        """Past all that was ever seen, the gaps begin small where this process first looked."""
        one = schedule(1.0, latencies=took(60.0, 20))
        assert 1.0 == one.next(3600.0, AT_WORK)

    def test_grows_where_nobody_knows_the_end(self) -> None:
        """A job that should have been done long ago is looked at every half a minute."""
        one = schedule(1.0, latencies=took(60.0, 20))
        age, gaps = 300.0, []
        for _ in range(200):
            gaps.append(one.next(age, AT_WORK))
            age += gaps[-1]
        assert (1.0, LONGEST) == (gaps[0], gaps[-1])
        assert gaps == sorted(gaps)

    def test_a_clock_that_is_set_back_does_not_make_it_young(self) -> None:
        """The age of a job only grows."""
        ahead, back = schedule(1.0, latencies=took(60.0, 20)), schedule(1.0, latencies=took(60.0, 20))
        expected = [ahead.next(age, AT_WORK) for age in (55.0, 60.0)]
        assert expected[0] == back.next(55.0, AT_WORK)
        assert expected[0] == back.next(10.0, AT_WORK)  # no time went by

    def test_with_nothing_known_at_all_begins_at_the_minimum(self) -> None:
        """And grows with the age of the job."""
        one = schedule(1.0)
        assert (1.0, True) == (one.first(), one.next(100.0, AT_WORK) <= LONGEST)


class TestALaw:
    def test_is_the_catalogs_while_no_job_was_seen(self) -> None:
        """Half of the weight about its middle."""
        law = law_of([], minimum=1.0, expected=60.0, low=30.0, high=120.0)
        assert law is not None
        assert 50.0 < law.quantile(0.5) < 70.0

    def test_is_of_the_jobs_once_there_are_many(self) -> None:
        """A catalog that is wrong by ten times does no harm after twenty jobs."""
        law = law_of(took(600.0, 20), minimum=1.0, expected=60.0, low=30.0, high=120.0)
        assert law is not None
        assert 570.0 < law.quantile(0.5) < 630.0

    def test_is_none_when_nothing_is_known(self) -> None:
        """Neither a job nor a word of the catalog."""
        assert None is law_of([Took(nan), Took(inf), Took(-1.0, 5.0)], minimum=1.0)

    @given(st.lists(TOOK, min_size=1, max_size=40), st.floats(0.0, 1.0))
    def test_rises(self, latencies: list[Took], doubt: float) -> None:
        """Time and share both, from 0 to 1."""
        law = law_of(latencies, minimum=1.0, doubt=doubt)
        assert law is not None
        assert list(law.times) == sorted(law.times)
        assert (list(law.done), 0.0) == (sorted(law.done), law.done[0])
        assert 1.0 == pytest.approx(law.done[-1])

    def test_puts_an_end_between_the_looks_that_it_lies_between(self) -> None:
        """Half of the jobs ended before the middle of the two."""
        law = law_of([Took(60.0, 50.0)] * 20, minimum=5.0)
        assert law is not None
        assert 55.0 == pytest.approx(law.quantile(0.5), abs=0.5)

    def test_puts_an_end_shortly_before_a_first_look_that_is_not_doubted(self) -> None:
        """What little ends before the first look ends near to it: it was planned so."""
        law = law_of([Took(60.0, 0.0)] * 20, minimum=5.0)
        assert law is not None
        assert 50.0 < law.quantile(0.1)

    def test_puts_an_end_anywhere_before_a_first_look_that_is_doubted(self) -> None:
        """When jobs are likely to be quicker by now, nobody knows by how much."""
        law = law_of([Took(60.0, 0.0)] * 20, minimum=5.0, doubt=1.0)
        assert law is not None
        assert 36.0 == pytest.approx(law.quantile(0.5), abs=0.5)

    def test_tells_the_share_that_is_done(self) -> None:
        """The share is the inverse of the quantile."""
        law = law_of([Took(40.0 + number) for number in range(20)], minimum=1.0)
        assert law is not None
        assert 0.3 == pytest.approx(law.share(law.quantile(0.3)))
        assert (0.0, 1.0) == (law.share(0.0), law.share(1e9))


class TestExperience:
    def test_learns_that_a_model_has_become_twice_as_quick(self) -> None:
        """After thirty jobs ends are seen as soon as before, though at first all are done at the first look."""
        assert 6.5 > self._late_after_a_change(between=True)

    def test_needs_to_know_between_which_looks_they_ended(self) -> None:
        """From the moments alone at which they were seen it takes far more jobs."""
        assert 15.0 < self._late_after_a_change(between=False)

    @staticmethod
    def _late_after_a_change(*, between: bool) -> float:
        """Mean lag of jobs 31 to 60 after it, looked at every 5 seconds at most."""
        late = []
        for seed in range(10):
            chance, known = random.Random(seed), Experience()
            for number in range(100):
                ends = (75.0 if number < 40 else 37.5) * chance.lognormvariate(0.0, 0.05)
                one = known.schedule(5.0, expected=75.0, low=37.5, high=150.0)
                seen, _ = simulated.looked_at(ends, one.first(), lambda age, one=one: one.next(age, AT_WORK))
                known.learn(seen if between else Took(seen.seen))
                if number >= 70:
                    late.append(seen.seen - ends)
        return sum(late) / len(late)

    def test_does_not_doubt_what_happens_as_often_as_it_should(self) -> None:
        """One job in ten that is done at its first look is no news where that was planned."""
        chance, known = random.Random(3), Experience()
        doubts = []
        for _ in range(300):
            one = known.schedule(10.0, expected=75.0, low=37.5, high=150.0)
            ends = 75.0 * chance.lognormvariate(0.0, 0.2)
            known.learn(
                simulated.looked_at(ends, one.first(), lambda age, one=one: one.next(age, AT_WORK))[0]
            )
            doubts.append(known.doubt)
        assert 15 > sum(doubt > 0 for doubt in doubts)

    def test_makes_no_timetable_for_each_job(self) -> None:
        """The same one serves until there is a fifth more to know."""
        known = Experience(took(60.0, 100))
        many = [known.schedule(5.0, expected=60.0, low=30.0, high=120.0) for _ in range(3)]
        known.learn(Took(60.0, 55.0))
        many.append(known.schedule(5.0, expected=60.0, low=30.0, high=120.0))
        assert 1 == len({id(one._timetable) for one in many})

    def test_goes_on_from_what_the_ledger_knows(self) -> None:
        """What other processes learned counts from the next schedule on."""
        known, catalog = Experience(took(20.0, 20)), {"expected": 0.0, "low": 0.0, "high": 0.0}
        before = known.schedule(5.0, **catalog).first()
        known.reread(took(40.0, 20))
        assert before + 15.0 < known.schedule(5.0, **catalog).first()


class TestAnInspection:
    def test_is_as_good_as_trying_everything(self) -> None:
        """On a law with few moments, no plan with as few looks on average sees the ends sooner."""
        times, ends = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0, 0.0, 0.1, 0.4, 0.1, 0.0, 0.4]
        done = list(itertools.accumulate(ends))
        plan = inspect(times, done, minimum=1.0, lag=0.5)
        looks, lag = _cost(_followed(plan.gap, 6.0), times, ends)
        better = [
            chosen
            for size in range(7)
            for chosen in itertools.combinations(times[1:-1], size)
            if (cost := _cost([*chosen, 6.0], times, ends))[0] <= looks - 1e-9 and cost[1] <= lag + 1e-9
        ]
        assert [] == better

    def test_at_a_price_is_no_dearer_than_any_plain_one(self) -> None:
        """Of an even law, no looks every minute cost less, wherever they begin."""
        times = [number / 20 for number in range(141)]
        done = [min(1.0, max(0.0, (time - 2.0) / 5.0)) for time in times]
        plan = inspect_at(times, done, minimum=1.0, price=0.7)
        ends, shares = times[1:], [after - before for before, after in itertools.pairwise(done)]
        costs = []
        for first in times[20:]:
            looks = [first + number for number in range(7)]
            count, lag = _cost(looks, ends, shares)
            costs.append(count + 0.7 * (lag + 0.025))  # ends lie half a step before the points, on average
        assert plan.looks + 0.7 * plan.lag <= min(costs) + 1e-9


def _followed(gap: object, end: float) -> list[float]:
    at, looks = 0.0, []
    while at < end:
        at += max(1.0, gap(at))  # type: ignore[operator]
        looks.append(at)
    return looks


def _cost(looks: list[float], times: list[float], ends: list[float]) -> tuple[float, float]:
    """Looks and lag on average, of ends at the very moments of `times`."""
    count = lag = 0.0
    for at, share in zip(times, ends, strict=True):
        seen = next(number for number, look in enumerate(looks) if look >= at)
        count += share * (seen + 1)
        lag += share * (looks[seen] - at)
    return count, lag
