"""How statements reach the database: rows that nobody waits for go together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from tests.ledger.rows import NOW
from vidorch.databases import DatabaseUrl
from vidorch.ledger.database import Work
from vidorch.ledger.history import event_row
from vidorch.ledger.schema import balances, events
from vidorch.ledger.session import Session
from vidorch.ledger.store import Store

EVENTS = select(events.c.kind).order_by(events.c.id)
BALANCES = select(balances.c.account).order_by(balances.c.account)
NEW_BALANCE = insert(balances).inline()


def event(kind: str) -> dict[str, Any]:
    """A row of `events`."""
    return event_row(NOW, "run_1", None, kind, None, None, None)


def balance(account: str) -> dict[str, Any]:
    """A row of `balances`; no two have the same account and day."""
    return {"account": account, "day": "2026-11-26", "held": 1, "settled": 0}


@pytest.fixture
def store(place: Path | DatabaseUrl) -> Iterator[Store]:
    opened = Store(place)
    yield opened
    opened.close()


def together(store: Store, *works: Work[Any]) -> list[Future[Any]]:
    """Have all of them carried out in one transaction."""
    begun, go = threading.Event(), threading.Event()

    def wait(db: Session) -> None:
        begun.set()
        assert go.wait(30)

    first = store.write(wait)
    assert begun.wait(30)
    futures = [store.write(work) for work in works]
    go.set()
    first.result(30)
    for future in futures:
        future.exception(30)
    return futures


def kinds(store: Store) -> list[str]:
    """What `events` holds, in order."""
    return store.read(lambda db: [row["kind"] for row in db.rows(EVENTS)])


class TestLater:
    def test_all_rows_come_in_order(self, store: Store) -> None:
        """However many there are."""
        words = [f"kind {number}" for number in range(150)]
        together(store, *(lambda db, word=word: db.later(events, event(word)) for word in words))
        assert words == kinds(store)

    def test_a_statement_that_names_the_table_sees_them(self, store: Store) -> None:
        """Within the transaction that is to bring them."""
        give, ask = together(
            store,
            lambda db: db.later(events, event("given")),
            lambda db: [row["kind"] for row in db.rows(EVENTS)],
        )
        assert (None, ["given"]) == (give.result(), ask.result())

    def test_what_a_failed_write_gave_is_dropped(self, store: Store) -> None:
        """It had changed nothing yet; what the others gave stays."""

        def fails(db: Session) -> None:
            db.later(events, event("of one that fails"))
            raise ZeroDivisionError

        together(
            store,
            lambda db: db.later(events, event("before")),
            fails,
            lambda db: db.later(events, event("after")),
        )
        assert ["before", "after"] == kinds(store)

    def test_what_a_write_gave_that_failed_half_way_is_dropped(self, store: Store) -> None:
        """With what it had changed."""

        def fails(db: Session) -> None:
            db.later(events, event("of one that fails"))
            db.run(NEW_BALANCE, balance("of one that fails"))
            raise ZeroDivisionError

        together(store, lambda db: db.later(events, event("before")), fails)
        assert (["before"], []) == (kinds(store), store.read(lambda db: db.rows(BALANCES)))

    def test_a_row_that_cannot_be_written_fails_its_own_write_alone(self, store: Store) -> None:
        """The others of the transaction are on disk."""
        first, again, other = together(
            store,
            lambda db: db.later(balances, balance("a")),
            lambda db: db.later(balances, balance("a")),
            lambda db: db.later(balances, balance("b")),
        )
        accounts = store.read(lambda db: [row["account"] for row in db.rows(BALANCES)])
        kinds = {kind.__name__ for kind in type(again.exception()).__mro__}
        assert (None, True, None, ["a", "b"]) == (
            first.exception(), "IntegrityError" in kinds, other.exception(), accounts,
        )  # fmt: skip


class TestKnown:
    def test_holds_for_one_transaction(self, store: Store) -> None:
        """Other processes write between two."""

        def note(db: Session) -> None:
            db.known["budgets"] = [1]

        noted, asked = together(store, note, lambda db: dict(db.known))
        later = store.write(lambda db: dict(db.known))
        assert (None, {"budgets": [1]}, {}) == (noted.result(), asked.result(), later.result(30))

    def test_is_forgotten_when_a_write_fails(self, store: Store) -> None:
        """It may have been read from what is taken back."""

        def fails(db: Session) -> None:
            db.known["budgets"] = [1]
            raise ZeroDivisionError

        _, asked = together(store, fails, lambda db: dict(db.known))
        assert {} == asked.result()
