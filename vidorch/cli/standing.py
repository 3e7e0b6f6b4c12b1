"""Where a run stands, by the ledger: what came, what is open and where, what nobody knows, what was not sent; and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from vidorch.cli.exits import Exit, exit_of
from vidorch.cli.say import aside, error_document
from vidorch.cli.words import many, say_result
from vidorch.engine.deciding import nothing_was_sent
from vidorch.engine.results import read_result
from vidorch.errors import VidorchError
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.moves import BEFORE_SENDING, ENDS, State
from vidorch.money import show_usd
from vidorch.result import Job, Result

__all__ = ["Standing", "standing_of", "tell", "tell_unknown", "worst"]


@dataclass(frozen=True, slots=True)
class Standing:
    """A run as it is now.

    Attributes:
        state: open, waiting, finished, failed or cancelled. result: where it has finished.
        error: why it gave nothing, or why whoever waited for it does so no more; None where there is nothing to say.
        unsent: candidates of which nothing was ever sent, while somebody may still want to.
    """

    run_id: str
    state: str
    jobs: tuple[Job, ...]
    result: Result | None = None
    error: VidorchError | None = None
    unsent: int = 0
    candidates: int = 1

    @property
    def at_work(self) -> list[Job]:
        """Jobs that a vendor has, or is being sent."""
        quiet = (*ENDS, *BEFORE_SENDING, State.UNKNOWN)
        return [job for job in self.jobs if State(job.state) not in quiet]

    @property
    def unknown(self) -> list[Job]:
        """Jobs of which nobody can tell whether they were accepted."""
        return [job for job in self.jobs if job.state == State.UNKNOWN]

    @property
    def over(self) -> bool:
        """Whether nothing is to come any more."""
        return self.state not in ("open", "waiting") and not self.at_work and not self.unknown

    @property
    def code(self) -> Exit:
        """What a command ends with that leaves it so."""
        if self.state == "finished":
            return Exit.OK
        if self.unknown:
            return Exit.UNKNOWN
        if (
            self.state == "waiting" and self.unsent == self.candidates
        ):  # why it was not sent is no failure of it
            return Exit.WAITING
        if self.error is not None:
            return exit_of(self.error)
        if self.state == "waiting":
            return Exit.WAITING
        return Exit.OK if self.state == "open" else Exit.FAILED

    def document(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "run_id": self.run_id,
            "state": self.state,
            "result": None if self.result is None else self.result.to_dict(),
            **({"error": None} if self.error is None else error_document(self.error)),
            "open": [job.id for job in self.at_work],
            "unknown": [
                {"job_id": job.id, "reserved": str(job.estimate_high), "possible_ids": list(job.possible_ids)}
                for job in self.unknown
            ],
            "unsent": self.unsent,
            "next": self.next_steps(),
        }  # fmt: skip

    def next_steps(self) -> list[str]:
        """Commands that take it further."""
        steps = [f"vidorch jobs resume {self.run_id}"] if self.at_work or self.unknown else []
        if self.state == "waiting" and self.unsent:
            steps.append(f"vidorch jobs proceed {self.run_id}")
        for job in self.unknown:
            steps.append(f"vidorch jobs adopt {job.id} ID")
            steps.append(f"vidorch jobs settle {job.id} --not-charged")
        return steps


def standing_of(ledger: Ledger, run_id: str, error: VidorchError | None = None) -> Standing:
    """Read it.

    Args:
        error: what waiting for it ended with.
    """
    row = ledger.run(run_id)
    assert row is not None
    jobs = tuple(ledger.jobs(run_id=run_id))
    result = None
    if row["state"] not in ("open", "waiting") and row["kind"] == "generate":
        try:
            result, error = read_result(ledger, run_id), None
        except VidorchError as why:
            error = error or why
    unsent = 0
    if row["state"] in ("open", "waiting"):
        unsent = sum(nothing_was_sent(_of(jobs, candidate)) for candidate in range(row["candidates"]))
    return Standing(run_id, row["state"], jobs, result, error, unsent, row["candidates"])


def _of(jobs: Sequence[Job], candidate: int) -> list[Job]:
    return [job for job in jobs if job.candidate <= candidate < job.candidate + job.samples]


def tell(standing: Standing, *, quiet: bool = False) -> None:
    """Say it: places of clips on stdout, everything else on stderr.

    Args:
        quiet: leave out stdout, where a document comes instead.
    """
    run_id = standing.run_id
    if standing.result is not None:
        places, asides = say_result(standing.result)
        for line in asides:
            aside(line)
        if not quiet:
            for place in places:
                print(place, flush=True)
    elif standing.error is not None and not standing.unknown:
        aside(f"{run_id}: {standing.error.message if standing.at_work else standing.error}")
    if standing.at_work:
        where = " and ".join(dict.fromkeys(job.endpoint for job in standing.at_work))
        goes = "goes" if len(standing.at_work) == 1 else "go"
        aside(
            f"{many(len(standing.at_work), 'job')} of {run_id} {goes} on at {where}{_reserved(standing.at_work)}."
        )
        aside(f"Get it back with: vidorch jobs resume {run_id}")
    for job in standing.unknown:
        tell_unknown(job)
    if standing.state == "waiting" and standing.unsent:
        if standing.unsent == standing.candidates:
            aside(f"No vendor has anything of {run_id}, and it cost nothing.")
        else:
            aside(
                f"{standing.unsent} of {standing.candidates} candidates of {run_id} are at no vendor, and cost nothing."
            )
        aside(f"To send what was not sent: vidorch jobs proceed {run_id}")


def tell_unknown(job: Job) -> None:
    """Say what can be done about a submit of which nobody knows."""
    aside(f"Whether {job.endpoint}/{job.model} accepted the job {job.id} is not known. It is never sent again; "
          f"{show_usd(job.estimate_high)} stay reserved.")  # fmt: skip
    if job.possible_ids:
        aside(f"  It may be one of: {', '.join(job.possible_ids)}")
    aside(f"  look for it again:     vidorch jobs resume {job.run_id}")
    aside(f"  it is this one there:  vidorch jobs adopt {job.id} ID")
    aside(f"  it is not there:       vidorch jobs settle {job.id} --not-charged")


def _reserved(jobs: Iterable[Job]) -> str:
    high = sum((job.estimate_high for job in jobs if job.billed), Decimal(0))
    return f", {show_usd(high)} reserved" if high else ""


_WORST = (
    Exit.LEDGER, Exit.UNKNOWN, Exit.TIMED_OUT, Exit.CREDENTIALS, Exit.OVER_BUDGET, Exit.UNSUPPORTED, Exit.FAILED, Exit.USAGE,
    Exit.WAITING,
)  # fmt: skip


def worst(codes: Iterable[Exit]) -> Exit:
    """The code that says most about what is left to do."""
    seen = set(codes)
    return next((code for code in _WORST if code in seen), Exit.OK)
