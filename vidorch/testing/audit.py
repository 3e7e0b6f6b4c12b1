"""Was anything paid for twice? The vendor's own books against what the ledger says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from vidorch.ledger.moves import State
from vidorch.result import Job
from vidorch.testing.rules import Submission

__all__ = ["paid_twice"]

OVER = frozenset({State.FAILED, State.REFUSED, State.REJECTED, State.CANCELLED, State.ABANDONED, State.LOST})
"""Ends after which another submit for the same candidate is right, if its caller allowed one."""
NOTHING = ("throttled", "rejected", "refused")
"""Answers after which the vendor provably has nothing."""


def paid_twice(
    submissions: Sequence[Submission],
    jobs: Mapping[str, Job],
    runs: Mapping[str, Mapping[str, Any]],
    clips: Mapping[str, set[int]],
) -> list[str]:
    """What is wrong, in words; empty when nothing is.

    Args:
        submissions: as the vendor saw them. jobs: the ledger's, by id. runs: their runs' rows, by id.
        clips: the numbers of the clips that came, by job.
    """
    wrong: list[str] = []
    seen: set[str] = set()
    at_vendor: list[tuple[Submission, Job]] = []
    for one in submissions:
        if one.job_id in seen:
            wrong.append(f"{_said(one)}: this job was submitted before.")
        seen.add(one.job_id)
        if one.answer in NOTHING:
            continue
        job = jobs.get(one.job_id)
        if job is None:
            wrong.append(f"{_said(one)}: the vendor has it, and no ledger knows of it.")
        else:
            at_vendor.append((one, job))
    for (first, job), (second, other) in combinations(at_vendor, 2):
        for candidate in sorted(_candidates(job) & _candidates(other)):
            if job.run_id == other.run_id and (why := _why_not(first, job, second, candidate, runs, clips)):
                wrong.append(f"Candidate {candidate + 1} of {job.run_id}: {_said(second)}, although {why}.")
    return wrong


def _why_not(
    first: Submission,
    job: Job,
    second: Submission,
    candidate: int,
    runs: Mapping[str, Mapping[str, Any]],
    clips: Mapping[str, set[int]],
) -> str:
    """Why the second submit should not have been made; empty when it was right."""
    said = f"{_said(first)} ({first.answer})"
    if first.answer != "accepted" and runs[job.run_id]["options"].get("on_unknown") == "next":
        return ""
    if job.state == State.SETTLED and candidate - job.candidate in clips.get(job.id, ()):
        return f"{said} gave its clip"
    if job.state not in OVER and job.state != State.SETTLED:
        return f"{said} is still {job.state}"
    if job.ended_at is not None and job.ended_at > second.at:
        return f"{said} had not ended yet"
    return ""


def _candidates(job: Job) -> set[int]:
    return set(range(job.candidate, job.candidate + job.samples))


def _said(one: Submission) -> str:
    return f"{one.job_id} went to {one.endpoint}/{one.model} at {one.at:.3f}"
