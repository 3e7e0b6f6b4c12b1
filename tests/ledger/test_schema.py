"""The tables: what migrations create is what statements are built for, and what later features need is there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Inspector, create_engine, inspect, select, text
from sqlalchemy.dialects import sqlite

from tests.ledger.rows import NOW, job_row, run_row
from vidorch.databases import DatabaseUrl
from vidorch.latencies import Took
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.migrations import MIGRATIONS, Migration, migrate, spelt
from vidorch.ledger.schema import meta, metadata

RELEASED = {
    "0001_ground": "e95c5b50f0960b8d76247d2468edac1a55a1779f76ccd7e8aa5ece078fe536e2",
    "0002_budgets": "569d830060d93c9abf71e06a336052fd51c3db331f151888352eab999523cd69",
    "0003_quick_at_any_size": "9610349cb64f5914f591d0d90d44030950b3da150e33116213c0b36347601d2c",
    "0004_last_seen_working": "07a922a8538301bdf02434e164eb0b6838111e9726cf0f63e0eb07fd8e4096c9",
    "0005_fewer_pages": "6384a5bdbb3f21fecfe5d048c7ff5e1050ecbf3a60c94e2c01d75c047bc2ced2",
    "0006_sent_in_a_minute": "cde3242acf566a0e875bef0bf490d124fa993180a0075b52eaa0b235e02992dc",
}
"""SHA-256 of each released migration. A line is added with a new migration; none is ever changed."""

NEEDED = {
    "runs": "id kind parent_id position scope key state version request request_hash plan estimate options tags notes candidates max_cost cost "
    "imputed chosen_output output home owner lease_until trace error mock created_at updated_at ended_at",
    "jobs": "id run_id candidate attempt scope endpoint account provider model task route state version settings settings_hash samples "
    "seed remote_id details token possible_ids outlives_caller find owner lease_until host process deadline poll_at polls progress "
    "stage estimate_low estimate estimate_high quote cost cost_basis billed charged price_as_of error error_code error_stage "
    "error_text request_id timings trace created_at uploading_at sending_at accepted_at running_at downloading_at ended_at updated_at "
    "working_at",
    "outputs": "id run_id job_id number state uri ref media_type size sha256 width height frames fps duration has_audio seed cost scores "
    "reason expires_at created_at",
    "events": "id run_id job_id at kind source target version data",
    "reservations": "id run_id job_id budget_id scope state amount settled basis period created_at updated_at root_id",
    "balances": "account day held settled",
    "budgets": "id name scope amount per created_at updated_at",
    "deliveries": "id endpoint scope delivery_id token remote_id job_id body_hash received_at handled_at",
    "meta": "name value",
}
"""What rows written today must hold for features of tomorrow: keys, leases, budgets, deliveries, films, latencies."""


@pytest.fixture
def made(place: Path | DatabaseUrl) -> Iterator[Inspector]:
    """A look at the tables that the migrations made."""
    Ledger(place).close()
    engine = create_engine(f"sqlite:///{place}" if isinstance(place, Path) else _sqlalchemys(place))
    yield inspect(engine)
    engine.dispose()


def _sqlalchemys(place: DatabaseUrl) -> URL:
    given = place.settings
    return URL.create(
        "postgresql+psycopg",
        given["user"],
        given.get("password"),
        given["host"],
        int(given["port"]),
        given["dbname"],
    )


def _hash(migration: Migration) -> str:
    return hashlib.sha256("\n".join((migration.name, *migration.statements)).encode()).hexdigest()


class TestMigrations:
    def test_append_only(self) -> None:
        """A released migration is never edited, only followed by another."""
        assert RELEASED == {migration.name: _hash(migration) for migration in MIGRATIONS}

    def test_names_are_in_order(self) -> None:
        """Migrations are numbered, and no number is used twice."""
        assert [f"{number:04}" for number in range(1, len(MIGRATIONS) + 1)] == [
            m.name.partition("_")[0] for m in MIGRATIONS
        ]

    def test_noted(self, place: Path | DatabaseUrl) -> None:
        """What was applied is noted, once, however often the ledger is opened."""
        for _ in range(3):
            Ledger(place).close()
        ledger = Ledger(place)
        names = ledger._store.read(
            lambda db: [row["name"] for row in db.rows(select(meta.c.name).order_by(meta.c.name))]
        )
        ledger.close()
        names = [name for name in names if name.startswith("migration:")]
        assert [f"migration:{m.name}" for m in MIGRATIONS] == names


class TestALedgerFromBefore:
    def test_keeps_what_jobs_took(self, path: Path) -> None:
        """Rows from before it was noted when a job was last seen at work count on, and that is not known of them."""
        create = create_engine(f"sqlite:///{path}")
        with create.begin() as connection:
            migrate(connection, {MIGRATIONS[-1].name})
            for row, table in ((run_row(), "runs"), (_took_a_minute(), "jobs")):
                names = ", ".join(f'"{name}"' for name in row)
                values = ", ".join(f":{name}" for name in row)
                connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)
        create.dispose()
        ledger = Ledger(path)
        known = ledger.latencies("fal", "kling", task="text-to-video")
        ledger.close()
        assert [Took(60.0, None)] == known


def _took_a_minute() -> dict[str, Any]:
    return job_row(state="settled", accepted_at=NOW, downloading_at=NOW + 60, ended_at=NOW + 61)


class TestTablesAreWhatWeSay:
    def test_the_tables(self, made: Inspector) -> None:
        """Nine tables, by these names."""
        assert sorted(NEEDED) == sorted(made.get_table_names()) == sorted(metadata.tables)

    @pytest.mark.parametrize("table", sorted(NEEDED))
    def test_columns_that_are_needed(self, table: str) -> None:
        """Every column that a later feature reads is there."""
        assert set(NEEDED[table].split()) <= set(metadata.tables[table].c.keys())

    @pytest.mark.parametrize("table", sorted(NEEDED))
    def test_columns(self, made: Inspector, table: str) -> None:
        """Name, type, and whether it may be empty: the same in migrations and in statements."""
        dialect: Any = sqlite.dialect()
        expected = [
            (
                column.name,
                _affinity(column.type.compile(dialect)),
                bool(column.nullable),
                bool(column.primary_key),
            )
            for column in metadata.tables[table].c
        ]
        keys = made.get_pk_constraint(table)["constrained_columns"]
        found = [
            (
                column["name"],
                _affinity(column["type"].compile(dialect)),
                column["nullable"],
                column["name"] in keys,
            )
            for column in made.get_columns(table)
        ]
        assert expected == found

    @pytest.mark.parametrize("table", sorted(NEEDED))
    def test_indexes(self, made: Inspector, table: str) -> None:
        """The same indexes, over the same columns in the same order."""
        expected = {
            (str(index.name), tuple(column.name for column in index.columns))
            for index in metadata.tables[table].indexes
        }
        assert expected == {
            (str(index["name"]), tuple(map(str, index["column_names"]))) for index in made.get_indexes(table)
            if not index.get("duplicates_constraint")  # as PostgreSQL tells of what may not repeat
        }  # fmt: skip

    @pytest.mark.parametrize("table", sorted(NEEDED))
    def test_unique(self, made: Inspector, table: str) -> None:
        """The same columns may not repeat."""
        from sqlalchemy import UniqueConstraint

        expected = {
            (str(one.name), tuple(column.name for column in one.columns))
            for one in metadata.tables[table].constraints
            if isinstance(one, UniqueConstraint)
        }
        assert expected == {
            (str(one["name"]), tuple(one["column_names"])) for one in made.get_unique_constraints(table)
        }

    @pytest.mark.parametrize("table", sorted(NEEDED))
    def test_references(self, made: Inspector, table: str) -> None:
        """The same columns refer to the same tables."""
        expected = {(key.parent.name, key.target_fullname) for key in metadata.tables[table].foreign_keys}
        found = {
            (key["constrained_columns"][0], f"{key['referred_table']}.{key['referred_columns'][0]}")
            for key in made.get_foreign_keys(table)
        }
        assert expected == found

    def test_what_may_not_repeat(self) -> None:
        """One run per key and scope, one job per remote id, one delivery per vendor's delivery."""
        names = {str(one.name) for table in metadata.tables.values() for one in table.constraints if one.name}
        assert {
            "runs_key",
            "jobs_remote",
            "jobs_attempt",
            "outputs_number",
            "budgets_name",
            "deliveries_once",
        } <= names

    @pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
    def test_statements_fit_both_databases(self, dialect: str) -> None:
        """No placeholder is left open in either database."""
        filled = [spelt(statement, dialect) for migration in MIGRATIONS for statement in migration.statements]
        assert not [statement for statement in filled if "{" in statement]


def _affinity(kind: str) -> str:
    """SQLite's own rule: https://www.sqlite.org/datatype3.html, section 3.1."""
    kind = kind.upper()
    if "INT" in kind:
        return "integer"
    if any(word in kind for word in ("CHAR", "CLOB", "TEXT")):
        return "text"
    return "real" if any(word in kind for word in ("REAL", "FLOA", "DOUB")) else kind
