"""Spenders that want more than there is: many processes on one ledger, every kind of cap at once, some killed on the way.

What must hold, in every moment that a reader can see: the rows add up to the balances in whole millionths, and no cap is passed by
one of them, except by costs above their reservation, and those are reported.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from decimal import Decimal
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.ledger.rows import job_row, run_row
from vidorch.budget import DEFAULT_CAP, Budget
from vidorch.errors import OverBudget
from vidorch.home import ledger_path
from vidorch.ledger.ledger import Ledger, MovedMeanwhile
from vidorch.ledger.moves import ENDS, State
from vidorch.ledger.session import Session
from vidorch.money import from_micros, to_micros
from vidorch.result import Job

__all__ = ["BUDGETS", "Told", "Trial", "audit_caps", "begin", "spend", "spenders"]

START = 1_795_995_800.0
"""29 November 2026, 23:43 UTC: days and a month change on the way."""
BUDGETS = (
    Budget("4.000001", "a day", "day", "a"),
    Budget("14.333333", "a month", "month", "a"),
    Budget("1.700007", "a call", "call", "a"),
    Budget("25.000003", "for good", "total", "b"),
    Budget("7.777777", "b a day", "day", "b"),
)
CAPS = (None, Decimal("0.000001"), Decimal("0.9"), Decimal("2.500001"), Decimal(20))
SHARED = ("shared-a", "shared-b", "shared-c")
"""Batches that every process adds lines to, so that the cap of one call is fought for too."""
SHARED_CAP = Decimal("30.000009")


@dataclass(frozen=True)
class Trial:
    """What one process is to try.

    Attributes:
        place: of the ledger, as one types it. reservations: how many jobs it tries to reserve, over so many days; done: how many of them were tried by the one that
            died before it.
        dies_after: reservations after which it kills itself with writes under way; None to live.
    """

    place: str
    number: int
    reservations: int
    seed: int = 0
    days: int = 6
    done: int = 0
    dies_after: int | None = None


@dataclass
class Told:
    """What a spender saw: jobs reserved, calls refused, and by which cap. `heir`: whether it went on for one that was killed."""

    heir: bool = False
    reserved: int = 0
    refused: int = 0
    over: Counter[str] = field(default_factory=Counter)


def begin(place: str) -> None:
    """A ledger with the batches that all share."""
    ledger = Ledger(ledger_path(place, Path()))
    for name in SHARED:
        scope = name[-1]
        ledger.record(
            run_row(name, kind="batch", scope=scope, max_cost=to_micros(SHARED_CAP)), [], at=START
        ).result()
    ledger.close()


class _Spender:
    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.told = Told(heir=trial.done > 0)
        self.tried = trial.done
        self.chance = random.Random(f"{trial.seed}/{trial.number}/{trial.done}")
        self.ledger = Ledger(ledger_path(trial.place, Path()))
        self.owner = f"spender:{trial.number}:{trial.done}"
        self.jobs: dict[str, Job] = {}
        self.own: list[str] = []
        """Runs of its own, to which more may be added."""
        self.asked: dict[str, tuple[str, Decimal | None]] = {}
        """By run, its scope and cap."""
        if trial.done:
            dead = f"spender:{trial.number}:0"
            self.jobs = {job.id: job for job in self.ledger.open_jobs() if job.owner == dead}

    def work(self) -> Told:
        try:
            while self.tried < self.trial.reservations:
                self._round()
        finally:
            self.ledger.close()
        return self.told

    def _now(self) -> float:
        """Days go by with what was tried, and no two processes agree on the hour."""
        gone = self.tried / self.trial.reservations * self.trial.days * 86_400
        return START + gone + self.chance.uniform(-3600, 3600)

    def _round(self) -> None:
        """A few of everything, all under way at the same time."""
        chance = self.chance
        reserving = [self._reserve() for _ in range(chance.randint(1, 12))]
        moving = [self._move_on(job) for job in self._some(chance.randint(0, 10))]
        if self.trial.dies_after is not None and self.tried >= self.trial.dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
        for future in reserving:
            try:
                jobs = future.result()
            except OverBudget as error:
                self.told.refused += 1
                self.told.over[error.budget or ""] += 1
                continue
            self.told.reserved += len(jobs)
            if jobs[0].run_id in self.asked and jobs[0].run_id not in self.own:
                self.own.append(jobs[0].run_id)
            self.jobs |= {job.id: job for job in jobs}
        for steps in moving:
            with contextlib.suppress(MovedMeanwhile):
                job = steps[-1].result()
                if job.state in ENDS and job.cost_basis != "assumed":
                    del self.jobs[job.id]
                else:
                    self.jobs[job.id] = job

    def _some(self, count: int) -> list[Job]:
        names = sorted(self.jobs)
        return [self.jobs[name] for name in self.chance.sample(names, min(count, len(names)))]

    # -- what is asked for ------------------------------------------------------------------------------------------------

    def _reserve(self) -> Future[list[Job]]:
        chance, at = self.chance, self._now()
        name = f"{self.trial.number}-{self.trial.done}-{self.tried}"
        count = chance.choice((1, 1, 1, 2, 4))
        draw = chance.random()
        if draw < 0.25 and self.own:
            run = chance.choice(self.own[-20:])
            scope, cap = self.asked[run]
            jobs = self._rows(run, name, scope, count, first=1 + self.tried)
            return self.ledger.add_jobs(run, self.owner, jobs, cap=cap, budgets=BUDGETS, at=at)
        parent = chance.choice(SHARED) if draw < 0.6 else None
        scope = chance.choice("abc") if parent is None else parent[-1]
        cap = chance.choice(CAPS) if parent is None else SHARED_CAP
        run = f"run-{name}"
        if parent is None:
            self.asked[run] = (scope, cap)
        row = run_row(run, parent_id=parent, scope=scope, owner=self.owner,
                      max_cost=None if cap is None else to_micros(cap))  # fmt: skip
        return self.ledger.record(row, self._rows(run, name, scope, count), cap=cap, budgets=BUDGETS, at=at)

    def _rows(self, run: str, name: str, scope: str, count: int, first: int = 0) -> list[dict[str, Any]]:
        self.tried += count
        rows = []
        for place in range(count):
            high = self._amount()
            rows.append(
                job_row(
                    f"job-{name}-{place}", run, candidate=place, attempt=first, scope=scope, estimate_low=0, estimate=high // 2,
                    estimate_high=high, owner=self.owner,
                )
            )  # fmt: skip
        return rows

    def _amount(self) -> int:
        """Odd fractions: most of them divide nothing."""
        chance = self.chance
        return chance.choice((1, 7, 333_333, 999_999, 10**6 // 7, chance.randint(1, 2_000_000)))

    # -- what becomes of it -----------------------------------------------------------------------------------------------

    def _move_on(self, job: Job) -> list[Future[Job]]:
        """A few steps of its life, one behind the other."""
        if job.state == State.LOST and self.chance.random() < 0.5:
            return [self.ledger.correct(job.id, self._cost(job), self._now())]
        steps, ending = self._way(job)
        futures: list[Future[Job]] = []
        at = self._now()
        for step in steps:
            futures.append(self.ledger.move(job, step, at))
            job = replace(job, state=step.value, version=job.version + 1)
        if ending is not None:
            cost, changes = self._bill(job, ending)
            futures.append(self.ledger.move(job, ending, at, cost=cost, changes=changes))
        return futures

    def _way(self, job: Job) -> tuple[Sequence[State], State | None]:
        chance = self.chance
        before = {State.RESERVED: [State.UPLOADING, State.SENDING], State.UPLOADING: [State.SENDING]}.get(
            State(job.state), []
        )
        if job.state == State.RESERVED and chance.random() < 0.2:
            return [], chance.choice((State.CANCELLED, State.REJECTED, State.ABANDONED))
        if job.state == State.LOST:
            return [], State.SETTLED
        if job.state == State.UNKNOWN:
            return [], chance.choice((State.LOST, State.SETTLED, State.REJECTED))
        if job.state in (State.ACCEPTED, State.RUNNING, State.DOWNLOADING):
            way = [] if job.state == State.DOWNLOADING else [State.DOWNLOADING]
            draw = chance.random()
            if draw < 0.7:
                return way, State.SETTLED
            return way, State.LOST if draw < 0.85 else State.FAILED
        draw = chance.random()
        if draw < 0.15:
            return [*before, State.UNKNOWN], None
        if draw < 0.3:
            return before, State.REJECTED
        return [*before, State.ACCEPTED], None

    def _bill(self, job: Job, ending: State) -> tuple[Decimal | None, dict[str, Any]]:
        if ending is State.LOST:
            return job.estimate_high, {"cost_basis": "assumed"}
        if ending in (State.SETTLED, State.FAILED):
            return self._cost(job), {"cost_basis": "reported"}
        return None, {"charged": 0}

    def _cost(self, job: Job) -> Decimal | None:
        high = to_micros(job.estimate_high)
        chance = self.chance
        micros = chance.choice((None, 0, 1, high // 3, high, high, high + 1, high * 7 // 5))
        return None if micros is None else from_micros(micros)


def spend(trial: Trial) -> Told:
    """Be one spender, in this process."""
    return _Spender(trial).work()


def _child(trial: Trial, results: Any) -> None:
    results.put((trial.number, spend(trial)))


def spenders(trials: Sequence[Trial]) -> Iterator[list[Told]]:
    """Let them spend, each in a process of its own, and another one go on for each that was killed.

    Yields:
        Again and again while they work, for whoever looks on: what those told that are done.
    """
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    told: list[Told] = []
    working: dict[int, tuple[Trial, BaseProcess]] = {}

    def start(trial: Trial) -> None:
        process = context.Process(target=_child, args=(trial, results), daemon=True)
        process.start()
        working[trial.number] = (trial, process)

    for trial in trials:
        start(trial)
    while working:
        with contextlib.suppress(Exception):
            number, one = results.get(timeout=0.2)
            told.append(one)
            working.pop(number)[1].join()
        for trial, process in list(working.values()):
            if process.exitcode == -signal.SIGKILL:
                process.join()
                start(replace(trial, done=trial.dies_after or 0, dies_after=None))
            elif process.exitcode not in (None, 0):
                raise RuntimeError(f"spender {trial.number} ended with {process.exitcode}")
        yield told
    results.close()


# -- what must hold -----------------------------------------------------------------------------------------------------------

_ACCOUNTS = text(
    """
    SELECT COALESCE(r.budget_id, r.root_id) AS account, r.budget_id, r.period AS day,
        SUM(CASE WHEN r.state = 'held' THEN r.amount ELSE 0 END) AS held,
        SUM(CASE WHEN r.state = 'settled' THEN r.settled ELSE 0 END) AS settled,
        SUM(CASE WHEN r.state = 'settled' AND r.settled > r.amount THEN r.settled - r.amount ELSE 0 END) AS over
    FROM reservations AS r GROUP BY 1, 2, 3
    """
)
_BALANCES = text('SELECT account, "day", held, settled FROM balances')
_LIMITS = text("SELECT id, name, amount, per FROM budgets")
_ROOTS = text("SELECT id, scope, max_cost FROM runs WHERE parent_id IS NULL")
_UNDER_A_BUDGET = text("SELECT DISTINCT root_id, budget_id FROM reservations WHERE budget_id IS NOT NULL")
_JOBS = text(
    """
    SELECT jobs.id, jobs.state, jobs.ended_at, jobs.cost, jobs.estimate_high AS high, r.state AS booked, r.amount, r.settled,
        EXISTS (SELECT 1 FROM events WHERE events.job_id = jobs.id AND events.kind = 'overrun') AS reported
    FROM jobs LEFT JOIN reservations AS r ON r.job_id = jobs.id
    """
)
_RUNS = text(
    """
    SELECT runs.id, runs.cost, (SELECT COALESCE(SUM(jobs.cost), 0) FROM jobs WHERE jobs.run_id = runs.id) AS jobs
    FROM runs
    """
)


def audit_caps(db: Session, *, whole: bool = True) -> list[str]:
    """Everything that is wrong in what this moment shows of the ledger, in words.

    Args:
        whole: look at every job too, which takes longer.
    """
    found = list(_sums_and_caps(db))
    if whole:
        found += _jobs_and_runs(db)
    return found


def _sums_and_caps(db: Session) -> Iterator[str]:
    accounts = db.rows(_ACCOUNTS)
    want = {(row["account"], row["day"]): (row["held"], row["settled"]) for row in accounts}
    have = {(row["account"], row["day"]): (row["held"], row["settled"]) for row in db.rows(_BALANCES)}
    for place in want.keys() | have.keys():
        if want.get(place, (0, 0)) != have.get(place, (0, 0)):
            yield f"the balance of {place} is {have.get(place)}, and its rows add up to {want.get(place)}"
    for what, (used, over), limit in _spans(db, accounts):
        if used > limit + over:
            yield f"{what}: {used} of {limit}, with {over} of reported overruns"


def _spans(db: Session, accounts: list[dict[str, Any]]) -> Iterator[tuple[str, tuple[int, int], int]]:
    """Every cap, as (its name, what is used of it and how much of that is overrun, its limit)."""
    limits = {row["id"]: row for row in db.rows(_LIMITS)}
    spans: dict[tuple[str, str], list[int]] = {}
    for row in accounts:
        per = "total" if row["budget_id"] is None else limits[row["budget_id"]]["per"]
        span = {"day": row["day"], "month": row["day"][:7]}.get(per, "")
        sums = spans.setdefault((row["account"], span), [0, 0])
        sums[0] += row["held"] + row["settled"]
        sums[1] += row["over"]
    for (account, span), (used, over) in spans.items():
        if (limit := limits.get(account)) is not None and limit["per"] != "call":
            yield f"{limit['name']} {span}", (used, over), limit["amount"]
    under: dict[str, set[str]] = {}
    for row in db.rows(_UNDER_A_BUDGET):
        under.setdefault(row["root_id"], set()).add(row["budget_id"])
    for root in db.rows(_ROOTS):
        used, over = spans.get((root["id"], ""), (0, 0))
        mine = [limits[one] for one in under.get(root["id"], ())]
        if root["max_cost"] is not None:
            yield root["id"], (used, over), root["max_cost"]
        elif not mine:
            yield f"{root['id']} by default", (used, over), to_micros(DEFAULT_CAP)
        for limit in mine:
            if limit["per"] == "call":
                yield f"{root['id']} under {limit['name']}", (used, over), limit["amount"]


def _jobs_and_runs(db: Session) -> Iterator[str]:
    for row in db.rows(_JOBS):
        want = "held" if row["ended_at"] is None else "released" if row["cost"] is None else "settled"
        cost = row["cost"] or 0
        if (row["booked"], row["amount"], row["settled"] or 0) != (want, row["high"], cost):
            yield f"{row['id']} is {row['state']} at {cost}, and booked as {row['booked']} at {row['settled']} of {row['amount']}"
        if bool(row["reported"]) < (cost > row["high"]):
            yield f"{row['id']} cost {cost} of {row['high']} and nobody said so"
    for row in db.rows(_RUNS):
        if row["cost"] != row["jobs"]:
            yield f"{row['id']} says that it cost {row['cost']}, and its jobs {row['jobs']}"
