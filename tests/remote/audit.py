"""The vendor's books against ours: what must be true of them, whatever happened."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tests.remote.books import Books, Sent
from tests.remote.provider import clip_bytes
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.moves import ENDS, State
from vidorch.ledger.schema import balances, events, reservations
from vidorch.money import to_micros
from vidorch.result import Job

__all__ = ["audit"]

KNOWN = ("reported", "computed")
_RESERVATIONS, _BALANCES, _EVENTS = (
    select(reservations),
    select(balances),
    select(events).order_by(events.c.id),
)


def audit(books: Books, ledger: Ledger, *, quiet: bool = True) -> list[str]:
    """Everything that is wrong, in words; nothing when all promises were kept.

    Args:
        quiet: nobody is at work any more, so that no unfinished file may lie about.
    """
    return list(_Audit(books, ledger, quiet).findings())


class _Audit:
    def __init__(self, books: Books, ledger: Ledger, quiet: bool) -> None:
        self.quiet = quiet
        self.books = books
        self.sent: dict[str, list[Sent]] = defaultdict(list)
        for one in books.everything():
            self.sent[one.job_id].append(one)
        self.taken = {
            one.remote_id: one for many in self.sent.values() for one in many if one.remote_id is not None
        }
        self.runs = {run["id"]: run for run in ledger.runs(limit=1_000_000)}
        self.jobs = {job.id: job for job in ledger.jobs()}
        self.outputs: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for run_id in self.runs:
            for row in ledger.outputs(run_id):
                self.outputs[row["job_id"]].append(row)
        self.reservations = ledger._store.read(lambda db: db.rows(_RESERVATIONS))
        self.balances = ledger._store.read(lambda db: db.rows(_BALANCES))
        self.moves: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in ledger._store.read(lambda db: db.rows(_EVENTS)):
            if row["kind"] == "move":
                self.moves[row["job_id"]].append(row)

    def findings(self) -> Iterator[str]:
        yield from self.sent_once()
        for run in self.runs.values():
            if run["kind"] == "generate":
                yield from self.one_at_a_time(run)
        for job in self.jobs.values():
            yield from self.money(job)
            yield from self.files(job)
        yield from self.sums()
        yield from self.caps()
        if self.quiet:
            yield from self.litter()

    # -- submit once ------------------------------------------------------------------------------------------------------

    def sent_once(self) -> Iterator[str]:
        for job_id, many in self.sent.items():
            job = self.jobs.get(job_id)
            if job is None:
                yield f"{job_id} was sent and is not in the ledger"
                continue
            if len(many) > 1:
                yield f"{job_id} was sent {len(many)} times"
            if State.SENDING not in self._states(job_id):
                yield f"{job_id} was sent and never was in `sending`"
            taken = [one for one in many if one.remote_id is not None]
            if taken and job.state in (State.RESERVED, State.UPLOADING, State.REJECTED, State.ABANDONED):
                yield f"{job_id} is {job.state}, and the vendor has it as {taken[0].remote_id}"
        for job in self.jobs.values():
            if job.remote_id is None:
                continue
            owned = self.taken.get(job.remote_id)
            if owned is None:
                yield f"{job.id} claims {job.remote_id}, which the vendor never gave"
            elif owned.job_id != job.id and (
                job.find != "list" or self._asked(owned.job_id) != self._asked(job.id)
            ):
                yield f"{job.id} claims {job.remote_id}, which belongs to {owned.job_id}"
        claims = [(job.endpoint, job.remote_id) for job in self.jobs.values() if job.remote_id is not None]
        if len(claims) != len(set(claims)):
            yield "a job of the vendor is claimed twice"

    def _asked(self, job_id: str) -> tuple[str, str, str] | None:
        job = self.jobs.get(job_id)
        return None if job is None else (job.endpoint, job.model, job.settings_hash)

    def _states(self, job_id: str) -> list[str]:
        return [row["target"] for row in self.moves[job_id]]

    def _span(self, job: Job) -> tuple[int, float] | None:
        """From `sending` to its end, by the order in which the moves were committed. None: it never was under way."""
        began = next((row["id"] for row in self.moves[job.id] if row["target"] == State.SENDING), None)
        if began is None:
            return None
        ended = next((row["id"] for row in self.moves[job.id] if State(row["target"]) in ENDS), None)
        return began, float("inf") if ended is None else ended

    def one_at_a_time(self, run: Mapping[str, Any]) -> Iterator[str]:
        jobs = [job for job in self.jobs.values() if job.run_id == run["id"]]
        goes_on = run["options"].get("on_unknown") == "next"
        for candidate in range(run["candidates"]):
            spans = [
                (span, job)
                for job in jobs
                if _serves(job, candidate) and (span := self._span(job)) is not None
            ]
            for (one, first), (other, second) in combinations(sorted(spans, key=lambda pair: pair[0]), 2):
                if other[0] < one[1] and not (goes_on and State.UNKNOWN in self._states(first.id)):
                    yield f"{second.id} was sent for candidate {candidate} while {first.id} was under way"
                if first.state == State.SETTLED and self._gave(first, candidate) and one[1] < other[0]:
                    yield f"{second.id} was sent for candidate {candidate}, which had its clip from {first.id}"

    def _gave(self, job: Job, candidate: int) -> bool:
        return any(row["number"] == candidate - job.candidate for row in self.outputs[job.id])

    # -- money ------------------------------------------------------------------------------------------------------------

    def money(self, job: Job) -> Iterator[str]:
        cost = None if job.cost is None else to_micros(job.cost)
        high = to_micros(job.estimate_high)
        held = [row for row in self.reservations if row["job_id"] == job.id]
        if not held:
            yield f"{job.id} has nothing reserved"
        want = "held" if State(job.state) not in ENDS else "released" if cost is None else "settled"
        for row in held:
            if (row["state"], row["amount"], row["settled"] or 0) != (want, high, cost or 0):
                yield f"{job.id} is {job.state} at {cost}, and its reservation {row['state']} at {row['settled']} of {row['amount']}"
        if State(job.state) not in ENDS:
            return
        sent = self.taken.get(job.remote_id) if job.remote_id else None
        bill = sent.bill if sent is not None else 0
        if job.cost_basis == "assumed":
            if cost != high:
                yield f"{job.id} is assumed to cost {cost}, not the {high} that were reserved"
        elif bill is not None and bill != (cost or 0):
            yield f"{job.id} is {job.state} at {cost} ({job.cost_basis}), and the vendor bills {bill}"
        if job.state == State.SETTLED and sum(row["cost"] for row in self.outputs[job.id]) != (cost or 0):
            yield f"{job.id} cost {cost}, and its clips add up to something else"

    def sums(self) -> Iterator[str]:
        for run in self.runs.values():
            mine = sum(
                to_micros(job.cost)
                for job in self.jobs.values()
                if job.run_id == run["id"] and job.cost is not None
            )
            if to_micros(run["cost"]) != mine:
                yield f"{run['id']} says that it cost {run['cost']}, and its jobs {mine}"
        want: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        for row in self.reservations:
            sums = want[row["budget_id"] or row["root_id"], row["period"]]
            sums[0] += row["amount"] if row["state"] == "held" else 0
            sums[1] += row["settled"] or 0
        have = {(row["account"], row["day"]): [row["held"], row["settled"]] for row in self.balances}
        for place in want.keys() | have.keys():
            if want.get(place, [0, 0]) != have.get(place, [0, 0]):
                yield f"the balance of {place} is {have.get(place)}, and its reservations add up to {want.get(place)}"

    def caps(self) -> Iterator[str]:
        """No submit was let go that did not fit. What cost more than its reservation in the end is no breach."""
        for run in self.runs.values():
            if run["max_cost"] is None or run["parent_id"] is not None:
                continue
            below = {run["id"], *(one["id"] for one in self.runs.values() if one["parent_id"] == run["id"])}
            used = sum(
                _counted(row)
                for row in self.reservations
                if row["budget_id"] is None and row["run_id"] in below
            )
            if used > to_micros(run["max_cost"]):
                yield f"{run['id']} used {used} of {run['max_cost']} USD"

    # -- files ------------------------------------------------------------------------------------------------------------

    def files(self, job: Job) -> Iterator[str]:
        if job.state != State.SETTLED:
            return
        if not self.outputs[job.id]:
            yield f"{job.id} is settled without a clip"
        for row in self.outputs[job.id]:
            path = Path(row["uri"])
            if not path.is_file():
                yield f"{job.id}: {path} is not there"
            elif hashlib.sha256(path.read_bytes()).hexdigest() != row["sha256"]:
                yield f"{job.id}: {path} is not what was downloaded"
            elif path.read_bytes() != clip_bytes(f"{job.remote_id}/{row['number']}"):
                yield f"{job.id}: {path} is somebody else's clip"

    def litter(self) -> Iterator[str]:
        """Unfinished files. Another machine's are its own matter, where the job was finished here: nobody can reach them."""
        for home in {run["home"] for run in self.runs.values()}:
            for path in Path(home).rglob("*.part"):
                job_id = next((name for name in self.jobs if name in path.name), "")
                if all(Path(row["uri"]).is_relative_to(home) for row in self.outputs[job_id]):
                    yield f"{path} was left behind"


def _serves(job: Job, candidate: int) -> bool:
    return job.candidate <= candidate < job.candidate + job.samples


def _counted(row: Mapping[str, Any]) -> int:
    if row["state"] == "held":
        return int(row["amount"])
    return min(int(row["settled"] or 0), int(row["amount"]))


def complaints(found: Sequence[str]) -> str:
    """Findings as one text, for assertions."""
    return "\n".join(found)
