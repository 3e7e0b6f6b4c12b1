"""`assert_never_paid_twice` finds what it is there for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import vidorch
from vidorch.result import Job
from vidorch.testing import Mock, Submission
from vidorch.testing.audit import paid_twice


@pytest.fixture
def paid(m: Mock) -> tuple[Submission, Job]:
    """One submit that brought its clip, and its job."""
    vidorch.generate("a ball", model="test/basic", seed=1)
    return m.requests[0], m.jobs[0]


def told(
    first: tuple[Submission, Job], second: tuple[Submission, Job], *, clip: bool = True, **options: Any
) -> str:
    """What is said of two submits for one candidate."""
    return "\n".join(
        paid_twice(
            [first[0], second[0]],
            {first[1].id: first[1], second[1].id: second[1]},
            {first[1].run_id: {"options": options}},
            {first[1].id: {0}} if clip else {},
        )
    )


def again(paid: tuple[Submission, Job], *, after: float = 100.0) -> tuple[Submission, Job]:
    """Another submit for the same candidate, later."""
    submission, job = paid
    return replace(submission, job_id="job_2", at=submission.at + after), replace(job, id="job_2", attempt=1)


def with_state(paid: tuple[Submission, Job], state: str, answer: str = "accepted") -> tuple[Submission, Job]:
    submission, job = paid
    return replace(submission, answer=answer), replace(job, state=state)


class TestPaidTwice:
    def test_after_its_clip_came(self, paid: tuple[Submission, Job]) -> None:
        """The candidate was there already."""
        assert "gave its clip" in told(paid, again(paid))

    @pytest.mark.parametrize("state", ["sending", "accepted", "running", "downloading", "unknown"])
    def test_while_another_is_open(self, paid: tuple[Submission, Job], state: str) -> None:
        """Or unknown."""
        assert f"is still {state}" in told(with_state(paid, state), again(paid), clip=False)

    @pytest.mark.parametrize("state", ["failed", "refused", "rejected", "cancelled", "lost"])
    def test_before_another_had_ended(self, paid: tuple[Submission, Job], state: str) -> None:
        """An end that came too late is none."""
        assert "had not ended yet" in told(with_state(paid, state), again(paid, after=1), clip=False)
        assert "" == told(with_state(paid, state), again(paid), clip=False)

    def test_the_same_job_again(self, paid: tuple[Submission, Job]) -> None:
        """A job is submitted once in its life."""
        submission, job = paid
        assert "submitted before" in told(paid, (replace(submission, at=submission.at + 1), job))

    def test_a_job_that_no_ledger_knows(self, paid: tuple[Submission, Job]) -> None:
        """Paid for, and lost."""
        assert ["no ledger knows of it" in said for said in paid_twice([paid[0]], {}, {}, {})] == [True]

    def test_what_the_caller_chose(self, paid: tuple[Submission, Job]) -> None:
        """After a lost reply the next may be paid where `on_unknown` says so, and only there."""
        lost = with_state(paid, "unknown", "accepted, reply lost")
        assert "" == told(lost, again(paid), clip=False, on_unknown="next")
        assert "is still unknown" in told(lost, again(paid), clip=False, on_unknown="stop")
        assert "is still unknown" in told(
            with_state(paid, "unknown"), again(paid), clip=False, on_unknown="next"
        )

    @pytest.mark.parametrize("answer", ["throttled", "rejected", "refused"])
    def test_what_was_never_accepted(self, paid: tuple[Submission, Job], answer: str) -> None:
        """It may come again."""
        assert "" == told(with_state(paid, "rejected", answer), again(paid, after=0), clip=False)

    def test_other_candidates(self, paid: tuple[Submission, Job]) -> None:
        """Each has its own submit."""
        submission, job = again(paid)
        assert "" == told(paid, (submission, replace(job, candidate=1)))

    def test_one_of_several_clips_of_a_job(self, paid: tuple[Submission, Job]) -> None:
        """A job of two clips that gave one owes the other: only that one may be bought again."""
        submission, job = again(paid)
        both = paid[0], replace(paid[1], samples=2)
        assert "gave its clip" in told(both, (submission, job))
        assert "" == told(both, (submission, replace(job, candidate=1)))


def test_the_message_lists_every_submit(m: Mock, paid: tuple[Submission, Job]) -> None:
    """Whoever reads it sees what happened."""
    m._remote.submissions.append(replace(paid[0], job_id="job_nobody", remote_id="mock-nobody"))
    with pytest.raises(AssertionError, match=r"(?s)no ledger knows.*All submits:.*job_nobody"):
        m.assert_never_paid_twice()
