"""What comes after a job has ended: at most what the caller allowed, and nothing at all where nobody can tell."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidorch.call import Call
from vidorch.engine.deciding import MOST_TRANSIENT, Again, Attempt, Tally, nothing_was_sent, what_next
from vidorch.ledger.moves import State

numbers = count()


def entries(*choices: int) -> list[Any]:
    """Entries of a plan, by the item of the caller's list that each serves."""
    return [SimpleNamespace(choice=choice) for choice in choices]


def attempt(
    state: str, entry: int = 0, *, retry_after: float | None = None, stage: str | None = None, withheld: bool = False
) -> Attempt:  # fmt: skip
    job: Any = SimpleNamespace(id=f"job_{next(numbers)}", state=state, error_stage=stage)
    return Attempt(job, entry, retry_after, withheld)


LISTED = entries(0, 1, 2)
ENDPOINTS = entries(0, 0, 0)


def after(
    *attempts: Attempt, plan: list[Any] = LISTED, tally: Tally | None = None, **call: Any
) -> Again | None:
    left = call.pop("seconds_left", None)
    passed = call.pop("passed_over", ())
    return what_next(
        attempts, range(len(plan)), plan, replace(Call(), **call), tally or Tally(), passed_over=passed, seconds_left=left
    )  # fmt: skip


def entry_of(again: Again | None) -> int | None:
    return None if again is None else again.entry


class TestAfterARejection:
    def test_the_next_entry_comes(self) -> None:
        """Nothing was accepted, so another offer is no second payment: also another endpoint of a bare name."""
        assert (
            1 == entry_of(after(attempt("rejected"))) == entry_of(after(attempt("rejected"), plan=ENDPOINTS))
        )

    def test_a_transient_one_goes_again_after_the_vendors_delay(self) -> None:
        """At the same offer, as a new job."""
        assert Again(0, delay=7.0) == after(attempt("rejected", retry_after=7.0))

    def test_at_most_five_times(self) -> None:
        """After that it counts as rejected for good."""
        row = [attempt("rejected", retry_after=1.0) for _ in range(MOST_TRANSIENT)]
        assert 0 == entry_of(after(*row))
        assert 1 == entry_of(after(*row, attempt("rejected", retry_after=1.0)))

    def test_only_within_the_timeout(self) -> None:
        """Who waits ten seconds is not helped by a repeat in a minute."""
        assert 1 == entry_of(after(attempt("rejected", retry_after=60.0), seconds_left=10.0))

    def test_after_the_last_entry_nothing(self) -> None:
        """The plan is at its end."""
        assert after(*(attempt("rejected", entry) for entry in range(3))) is None

    def test_what_does_not_fit_is_passed_over(self) -> None:
        """The one after it comes."""
        assert 2 == entry_of(after(attempt("rejected"), passed_over={1}))


class TestAfterALostAnswer:
    @pytest.mark.parametrize("plan", [LISTED, ENDPOINTS])
    def test_nothing_more_is_sent(self, plan: list[Any]) -> None:
        """Whatever else is allowed: retries, refills, fallback on refusals, a list."""
        assert (
            after(
                attempt("unknown"), plan=plan, retries=5, refill=5, retry_refused=5, fallback_on_refusal=True
            )
            is None
        )

    def test_the_caller_may_choose_to_pay_another(self) -> None:
        """And never the same one again."""
        assert 1 == entry_of(after(attempt("unknown"), on_unknown="next"))
        assert after(attempt("unknown", 2), on_unknown="next") is None


class TestAfterAFailure:
    def test_alone_it_is_the_end(self) -> None:
        """One model was named: what it failed at is paid, perhaps; nothing is repeated unasked."""
        assert after(attempt("failed"), plan=entries(0)) is None

    def test_other_endpoints_of_the_same_model_are_not_tried(self) -> None:
        """A bare name is no fallback list."""
        assert after(attempt("failed"), plan=ENDPOINTS) is None

    def test_a_list_is_a_wish(self) -> None:
        """The next item, past other endpoints of the same one."""
        assert 2 == entry_of(after(attempt("failed"), plan=entries(0, 0, 1)))

    @pytest.mark.parametrize("state", ["failed", "lost"])
    def test_retries_come_first(self, state: str) -> None:
        """At the same offer, as long as the run has some left."""
        assert Again(0, counts="retries") == after(attempt(state), retries=1)
        assert 1 == entry_of(after(attempt(state), retries=1, tally=Tally(retries=1)))

    def test_refills_draw_another_seed(self) -> None:
        """The same seed would give the same."""
        assert Again(0, seed_anew=True, counts="refills") == after(attempt("failed"), refill=1)


class TestAfterARefusal:
    @pytest.mark.parametrize("stage", ["input", "output"])
    def test_it_is_the_end(self, stage: str) -> None:
        """Neither repeated nor passed on, whatever the list, and whatever `retries` says."""
        assert after(attempt("refused", stage=stage), retries=9) is None

    def test_it_is_tried_again_when_asked(self) -> None:
        """As often as asked, with another seed."""
        first = attempt("refused", stage="output")
        assert Again(0, seed_anew=True) == after(first, retry_refused=1)
        assert after(first, attempt("refused", stage="output"), retry_refused=1) is None

    def test_it_is_passed_on_when_asked(self) -> None:
        """To the next entry."""
        assert 1 == entry_of(after(attempt("refused", stage="input"), fallback_on_refusal=True))

    def test_a_refill_is_for_what_was_made_and_withheld(self) -> None:
        """A prompt that is refused would be refused again."""
        assert after(attempt("refused", stage="input"), refill=3) is None
        again = after(attempt("refused", stage="output"), refill=3)
        assert again is not None and "refills" == again.counts

    def test_a_withheld_sample_is_a_refusal(self) -> None:
        """The job settled, but this candidate has no clip of it."""
        again = after(attempt("settled", withheld=True), refill=1)
        assert again is not None and "refills" == again.counts
        assert after(attempt("settled", withheld=True)) is None


@pytest.mark.parametrize("state", ["cancelled", "settled", "accepted", "running", "sending"])
def test_nothing_follows(state: str) -> None:
    """What was called off, came, or is under way asks for no other submit."""
    assert (
        after(
            attempt(state), retries=3, refill=3, retry_refused=3, on_unknown="next", fallback_on_refusal=True
        )
        is None
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(["rejected", "failed", "refused", "lost"]), st.booleans(), st.sampled_from(["input", "output"])),
        min_size=1, max_size=40,
    ),
    st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.booleans(),
)  # fmt: skip
def test_it_always_ends(
    outcomes: list[tuple[str, bool, str]], retries: int, refill: int, retry_refused: int, fallback: bool
) -> None:
    """However jobs end, there are at most so many as were allowed: transients, retries, refills, refused again, entries."""
    attempts: list[Attempt] = []
    tally, paid = Tally(), 0
    call = {
        "retries": retries,
        "refill": refill,
        "retry_refused": retry_refused,
        "fallback_on_refusal": fallback,
    }
    for state, transient, stage in [*outcomes, *outcomes]:
        again = after(*attempts, tally=tally, **call)
        if again is None:
            break
        if again.counts:
            setattr(tally, again.counts, getattr(tally, again.counts) + 1)
        after_seconds = 1.0 if transient and state == "rejected" else None
        attempts.append(attempt(state, again.entry, retry_after=after_seconds, stage=stage))
        paid += state != "rejected"
    assert paid <= retries + refill + retry_refused * len(LISTED) + len(LISTED)
    assert tally.retries <= retries and tally.refills <= refill


def test_nothing_was_sent() -> None:
    """Only rejected and abandoned jobs prove it."""
    jobs: Any = [SimpleNamespace(state="rejected"), SimpleNamespace(state="abandoned")]
    assert nothing_was_sent(jobs) and nothing_was_sent([])
    for state in set(State) - {State.REJECTED, State.ABANDONED}:
        assert not nothing_was_sent([*jobs, SimpleNamespace(state=state)]), state
