"""No cap is passed, by however many processes at once: see `spending`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import postgres
from tests.promises.spending import BUDGETS, Told, Trial, audit_caps, begin, spend, spenders
from vidorch.home import ledger_path
from vidorch.ledger import accounts
from vidorch.ledger.ledger import Ledger


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The ledger of this test, on both databases."""
    return str(tmp_path / "ledger.db") if request.param == "sqlite" else postgres.url_of(postgres.empty())


def tried(place: str, processes: int, reservations: int, *, deaths: int) -> list[str]:
    """All that is wrong with it, while they spent and afterwards."""
    begin(place)
    trials = [
        Trial(
            place, number, reservations, seed=1, dies_after=reservations * (number + 1) // processes // 2
            if number < deaths else None,
        )
        for number in range(processes)
    ]  # fmt: skip
    ledger = Ledger(ledger_path(place, Path()))
    try:
        found: list[str] = []
        told: list[Told] = []
        for told in spenders(trials):  # noqa: B007  (what it is in the end is looked at below)
            found += ledger._store.read(lambda db: audit_caps(db, whole=False))
        found += ledger._store.read(audit_caps)
        assert (processes, deaths) == (len(told), sum(one.heir for one in told))
        refusing = {name for one in told for name in one.over}
        assert {"max_cost", *(budget.name for budget in BUDGETS)} == refusing  # or it would prove nothing
        assert all(one.reserved for one in told)
    finally:
        ledger.close()
    return found


def test_four_processes_pass_no_cap(place: str) -> None:
    """Two thousand reservations of odd amounts, two of the four killed on the way: not one millionth too much, at any moment."""
    assert [] == tried(place, 4, 500, deaths=2)


@pytest.mark.slow
def test_eight_processes_pass_no_cap(place: str) -> None:
    """The same with sixteen thousand; `benchmarks/spending.py` makes it eighty thousand."""
    assert [] == tried(place, 8, 2_000, deaths=4)


def test_a_check_that_is_not_made_is_found(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial can fail: where nothing must fit, caps are passed."""
    begin(place)
    monkeypatch.setattr(accounts, "_must_fit", lambda *_: None)
    spend(Trial(place, 0, 300))
    ledger = Ledger(ledger_path(place, Path()))
    assert any("reported overruns" in finding for finding in ledger._store.read(audit_caps))
    ledger.close()


def test_a_sum_that_is_wrong_is_found(place: str) -> None:
    """One millionth more or less than the rows say is seen."""
    begin(place)
    spend(Trial(place, 0, 100))
    ledger = Ledger(ledger_path(place, Path()))
    ledger._store.write(
        lambda db: db.raw.execute("UPDATE balances SET held = held + 1 WHERE day > ''")
    ).result()
    assert any("add up to" in finding for finding in ledger._store.read(audit_caps))
    ledger.close()
