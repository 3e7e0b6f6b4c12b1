"""Killed with -9 anywhere in a job's life, nothing is paid twice, nothing paid is lost, and the money is right.

The points are not chosen by hand: a case is played once and writes down every point that it passes (each write to the ledger,
before and after it is on disk; each call to the vendor, before and after; each file, before and after it has its name), and
then it is played again for each of them and killed there. A test holds them to the table of moves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.promises.killing import Case, Mother, Told
from tests.remote import Books
from tests.remote.audit import audit
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.moves import ENDS, MOVES, State

SLOWLY = {"latency": 0.03}
"""It is at work at the first look, and done a few looks later: the vendor's clock goes on by a hundredth with each."""
SCENES: dict[str, Case] = {
    "success": Case("", fates=(SLOWLY,)),
    "done at the first look": Case("", fates=({"latency": 0.0},)),
    "reply lost": Case("", fates=({"answer": "silent", **SLOWLY},)),
    "throttled once": Case("", fates=({"answer": "throttled"}, SLOWLY)),
    "rejected": Case("", fates=({"answer": "rejected"},)),
    "input refused": Case("", fates=({"answer": "refused"},)),
    "failed at once": Case("", fates=({"latency": 0.0, "ending": "failed", "charged": True},)),
    "failed later": Case("", fates=({**SLOWLY, "ending": "failed", "charged": False}, SLOWLY), options={"retries": 1}),
    "output refused at once": Case("", fates=({"latency": 0.0, "ending": "refused", "charged": True},)),
    "output refused later": Case("", fates=({**SLOWLY, "ending": "refused", "charged": None},)),
    "cancelled": Case("", fates=({"reply": 1.0, "latency": 1.0},), cancels=True),
    "cancelled while it runs": Case("", fates=({"latency": 2.0, "lost_polls": 1},), cancels=True),
    "file cut once": Case("", fates=({"latency": 0.0, "bad_files": 1},)),
    "file always cut": Case("", fates=({"latency": 0.0, "bad_files": -1},)),
    "link expired": Case("", fates=({"latency": 0.0, "link": "expired"},)),
    "bill above the estimate": Case("", fates=({**SLOWLY, "tells": True, "factor": 140},)),
}  # fmt: skip
ELSEWHERE = {
    (State.RESERVED, State.CANCELLED), (State.UPLOADING, State.CANCELLED), (State.RESERVED, State.REJECTED),
    (State.UPLOADING, State.REJECTED), (State.RUNNING, State.CANCELLED), (State.UNKNOWN, State.REJECTED), (State.UNKNOWN, State.REFUSED),
}  # fmt: skip
"""Moves that take a caller, or a sleeper, with better timing than a process here has: the histories make them."""


@pytest.fixture(scope="module")
def mother() -> Iterator[Mother]:
    with Mother() as mother:
        yield mother


def at(case: Case, home: Path, point: str = "", nth: int = 1) -> Case:
    """The case in a fresh home with a fresh ledger, to be killed at a point."""
    home.mkdir(parents=True)
    if case.url:
        postgres.empty()
    return Case(**{**case.__dict__, "home": str(home), "point": point, "nth": nth})


def passed(mother: Mother, case: Case, home: Path) -> list[tuple[str, int]]:
    """The points of a case, each with its number among those of its name."""
    told = mother.run(at(case, home))[0]
    assert 0 == told.status
    counts: Counter[str] = Counter()
    found = []
    for point in told.points:
        counts[point] += 1
        found.append((point, counts[point]))
    return found


def look(case: Case, told: list[Told]) -> list[str]:
    """What is wrong after everybody has come and gone."""
    ledger, books = Ledger(case.ledger), Books(case.books)
    try:
        found = [f"a process that came after ended with {one.status}" for one in told if one.status != 0]
        found += audit(books, ledger)
        for job in ledger.jobs():
            if job.state == State.UNKNOWN:
                if case.model[0].endswith(("exact", "listed")) and any(
                    one.remote_id for one in books.of_job(job.id)
                ):
                    found.append(f"{job.id} is unknown, and the vendor would have told")
            elif State(job.state) not in ENDS:
                found.append(f"{job.id} is still {job.state}")
        for run in ledger.runs():
            unknown = any(job.state == State.UNKNOWN for job in ledger.jobs(run_id=run["id"]))
            if run["state"] == "open" and not unknown:
                found.append(f"{run['id']} is open, and nothing is to come")
        return found
    finally:
        books.close()
        ledger.close()


def kill_everywhere(mother: Mother, case: Case, folder: Path, *, only: int = 0) -> None:
    """Play it, then play it again for each point (or every so many), killed there; then others come. All is well each time."""
    wrong, killed = [], 0
    for number, (point, nth) in enumerate(passed(mother, case, folder / "whole")):
        if only and number % only:
            continue
        doomed = at(case, folder / str(number), point, nth)
        dead = mother.run(doomed)[0]
        if dead.status != -9:  # a race of its threads took it past the point in another order
            continue
        killed += 1
        after = mother.run(doomed.then("resume"))
        if case.key is not None:
            after += mother.run(doomed.then("join"))
        wrong += [f"killed at {point} ({nth}): {finding}" for finding in look(doomed, after)]
    assert [] == wrong
    assert killed


class TestASuccess:
    @pytest.mark.slow
    def test_on_a_shared_ledger(self, mother: Mother, tmp_path: Path) -> None:
        """The same on PostgreSQL, at every other point."""
        url = postgres.url_of(postgres.empty())
        kill_everywhere(mother, Case("", key="order-1", fates=(SLOWLY,), url=url), tmp_path, only=2)

    @pytest.mark.slow
    @pytest.mark.parametrize("scene", ["reply lost", "failed later", "cancelled", "file cut once"])
    def test_of_other_ends_on_a_shared_ledger(self, mother: Mother, tmp_path: Path, scene: str) -> None:
        """Whatever becomes of it, at every fourth point."""
        url = postgres.url_of(postgres.empty())
        kill_everywhere(
            mother, Case(**{**SCENES[scene].__dict__, "key": "order-1", "url": url}), tmp_path, only=4
        )

    def test_killed_at_every_point_and_joined_by_its_key(self, mother: Mother, tmp_path: Path) -> None:
        """Taken up by whoever resumes, and again by whoever has the key: it is sent once at most, and comes home."""
        kill_everywhere(mother, Case("", key="order-1", fates=(SLOWLY,)), tmp_path)

    @pytest.mark.parametrize("model", ["north/many-listed", "north/blind"])
    def test_of_other_kinds(self, mother: Mother, tmp_path: Path, model: str) -> None:
        """Several clips of one job found in a list; a vendor that cannot be asked."""
        kill_everywhere(
            mother,
            Case("", model=(model,), candidates=3 if "many" in model else 1, fates=(SLOWLY,)),
            tmp_path,
            only=3,
        )


def test_the_points_are_those_of_the_table_of_moves(mother: Mother, tmp_path: Path) -> None:
    """Every move that a process can make by itself is passed before and after, here or by one that takes up the work of the dead."""
    seen: set[str] = set()
    for number, case in enumerate(SCENES.values()):
        seen |= {point for point, _ in passed(mother, case, tmp_path / str(number))}
    for number, point in enumerate(("record after", "reserved>uploading after", "uploading>sending after")):
        doomed = at(SCENES["success"], tmp_path / f"dead-{number}", point)
        mother.run(doomed)
        seen |= set(mother.run(doomed.then("resume"))[0].points)
    wanted = {
        (move.source, move.target)
        for move in MOVES
        if move.source is not None
        and move.target is not State.LOST
        and not (move.by_hand or move.in_process_only)
    }
    missing = {
        f"{source}>{target} {when}"
        for source, target in wanted - ELSEWHERE
        for when in ("before", "after")
        if f"{source}>{target} {when}" not in seen
    }
    assert set() == missing
    assert 20 <= len({point for point in seen if ">" in point})


@pytest.mark.slow
@pytest.mark.parametrize("model", ["exact", "blind"])
@pytest.mark.parametrize("scene", SCENES)
def test_killed_all_along_the_way(mother: Mother, tmp_path: Path, scene: str, model: str) -> None:
    """Whatever becomes of the submit, on a vendor that can be searched and one that cannot, at every fourth point."""
    case = Case(**{**SCENES[scene].__dict__, "model": (f"north/{model}",), "key": "order-1"})
    kill_everywhere(mother, case, tmp_path, only=4)


@pytest.mark.exhaustive
@pytest.mark.parametrize("key", [None, "order-1"], ids=["without key", "with key"])
@pytest.mark.parametrize("model", ["exact", "listed", "blind"])
@pytest.mark.parametrize("candidates", [1, 5])
@pytest.mark.parametrize("scene", SCENES)
def test_killed_at_every_point(
    mother: Mother, tmp_path: Path, scene: str, candidates: int, model: str, key: str | None
) -> None:
    """Whatever becomes of the submit, however it can be found again, alone or with several clips, with and without key."""
    name = f"north/{'many-' if candidates > 1 else ''}{model}"
    case = Case(**{**SCENES[scene].__dict__, "model": (name,), "candidates": candidates, "key": key})
    kill_everywhere(mother, case, tmp_path)


@pytest.mark.parametrize(
    ("model", "every"),
    [
        pytest.param("north/exact", 5, marks=pytest.mark.slow),
        pytest.param("north/many-blind", 5, marks=pytest.mark.slow),
        *(
            pytest.param(f"north/{name}", 1, marks=pytest.mark.exhaustive)
            for name in ("exact", "listed", "many-blind")
        ),
    ],
)
def test_killed_twice(mother: Mother, tmp_path: Path, model: str, every: int) -> None:
    """Whoever takes up the work of the dead may die over it."""
    case = Case("", model=(model,), candidates=2, key="order-1", fates=(SLOWLY,))
    wrong = []
    for number, point in enumerate(
        (
            "record after",
            "uploading>sending after",
            "submit after",
            "sending>accepted after",
            "fetch after",
            "publish after",
        )
    ):
        first = at(case, tmp_path / f"{number}", point)
        mother.run(first)
        points = mother.run(first.then("resume"))[0].points
        for place in range(number % every, len(points), every):
            nth = points[: place + 1].count(points[place])
            again = at(case, tmp_path / f"{number}-{place}", point)
            assert -9 == mother.run(again)[0].status
            second = Case(**{**again.then("resume").__dict__, "point": points[place], "nth": nth})
            mother.run(second)
            after = mother.run(again.then("resume"), again.then("join"))
            wrong += [
                f"killed at {point}, then at {points[place]} ({nth}): {finding}"
                for finding in look(again, after)
            ]
    assert [] == wrong


@pytest.mark.parametrize(
    ("model", "every"),
    [
        *(pytest.param(f"north/{name}", 4, marks=pytest.mark.slow) for name in ("exact", "listed", "blind")),
        *(pytest.param(f"north/{name}", 1, marks=pytest.mark.exhaustive) for name in ("exact", "listed", "blind")),
    ],
)  # fmt: skip
def test_taken_up_by_many_at_once(mother: Mother, tmp_path: Path, model: str, every: int) -> None:
    """Four that resume and four with the key fall upon the work of a dead process together: one submit, one clip."""
    case = Case("", model=(model,), key="order-1", fates=(SLOWLY,))
    wrong = []
    for number, (point, nth) in enumerate(passed(mother, case, tmp_path / "whole")[::every]):
        doomed = at(case, tmp_path / str(number), point, nth)
        if -9 != mother.run(doomed)[0].status:
            continue
        after = mother.run(*[doomed.then("resume")] * 4, *[doomed.then("join")] * 4)
        wrong += [f"killed at {point} ({nth}): {finding}" for finding in look(doomed, after)]
    assert [] == wrong
