"""What this process knows of a run that it carries: its jobs, its clips, and who is served by which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vidorch.engine.asked import Asked
from vidorch.engine.purchase import Purchase
from vidorch.engine.services import Services
from vidorch.engine.targets import Target
from vidorch.engine.telemetry import RunSpan
from vidorch.errors import VidorchError
from vidorch.ledger.moves import ENDS
from vidorch.result import Job

__all__ = ["Carried"]


@dataclass(slots=True)
class Carried:
    """One run.

    Attributes:
        row: the run as the ledger has it, and ours. jobs: what there is of it, by id. outputs: rows of the clips that came.
        asked: what the caller asked; None where only the ledger is left of it, and then nothing is submitted.
        bought: by job, what was bought in this process and the entry of the plan that it went to.
        target: where its clips go; refuge: where they go when that fails.
        errors: failures that are not ends of jobs. notes: for people.
        spans: what is told of it and its jobs to whoever watches.
        cancelled: whether its caller called it off. wants_submit: whether something is left that only its caller may send.
    """

    row: Mapping[str, Any]
    services: Services
    jobs: dict[str, Job]
    outputs: list[Mapping[str, Any]]
    asked: Asked | None
    bought: dict[str, tuple[Purchase, int]]
    target: Target
    refuge: Target
    errors: list[VidorchError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    spans: RunSpan = field(default_factory=RunSpan)
    cancelled: bool = False
    wants_submit: bool = False

    @property
    def id(self) -> str:
        """Of the run."""
        return str(self.row["id"])

    @property
    def candidates(self) -> int:
        """How many were asked for."""
        return int(self.row["candidates"])

    def history(self, candidate: int) -> list[Job]:
        """The jobs that were, or are, to give this candidate, oldest first."""
        mine = (job for job in self.jobs.values() if job.candidate <= candidate < job.candidate + job.samples)
        return sorted(mine, key=lambda job: (job.attempt, job.created_at))

    def has_clip(self, candidate: int) -> bool:
        """Whether this candidate has come."""
        return any(self.came(job, candidate) for job in self.history(candidate))

    def came(self, job: Job, candidate: int) -> bool:
        """Whether this job gave this candidate its clip."""
        number = candidate - job.candidate
        return any(row["job_id"] == job.id and row["number"] == number for row in self.outputs)

    def groups(self) -> list[tuple[int, int]]:
        """Candidates that one job serves together, as (first, count)."""
        found: list[tuple[int, int]] = []
        candidate = 0
        while candidate < self.candidates:
            history = self.history(candidate)
            count = 1
            if history and history[-1].candidate == candidate:
                count = min(history[-1].samples, self.candidates - candidate)
            found.append((candidate, count))
            candidate += count
        return found

    def older(self, groups: Sequence[tuple[int, int]]) -> list[Job]:
        """Open jobs that another one followed: unknown ones, of a caller who had the next offer paid all the same."""
        newest = {history[-1].id for first, _ in groups if (history := self.history(first))}
        return [job for job in self.open_jobs() if job.id not in newest]

    def open_jobs(self) -> list[Job]:
        """Those that have not come to an end."""
        return [job for job in self.jobs.values() if job.state not in ENDS]

    def attempt_number(self, candidate: int, samples: int) -> int:
        """Of the next job for these candidates."""
        past = [job.attempt for one in range(candidate, candidate + samples) for job in self.history(one)]
        return max(past, default=-1) + 1
