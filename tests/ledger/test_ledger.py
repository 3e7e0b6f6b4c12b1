"""The ledger's verbs: write down, move, note, read back."""

from __future__ import annotations

import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests import postgres, samples
from tests.ledger.rows import NOW, a_job, found, job_row, run_row
from vidorch.databases import DatabaseUrl
from vidorch.errors import LedgerUnavailable
from vidorch.latencies import Took
from vidorch.ledger import store
from vidorch.ledger.database import Writer
from vidorch.ledger.ledger import Claimed, IllegalMove, KeyTaken, Ledger, MovedMeanwhile
from vidorch.ledger.moves import MOVES, OPEN, Move, State, find_move
from vidorch.ledger.schema import TABLES
from vidorch.request import Request
from vidorch.result import Job

S = State
WAYS: dict[State, tuple[State, ...]] = {
    S.RESERVED: (), S.UPLOADING: (S.UPLOADING,), S.SENDING: (S.UPLOADING, S.SENDING), S.UNKNOWN: (S.UPLOADING, S.SENDING, S.UNKNOWN),
    S.ACCEPTED: (S.UPLOADING, S.SENDING, S.ACCEPTED), S.RUNNING: (S.UPLOADING, S.SENDING, S.ACCEPTED, S.RUNNING),
    S.DOWNLOADING: (S.UPLOADING, S.SENDING, S.ACCEPTED, S.RUNNING, S.DOWNLOADING),
    S.LOST: (S.UPLOADING, S.SENDING, S.ACCEPTED, S.LOST),
}  # fmt: skip


def taken_to(ledger: Ledger, state: State, number: int = 1, **more: Any) -> Job:
    """A job that has come to `state` by the shortest way."""
    job = a_job(ledger, number, **more)
    for target in WAYS[state]:
        job = moved(ledger, job, target, NOW + 1)
    return job


def moved(ledger: Ledger, job: Job, target: State, at: float = NOW, **more: Any) -> Job:
    """The job after a move that is on disk; what would ride with the next commit is not waited half a second for."""
    future = ledger.move(job, target, at, **more)
    ledger.flush()
    return future.result()


class TestRecord:
    def test_run_job_and_reservation(self, ledger: Ledger) -> None:
        """A run, its jobs and what they reserve are written together."""
        a_job(ledger)
        assert ("open", ["job_1"]) == (
            (ledger.run("run_1") or {})["state"],
            [job.id for job in ledger.jobs(run_id="run_1")],
        )

    def test_all_or_nothing(self, ledger: Ledger) -> None:
        """When one row cannot be written, none is."""
        with pytest.raises(Exception, match="(?i)unique"):
            ledger.record(
                run_row(), [job_row("job_1"), job_row("job_1", candidate=1)], cap=Decimal(9), at=NOW
            ).result()
        assert (None, []) == (ledger.run("run_1"), ledger.jobs())

    def test_the_first_event(self, ledger: Ledger) -> None:
        """The beginning of a job is its first event."""
        a_job(ledger)
        assert [("move", None, "reserved")] == [(e.kind, e.source, e.target) for e in ledger.events("run_1")]

    def test_a_key_is_taken_once(self, ledger: Ledger) -> None:
        """A second run with the same key in the same scope is a conflict."""
        ledger.record(run_row("run_1", key="order-1"), at=NOW).result()
        with pytest.raises(KeyTaken, match="'order-1' is taken in scope 'default'") as caught:
            ledger.record(run_row("run_2", key="order-1"), at=NOW).result()
        assert "run_1" == caught.value.run_id

    def test_another_mistake_is_no_conflict(self, ledger: Ledger) -> None:
        """A run whose id repeats is not mistaken for a conflict of keys."""
        ledger.record(run_row("run_1", key="order-1"), at=NOW).result()
        with pytest.raises(Exception, match=r"runs\.id|runs_pkey"):
            ledger.record(run_row("run_1", key="order-2"), at=NOW).result()

    def test_scopes_have_their_own_keys(self, ledger: Ledger) -> None:
        """Two tenants may use the same key."""
        for number, scope in enumerate(("a", "b")):
            ledger.record(run_row(f"run_{number}", key="order-1", scope=scope), at=NOW).result()
        assert 2 == len(ledger.runs())

    def test_no_key(self, ledger: Ledger) -> None:
        """Without a key, any number of runs may ask the same."""
        for number in range(3):
            ledger.record(run_row(f"run_{number}"), at=NOW).result()
        assert 3 == len(ledger.runs())


class TestMove:
    @pytest.mark.parametrize(
        "step", [m for m in MOVES if m.source is not None], ids=lambda m: f"{m.source}-{m.target}"
    )
    def test_every_step_of_the_table(self, ledger: Ledger, step: Move) -> None:
        """Every step in the table can be taken, and gives the job as it is then."""
        assert step.source is not None
        job = taken_to(ledger, step.source, outlives_caller=int(not step.in_process_only))
        after = moved(ledger, job, step.target)
        assert (step.target, job.version + 1) == (after.state, after.version)

    @pytest.mark.parametrize("place", ["sqlite"], indirect=True)  # no database is asked
    @pytest.mark.parametrize(
        ("source", "target"),
        [(a, b) for a in sorted(WAYS) for b in sorted(State) if find_move(a, b) is None],
        ids=str,
    )
    def test_every_other_step(self, ledger: Ledger, source: State, target: State) -> None:
        """Every other step is refused at once, and the job stays where it is."""
        job = taken_to(ledger, source)
        with pytest.raises(IllegalMove):
            ledger.move(job, target, NOW + 2)
        assert source == found(ledger, job.id).state

    @pytest.mark.parametrize("source", sorted(OPEN & set(WAYS) - {S.RESERVED, S.UPLOADING, S.UNKNOWN}))
    def test_what_outlives_us_is_not_abandoned(self, ledger: Ledger, source: State) -> None:
        """Work at a vendor goes on without us: it cannot be written off as died."""
        with pytest.raises(IllegalMove, match="only for work that dies with its process"):
            ledger.move(taken_to(ledger, source), S.ABANDONED, NOW)

    def test_event(self, ledger: Ledger) -> None:
        """Each move has its event, with version and note, in the same transaction."""
        job = a_job(ledger)
        ledger.move(job, S.CANCELLED, NOW + 5, note={"by": "caller"}).result()
        event_ = ledger.events("run_1", job_id="job_1")[-1]
        assert (NOW + 5, "move", "reserved", "cancelled", {"by": "caller"}) == (
            event_.at,
            event_.kind,
            event_.source,
            event_.target,
            event_.data,
        )

    def test_each_move_one_event(self, ledger: Ledger) -> None:
        """The history of a job is the list of its moves."""
        taken_to(ledger, S.DOWNLOADING)
        assert ["reserved", *WAYS[S.DOWNLOADING]] == [event.target for event in ledger.events("run_1")]

    def test_stamps(self, ledger: Ledger) -> None:
        """When a job came to a state is on the job."""
        job = taken_to(ledger, S.ACCEPTED)
        assert (NOW + 1, NOW + 1, None) == (job.sending_at, job.accepted_at, job.ended_at)

    def test_an_end_has_no_owner(self, ledger: Ledger) -> None:
        """A job that is over belongs to nobody."""
        job = a_job(ledger, owner="me", lease_until=NOW + 60)
        ended = ledger.move(job, S.CANCELLED, NOW + 2).result()
        assert (None, None, NOW + 2) == (ended.owner, ended.lease_until, ended.ended_at)

    def test_two_movers(self, ledger: Ledger, place: Path | DatabaseUrl) -> None:
        """Of two that move the same job, one wins; the other hears that it was moved meanwhile."""
        job = a_job(ledger)
        other = Ledger(place)
        moved(ledger, job, S.UPLOADING)
        with pytest.raises(MovedMeanwhile, match="job_1 is uploading by now, not reserved") as caught:
            other.move(job, S.CANCELLED, NOW + 1).result()
        other.close()
        assert ("job_1", "run_1", True) == (caught.value.job_id, caught.value.run_id, caught.value.retryable)

    def test_the_loser_leaves_no_trace(self, ledger: Ledger) -> None:
        """Nothing of a lost race is written: no event, no reservation touched."""
        job = a_job(ledger)
        moved(ledger, job, S.UPLOADING)
        with pytest.raises(MovedMeanwhile):
            ledger.move(job, S.CANCELLED, NOW + 1, cost=Decimal(1)).result()
        assert (2, "held") == (len(ledger.events("run_1")), reservation(ledger)["state"])

    def test_same_state_other_version(self, ledger: Ledger) -> None:
        """A snapshot of an older version loses, even in the same state."""
        job = taken_to(ledger, S.UNKNOWN)
        again = ledger.move(job, S.ACCEPTED, NOW + 2).result()
        with pytest.raises(MovedMeanwhile):
            moved(ledger, taken(again, version=again.version - 1), S.RUNNING)

    def test_many_movers(self, ledger: Ledger) -> None:
        """Of twenty threads that move the same job, exactly one wins."""
        job = a_job(ledger)
        futures = [ledger.move(job, S.CANCELLED, NOW + 1) for _ in range(20)]
        assert 1 == sum(future.exception() is None for future in futures)

    def test_a_job_that_is_gone(self, ledger: Ledger) -> None:
        """A job that was never written cannot be moved."""
        with pytest.raises(MovedMeanwhile, match="is gone by now"):
            moved(ledger, taken(a_job(ledger), id="job_x"), S.UPLOADING)

    def test_changes(self, ledger: Ledger) -> None:
        """Further columns change with the state, or not at all."""
        job = ledger.move(
            taken_to(ledger, S.SENDING), S.ACCEPTED, NOW + 2, changes={"remote_id": "r-1"}
        ).result()
        assert "r-1" == job.remote_id

    def test_outputs_come_with_the_move(self, ledger: Ledger) -> None:
        """What a job made is written in the transaction that settles it."""
        ledger.move(
            taken_to(ledger, S.DOWNLOADING), S.SETTLED, NOW + 9, made=[output_row()], cost=Decimal(2)
        ).result()
        assert ["clip.mp4"] == [row["uri"] for row in ledger.outputs("run_1")]


def taken(job: Job, **changes: Any) -> Job:
    """The job with something else in it."""
    from dataclasses import replace

    return replace(job, **changes)


def output_row(**more: Any) -> dict[str, Any]:
    """A published output."""
    return {
        "id": "out_1", "run_id": "run_1", "job_id": "job_1", "number": 0, "state": "published", "uri": "clip.mp4", "created_at": NOW,
    } | more  # fmt: skip


def reservation(ledger: Ledger, job: str = "job_1") -> dict[str, Any]:
    """What the job holds of the budget."""
    from sqlalchemy import select

    from vidorch.ledger.schema import reservations

    query = select(reservations).where(reservations.c.job_id == job, reservations.c.budget_id.is_(None))
    return ledger._store.read(lambda db: dict(db.rows(query)[0]))


class TestMoney:
    def test_settled(self, ledger: Ledger) -> None:
        """The real cost takes the place of what was reserved."""
        ledger.move(
            taken_to(ledger, S.DOWNLOADING),
            S.SETTLED,
            NOW + 9,
            cost=Decimal("1.25"),
            changes={"cost_basis": "reported"},
        ).result()
        kept = reservation(ledger)
        assert ("settled", 1_250_000, "reported", 3_000_000) == (
            kept["state"],
            kept["settled"],
            kept["basis"],
            kept["amount"],
        )

    @pytest.mark.parametrize("end", [S.CANCELLED, S.REJECTED, S.ABANDONED])
    def test_released(self, ledger: Ledger, end: State) -> None:
        """What ends without cost gives its reservation back."""
        ledger.move(a_job(ledger), end, NOW + 1).result()
        assert ("released", 0) == (reservation(ledger)["state"], reservation(ledger)["settled"])

    def test_held_while_open(self, ledger: Ledger) -> None:
        """While a job is open or unknown its reservation counts."""
        taken_to(ledger, S.UNKNOWN)
        assert "held" == reservation(ledger)["state"]

    def test_the_run_adds_up(self, ledger: Ledger) -> None:
        """The run's cost is the sum of what its jobs cost, exactly."""
        ledger.record(
            run_row(),
            [job_row(f"job_{n}", candidate=n) for n in range(3)],
            cap=Decimal(9),
            at=NOW,
        ).result()
        for number in range(3):
            job = found(ledger, f"job_{number}")
            for target in WAYS[S.ACCEPTED]:
                job = moved(ledger, job, target)
            ledger.move(job, S.FAILED, NOW, cost=Decimal("0.1")).result()
        assert Decimal("0.30") == (ledger.run("run_1") or {})["cost"]

    def test_ones_own_hardware_is_imputed(self, ledger: Ledger) -> None:
        """What is not billed is kept beside the cost, never in it."""
        ledger.move(taken_to(ledger, S.DOWNLOADING, billed=0), S.SETTLED, NOW, cost=Decimal("0.02")).result()
        run = ledger.run("run_1") or {}
        assert (Decimal(0), Decimal("0.02")) == (run["cost"], run["imputed"])

    def test_an_overrun_is_recorded_in_full(self, ledger: Ledger) -> None:
        """A real cost above its reservation is booked as it is."""
        ledger.move(taken_to(ledger, S.DOWNLOADING), S.SETTLED, NOW, cost=Decimal(7)).result()
        assert (7_000_000, Decimal(7)) == (
            reservation(ledger)["settled"],
            (ledger.run("run_1") or {})["cost"],
        )

    def test_lost_is_booked_at_its_high(self, ledger: Ledger) -> None:
        """A lost job counts at what was reserved for it."""
        job = taken_to(ledger, S.ACCEPTED)
        lost = ledger.move(
            job, S.LOST, NOW, cost=job.estimate_high, changes={"cost_basis": "assumed"}
        ).result()
        assert (Decimal(3), "assumed", Decimal(3)) == (
            lost.cost,
            lost.cost_basis,
            (ledger.run("run_1") or {})["cost"],
        )

    @pytest.mark.parametrize("cost", ["0", "1.10", "3", "4.50"])
    def test_corrected_by_hand(self, ledger: Ledger, cost: str) -> None:
        """A correction replaces what was assumed: in the job, the reservation and the run."""
        job = taken_to(ledger, S.ACCEPTED)
        lost = ledger.move(job, S.LOST, NOW, cost=job.estimate_high).result()
        mended = ledger.move(
            lost, S.SETTLED, NOW, cost=Decimal(cost), changes={"cost_basis": "reported"}
        ).result()
        total = (ledger.run("run_1") or {})["cost"]
        assert (Decimal(cost), Decimal(cost), int(Decimal(cost) * 10**6)) == (
            mended.cost,
            total,
            reservation(ledger)["settled"],
        )


class TestRemoteId:
    def test_claimed_once(self, ledger: Ledger) -> None:
        """A job at the vendor belongs to one job of ours; the second claim changes nothing."""
        ledger.move(taken_to(ledger, S.SENDING, 1), S.ACCEPTED, NOW, changes={"remote_id": "r-1"}).result()
        second = taken_to(ledger, S.SENDING, 2)
        with pytest.raises(Claimed, match="r-1 belongs to another job"):
            ledger.move(second, S.ACCEPTED, NOW, changes={"remote_id": "r-1"}).result()
        assert second == found(ledger, second.id)

    @pytest.mark.parametrize("other", [{"endpoint": "replicate"}, {"account": "b"}])
    def test_ids_are_those_of_an_account(self, ledger: Ledger, other: dict[str, Any]) -> None:
        """Two vendors, or two accounts, may use the same id."""
        for number, more in enumerate(({}, other)):
            job = taken_to(ledger, S.SENDING, number, **more)
            ledger.move(job, S.ACCEPTED, NOW, changes={"remote_id": "r-1"}).result()
        assert ["r-1", "r-1"] == [job.remote_id for job in ledger.jobs()]

    def test_none_yet(self, ledger: Ledger) -> None:
        """Any number of jobs may have no id yet."""
        assert [None, None] == [taken_to(ledger, S.SENDING, number).remote_id for number in (1, 2)]

    def test_no_attempt_twice(self, ledger: Ledger) -> None:
        """A candidate's n-th attempt is one job."""
        a_job(ledger)
        with pytest.raises(Exception, match="attempt"):
            ledger.record(run_row("run_2"), [job_row("job_2", "run_1")], at=NOW).result()


class TestGroupCommit:
    @staticmethod
    def held(ledger: Ledger) -> threading.Event:
        """Keep the writer busy until the event is set, so that what is written now waits together."""
        started, release = threading.Event(), threading.Event()

        def work(_: object) -> None:
            started.set()
            release.wait(30)

        ledger._store.write(work)
        started.wait(30)
        return release

    def test_one_commit_for_many(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        """A hundred writes that wait together are one transaction."""
        on_disk, made = store._on_disk, []

        def counted(writer: Writer, batch: Any) -> Any:
            made.append(len(batch))
            return on_disk(writer, batch)

        monkeypatch.setattr(store, "_on_disk", counted)
        release = self.held(ledger)
        futures = [
            ledger.record(run_row(f"run_{n}"), [job_row(f"job_{n}", f"run_{n}")], at=NOW) for n in range(100)
        ]
        release.set()
        assert [[f"job_{n}"] for n in range(100)] == [
            [job.id for job in future.result()] for future in futures
        ]
        assert [1, 100] == made  # the one that held it up, and all that waited for that

    def test_one_that_fails_fails_alone(self, ledger: Ledger) -> None:
        """A write that fails in the middle of a transaction is rolled back alone."""
        release = self.held(ledger)
        good = [ledger.record(run_row(f"run_{n}"), at=NOW) for n in range(3)]
        bad = ledger.record(run_row("run_x", kind=None), at=NOW)
        more = ledger.record(run_row("run_3"), at=NOW)
        release.set()
        assert [None] * 4 == [future.exception() for future in (*good, more)]
        assert (True, ["run_0", "run_1", "run_2", "run_3"]) == (
            bad.exception() is not None,
            sorted(run["id"] for run in ledger.runs()),
        )

    def test_half_a_write_is_none(self, ledger: Ledger) -> None:
        """Of a write that fails half-way, the first half is not kept."""
        release = self.held(ledger)
        bad = ledger.record(
            run_row("run_1"),
            [job_row("job_1"), job_row("job_2", "run_that_is_not_there", candidate=1)],
            cap=Decimal(9),
            at=NOW,
        )
        release.set()
        assert (True, None) == (bad.exception() is not None, ledger.run("run_1"))

    def test_what_rides_is_there_after_a_flush(self, ledger: Ledger) -> None:
        """What does not wait is on disk with the next commit."""
        job = a_job(ledger)
        ledger.move(job, S.UPLOADING, NOW)
        ledger.flush()
        assert "uploading" == found(ledger, "job_1").state

    def test_what_rides_is_there_after_closing(self, place: Path | DatabaseUrl) -> None:
        """Closing writes what waits."""
        ledger = Ledger(place)
        ledger.move(a_job(ledger), S.UPLOADING, NOW)
        ledger.close()
        again = Ledger(place)
        state = found(again, "job_1").state
        again.close()
        assert "uploading" == state

    def test_in_order(self, ledger: Ledger) -> None:
        """Writes happen in the order in which they were asked for."""
        job = a_job(ledger)
        for target in (S.UPLOADING, S.SENDING):
            future = ledger.move(job, target, NOW)
            job = taken(job, state=target.value, version=job.version + 1)
        assert "sending" == future.result().state

    def test_closed(self, place: Path | DatabaseUrl) -> None:
        """A closed ledger takes no more writes, and says so."""
        ledger = Ledger(place)
        ledger.close()
        ledger.close()
        with pytest.raises(LedgerUnavailable, match="closed"):
            ledger.record(run_row(), at=NOW).result()


class TestNotes:
    def test_touch(self, ledger: Ledger) -> None:
        """Progress and a renewed lease are no moves: version and history stay."""
        job = a_job(ledger)
        ledger.touch(job, NOW + 3, progress=0.5, stage="denoise", lease_until=NOW + 63)
        ledger.flush()
        now = found(ledger, "job_1")
        assert (0.5, "denoise", NOW + 63, 0, 1) == (
            now.progress,
            now.stage,
            now.lease_until,
            now.version,
            len(ledger.events("run_1")),
        )

    def test_touch_too_late(self, ledger: Ledger) -> None:
        """Progress of a job that has moved on is dropped."""
        job = a_job(ledger)
        ledger.move(job, S.CANCELLED, NOW).result()
        ledger.touch(job, NOW + 3, progress=0.5)
        ledger.flush()
        assert found(ledger, "job_1").progress is None

    def test_note(self, ledger: Ledger) -> None:
        """A note is an event of its own kind."""
        a_job(ledger)
        ledger.note("run_1", None, NOW + 4, "note", {"text": "slow"})
        ledger.flush()
        assert ("note", {"text": "slow"}) == (
            ledger.events("run_1")[-1].kind,
            ledger.events("run_1")[-1].data,
        )


class TestEndRun:
    def test_once(self, ledger: Ledger) -> None:
        """A run ends once; a second end changes nothing."""
        a_job(ledger)
        ledger.end_run("run_1", "finished", NOW + 5).result()
        ledger.end_run("run_1", "failed", NOW + 6).result()
        run = ledger.run("run_1") or {}
        assert ("finished", NOW + 5, 1) == (run["state"], run["ended_at"], run["version"])

    def test_together_with_its_job(self, ledger: Ledger) -> None:
        """A move can end the run in its own transaction."""
        job = taken_to(ledger, S.DOWNLOADING)
        moved(ledger, job, S.SETTLED, NOW + 5, run_ends={"chosen_output": "out_1"})
        run = ledger.run("run_1") or {}
        assert ("finished", NOW + 5, "out_1", None) == (
            run["state"], run["ended_at"], run["chosen_output"], run["owner"],
        )  # fmt: skip

    def test_not_without_its_job(self, ledger: Ledger) -> None:
        """A move that comes too late ends no run."""
        job = taken_to(ledger, S.DOWNLOADING)
        moved(ledger, job, S.FAILED)
        with pytest.raises(MovedMeanwhile):
            ledger.move(job, S.SETTLED, NOW + 5, run_ends={"chosen_output": "out_1"}).result()
        assert "open" == (ledger.run("run_1") or {})["state"]


class TestReading:
    def test_nothing_there(self, ledger: Ledger) -> None:
        """What is not there is None or empty."""
        assert (None, None, [], [], []) == (
            ledger.run("x"), ledger.job("x"), ledger.jobs(run_id="x"), ledger.outputs("x"), ledger.events("x"),
        )  # fmt: skip

    def test_newest_first(self, ledger: Ledger) -> None:
        """Runs and jobs are listed newest first, as many as asked for."""
        for number in range(3):
            ledger.record(run_row(f"run_{number}", created_at=NOW + number), at=NOW).result()
        assert ["run_2", "run_1"] == [run["id"] for run in ledger.runs(limit=2)]

    def test_by_state(self, ledger: Ledger) -> None:
        """Jobs can be asked for by state."""
        a_job(ledger, 1)
        taken_to(ledger, S.SENDING, 2)
        assert ["job_2"] == [job.id for job in ledger.jobs(state="sending")]

    @pytest.mark.parametrize(
        ("word", "hits"),
        [
            ("run_1", [("run", "run_1")]),
            ("_1", [("run", "run_1"), ("job", "job_1")]),
            ("%", []),
            ("_", []),
            ("x", []),
        ],
    )
    def test_find(self, ledger: Ledger, word: str, hits: list[tuple[str, str]]) -> None:
        """A run or job can be found by the beginning or end of its id; % and _ mean themselves."""
        a_job(ledger)
        assert hits == ledger.find(word)

    def test_money_is_decimal(self, ledger: Ledger) -> None:
        """Money comes back as it went in."""
        ledger.record(run_row(max_cost=1_234_567), at=NOW).result()
        assert Decimal("1.234567") == (ledger.run("run_1") or {})["max_cost"]

    def test_in_memory(self) -> None:
        """Without a file everything works, and says that it does not last."""
        ledger = Ledger(None)
        job = taken_to(ledger, S.DOWNLOADING)
        ledger.close()
        assert (False, "downloading") == (ledger.durable, job.state)


class TestLatencies:
    def test_are_between_two_looks(self, ledger: Ledger) -> None:
        """Seconds from accepted to seen done, and to the look before that."""
        job = moved(
            ledger, taken_to(ledger, S.RUNNING), S.DOWNLOADING, NOW + 61, changes={"working_at": NOW + 56}
        )
        moved(ledger, job, S.SETTLED, NOW + 62)
        assert [Took(60.0, 55.0)] == ledger.latencies("fal", "kling", task="text-to-video")


class TestWhatIsNeverKept:
    SECRET = "sig-5f1c0ffee"

    def test_no_media_and_no_query(self, ledger: Ledger, place: Path | DatabaseUrl) -> None:
        """Of media, the ledger holds hash, size and kind: no content and no query string."""
        import json

        url = f"https://me:{self.SECRET}@example.com/cat.png?sig={self.SECRET}"
        request = Request(prompt="a cat", image=samples.PNG, reference_images=[url])
        ledger.record(run_row(request=json.dumps(request.describe())), at=NOW).result()
        ledger.close()
        if isinstance(place, Path):
            written = b"".join(file.read_bytes() for file in place.parent.iterdir())
        else:
            written = repr(
                [postgres.execute(place, f"SELECT t::text FROM {table.name} t") for table in TABLES]
            ).encode()
        assert (True, False, False) == (
            b"a cat" in written,
            samples.PNG in written,
            self.SECRET.encode() in written,
        )

    def test_no_column_for_content(self) -> None:
        """No column could hold a file: there is no binary type in any table."""
        from vidorch.ledger.schema import metadata

        kinds = {str(column.type) for table in metadata.tables.values() for column in table.c}
        assert kinds <= {"VARCHAR", "TEXT", "INTEGER", "BIGINT", "DOUBLE"}

    @pytest.mark.skipif(not hasattr(__import__("os"), "getuid"), reason="no such permissions here")
    @pytest.mark.parametrize("place", ["sqlite"], indirect=True)
    def test_private(self, ledger: Ledger, path: Path) -> None:
        """Prompts are private: only their owner may read the file."""
        assert 0 == path.stat().st_mode & 0o077
