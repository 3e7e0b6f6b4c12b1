"""What only a database has that several machines share: a way there that may be lost, a clock of its own, and rivals."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from sqlalchemy import select

from tests import postgres
from tests.ledger.rows import NOW, a_job, found, job_row, run_row
from tests.ledger.wires import Wire
from vidorch.databases import DatabaseUrl
from vidorch.errors import LedgerUnavailable
from vidorch.ledger import glance, migrations
from vidorch.ledger import postgres as ours
from vidorch.ledger.glance import finished_jobs
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.migrations import Migration
from vidorch.ledger.moves import State
from vidorch.ledger.schema import TABLES, runs
from vidorch.ledger.session import Session
from vidorch.ledger.store import database_of

ROOT = Path(__file__).parents[2]
SOON = 0.05
"""Seconds of patience where there is nothing to wait for."""


@pytest.fixture
def place() -> DatabaseUrl:
    """The ledger of this test."""
    return postgres.empty()


@pytest.fixture(scope="module")
def stoppable() -> Iterator[postgres.Server]:
    """A server that tests stop and start."""
    server = postgres.own_server()
    yield server
    server.close()


def refused(place: DatabaseUrl, **more: float) -> str:
    """What is said about a database that cannot be a ledger. Nothing was charged."""
    with pytest.raises(LedgerUnavailable) as caught:
        Ledger(place, **more)
    assert caught.value.charged is False
    assert caught.value.hint
    return str(caught.value)


def other(place: DatabaseUrl, **settings: str) -> DatabaseUrl:
    """The same place but for some settings."""
    return DatabaseUrl({**place.settings, **settings})


def said_by(said: str, *words: str) -> list[str]:
    """Those of the words that are not there."""
    return [word for word in words if word not in said]


@pytest.mark.parametrize(
    ("required", "outcome"), [(False, pytest.skip.Exception), (True, pytest.fail.Exception)]
)
def test_where_there_is_no_server(
    monkeypatch: pytest.MonkeyPatch, required: bool, outcome: type[BaseException]
) -> None:
    """These tests are skipped with the reason; where they have to be run, they fail."""
    monkeypatch.setattr(postgres, "REQUIRED", required)
    monkeypatch.setattr(postgres, "_found", lambda: "No PostgreSQL here.")
    with pytest.raises(outcome, match="No PostgreSQL here"):
        postgres.server()


class TestWhatCannotBeALedger:
    def test_no_server(self, place: DatabaseUrl) -> None:
        """A server that does not answer is named, at once."""
        said = refused(other(place, port="1"))
        assert [] == said_by(said, "127.0.0.1:1/", "cannot be reached", "Start the server")

    def test_no_database(self, place: DatabaseUrl) -> None:
        """So is a database that is not there."""
        assert [] == said_by(refused(other(place, dbname="nowhere")), "no such database", "createdb")

    def test_a_wrong_password_is_not_repeated(self, place: DatabaseUrl) -> None:
        """Nor is any part of it, in whatever is said or shown."""
        wrong = "wr0ng @/:% word"
        with pytest.raises(LedgerUnavailable) as caught:
            Ledger(other(place, user="guarded", password=wrong))
        said = f"{caught.value!r} {caught.value} {caught.value.__cause__} {other(place, password=wrong)!r}"
        assert ([], False, False) == (
            said_by(said, "guarded", "lets nobody in"), wrong in said, "wr0ng" in said,
        )  # fmt: skip

    def test_no_rights_to_make_tables(self) -> None:
        """Whoever may not make the tables is told who can."""
        place = other(postgres.new_database(), user="guarded", password=postgres.SECRET)
        postgres.execute(
            other(place, user="vidorch", password=""), "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
        )
        assert [] == said_by(refused(place), "there are no rights", "GRANT CREATE")

    def test_no_rights_to_write(self) -> None:
        """Rights that are lacking show when it is opened, not at the first payment."""
        place = postgres.new_database()
        Ledger(place).close()
        postgres.execute(place, "GRANT SELECT ON meta TO guarded")
        said = refused(other(place, user="guarded", password=postgres.SECRET))
        assert [] == said_by(said, "no rights to read and change", "reservations", "GRANT SELECT, INSERT")

    def test_somebody_elses_tables(self) -> None:
        """A schema with other tables is left as it is."""
        place = postgres.new_database()
        postgres.execute(place, "CREATE TABLE recipes (name TEXT)")
        said = refused(place)
        tables = postgres.execute(
            place,
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
        )
        assert ([], [("recipes",)]) == (said_by(said, "not a vidorch ledger", "search_path=vidorch"), tables)

    def test_somebody_elses_table_of_our_name(self) -> None:
        """So is one whose `meta` is not ours."""
        place = postgres.new_database()
        postgres.execute(place, "CREATE TABLE meta (title TEXT)")
        assert "not a vidorch ledger" in refused(place)

    def test_a_newer_ledger(self) -> None:
        """A ledger of a newer version is named as such."""
        place = postgres.new_database()
        Ledger(place).close()
        postgres.execute(place, "INSERT INTO meta VALUES ('migration:9999_future', 'applied')")
        assert "written by a newer vidorch (it knows 9999_future). It was left as it is." in refused(place)

    def test_another_encoding(self) -> None:
        """Text has to be held whole."""
        place = postgres.new_database("ENCODING 'SQL_ASCII' TEMPLATE template0")
        assert [] == said_by(refused(place), "SQL_ASCII", "ENCODING 'UTF8'")

    @pytest.mark.parametrize("setting", ["autocommit", "row_factory", "colour"])
    def test_a_setting_that_does_not_exist(self, place: DatabaseUrl, setting: str) -> None:
        """What stands behind the URL is for the server's library, and it knows none of these."""
        assert setting in refused(other(place, **{setting: "1"}))

    def test_no_schema(self, place: DatabaseUrl) -> None:
        """A search path that leads nowhere is said to."""
        assert "no schema to lie in" in refused(other(place, options="-csearch_path=nowhere"))

    def test_only_read(self, place: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server that only reads is found out when it is opened."""
        Ledger(place).close()
        statements = ours._LOOK.replace("pg_is_in_recovery()", "true")
        monkeypatch.setattr(ours, "_LOOK", statements)
        assert [] == said_by(refused(place), "is a standby", "target_session_attrs=read-write")

    def test_without_the_package(self, place: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where psycopg is missing it is named with its extra, and plans are made all the same."""
        really = builtins.__import__

        def without(name: str, *more: Any) -> Any:
            if name.partition(".")[0] == "psycopg":
                raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")
            return really(name, *more)

        monkeypatch.delitem(sys.modules, "vidorch.ledger.postgres", raising=False)
        monkeypatch.setattr(builtins, "__import__", without)
        assert ([], []) == (
            said_by(refused(place), "No module named 'psycopg'", "pip install 'vidorch[postgres]'"), finished_jobs(place),
        )  # fmt: skip


class TestWhereItLies:
    def test_in_a_schema(self) -> None:
        """`?options=-csearch_path=...` gives it a schema of its own, beside other tables and other ledgers."""
        place = postgres.new_database()
        postgres.execute(place, "CREATE TABLE jobs (name TEXT)")
        for name in ("one", "two"):
            postgres.execute(place, f"CREATE SCHEMA {name}")
            ledger = Ledger(
                DatabaseUrl.read(f"{postgres.url_of(place)}?options=-csearch_path%3D{name},public")
            )
            a_job(ledger)
            ledger.close()
        rows = postgres.execute(
            place, "SELECT (SELECT count(*) FROM one.jobs), (SELECT count(*) FROM two.jobs)"
        )
        assert [(1, 1)] == rows

    def test_is_there(self) -> None:
        """Looking makes nothing."""
        place = postgres.new_database()
        before, tables = database_of(place).is_there(), postgres.execute(place, "SELECT to_regclass('meta')")
        Ledger(place).close()
        assert (False, [(None,)], True) == (before, tables, database_of(place).is_there())

    def test_with_a_password(self) -> None:
        """One of any characters, and it is shown nowhere."""
        place = other(postgres.new_database(), user="guarded", password=postgres.SECRET)
        postgres.execute(other(place, user="vidorch", password=""), "GRANT CREATE ON SCHEMA public TO PUBLIC")
        read = DatabaseUrl.read(postgres.url_of(place))
        ledger = Ledger(read)
        a_job(ledger)
        ledger.close()
        assert (postgres.SECRET, False) == (
            read.settings["password"],
            "s3cret" in f"{read} {read!r} {read.settings['user']}",
        )

    def test_whose_connections_they_are(self, place: DatabaseUrl) -> None:
        """They bear our name, whatever else uses the server; there are at most three."""
        ledger = Ledger(other(place, application_name="somebody"))
        ledger.flush()
        barrier = threading.Barrier(2)

        def look(db: Session) -> None:
            barrier.wait(30)
            db.rows(select(runs))

        readers = [threading.Thread(target=ledger._store.read, args=(look,)) for _ in range(4)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        names = postgres.execute(
            place,
            "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        ledger.close()
        assert [("vidorch",)] * 3 == names

    def test_no_statement_is_cut_off(self) -> None:
        """Whatever the database's own settings say, statements are not timed and what is committed is on disk."""
        place = postgres.new_database()
        for name, value in (
            ("statement_timeout", "1ms"),
            ("synchronous_commit", "off"),
            ("default_transaction_isolation", "serializable"),
        ):
            postgres.execute(place, f"ALTER DATABASE {place.settings['dbname']} SET {name} = '{value}'")
        ledger = Ledger(place)
        shown = ledger._store.write(
            lambda db: [
                db.raw.execute(f"SHOW {name}").fetchone()[0]
                for name in ("statement_timeout", "synchronous_commit", "transaction_isolation")
            ]
        ).result()
        ledger.close()
        assert ["0", "on", "read committed"] == shown


def _when_patience_ends(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]) -> None:
    """Do something at the moment when a ledger stops waiting for its server."""
    database: Any = ledger._store.database
    really = database.patiently

    def patiently(attempt: Callable[[], Any], **more: bool) -> Any:
        try:
            return really(attempt, **more)
        except psycopg.Error:
            then()
            raise

    monkeypatch.setattr(database, "patiently", patiently)


_FAILS = """
    CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'so' USING ERRCODE = '{code}'; END $$;
    CREATE TRIGGER fails BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION fails()
"""


class TestText:
    @pytest.fixture(params=["sqlite", "postgresql"])
    def place(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path | DatabaseUrl:
        return tmp_path / "ledger.db" if request.param == "sqlite" else postgres.empty()

    def test_character_zero(self, ledger: Ledger) -> None:
        """What a vendor sends that PostgreSQL cannot hold is kept as the sign for what cannot be read, on both."""
        job = a_job(ledger)
        said = {"error_text": "a\0b", "error_code": "\0", "charged": 0}
        ledger.move(job, State.REJECTED, NOW, changes=said).result()
        kept = found(ledger, job.id)
        assert ("a\ufffdb", "\ufffd") == (kept.error_text, kept.error_code)

    def test_character_zero_of_a_prompt(self, ledger: Ledger) -> None:
        """A prompt comes back as it was, on both: it is kept as JSON."""
        ledger.record(run_row(request='{"prompt": "a\\u0000b \\ud83d\\ude00"}'), at=NOW).result()
        assert "a\0b \U0001f600" == (ledger.run("run_1") or {})["request"]["prompt"]

    def test_character_zero_in_a_question(self, ledger: Ledger) -> None:
        """Nothing has such a key, and to ask is no error."""
        assert None is ledger.run_by_key("default", "a\0b")

    def test_words_are_in_order_of_their_letters(self, ledger: Ledger) -> None:
        """Upper case before lower case and no rule of any language, so that ids are found by their beginning on both."""
        names = ["a-1", "B-1", "a_1", "Z", "ä", "b-1", "a"]
        for name in names:
            ledger.record(run_row(name), at=NOW).result()
        assert (sorted(names, reverse=True), [("run", "B-1")]) == (
            [run["id"] for run in ledger.runs()], ledger.find("B"),
        )  # fmt: skip

    @pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
    def test_whatever_others_write_in(self, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A machine that talks to its servers in another encoding loses no word of a vendor's."""
        place = postgres.empty()
        monkeypatch.setenv("PGCLIENTENCODING", encoding)
        ledger = Ledger(place)
        job = a_job(ledger)
        ledger.move(job, State.REJECTED, NOW, changes={"error_text": "内容被拒绝", "charged": 0}).result()
        kept = found(ledger, job.id).error_text
        ledger.close()
        assert "内容被拒绝" == kept

    def test_large_numbers(self, ledger: Ledger) -> None:
        """Money beyond what four bytes hold, and seconds to the last bit."""
        at = NOW + 0.123456
        run = run_row(max_cost=9_007_199_254_740_993, created_at=at)
        ledger.record(run, [job_row(seed=2**62)], cap=Decimal(9), at=at).result()
        row = ledger.run("run_1") or {}
        assert (Decimal("9007199254.740993"), at, 2**62) == (
            row["max_cost"],
            row["created_at"],
            found(ledger, "job_1").seed,
        )


class TestALostConnection:
    @pytest.mark.parametrize(("how", "times"), [("before", 2), ("after", 1)])
    def test_at_a_commit(self, place: DatabaseUrl, how: Any, times: int) -> None:
        """Whether the commit arrived or not, its writes are there once, and whoever waits hears so."""
        done: list[str] = []
        with Wire(place) as wire:
            ledger = Ledger(wire.place)
            wire.cut(how)

            def work(db: Session) -> str:
                done.append("once")
                db.run(runs.insert().inline(), run_row())
                return "written"

            said = ledger._store.write(work).result(60)
            kept = [run["id"] for run in ledger.runs()]
            ledger.close()
        assert ("written", ["run_1"], times, 1) == (said, kept, len(done), wire.cuts)

    @pytest.mark.parametrize("how", ["before", "after"])
    def test_without_a_way_back(self, place: DatabaseUrl, how: Any) -> None:
        """When nobody can tell whether it arrived, that is an error, so that nothing is sent; later the ledger goes on."""
        with Wire(place) as wire:
            ledger = Ledger(wire.place, busy_seconds=SOON)
            job = a_job(ledger)
            wire.cut(how, stays=True)
            failed = ledger.move(job, State.UPLOADING, NOW, changes={"progress": 0.5})
            ledger._store.write(lambda db: None)
            error = failed.exception(60)
            wire.mend()
            state = found(ledger, job.id).state
            after = ledger.record(run_row("run_2"), at=NOW).result(60)
            ledger.close()
        assert (LedgerUnavailable, {"before": "reserved", "after": "uploading"}[how], []) == (
            type(error),
            state,
            after,
        )

    def test_back_when_patience_has_ended(self, place: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> None:
        """What may be there already is not made again, however soon after that the way back is open."""
        done: list[str] = []
        with Wire(place) as wire:
            ledger = Ledger(wire.place, busy_seconds=SOON)
            _when_patience_ends(ledger, monkeypatch, wire.mend)
            wire.cut("after", stays=True)

            def work(db: Session) -> None:
                done.append("once")
                db.run(runs.insert().inline(), run_row())

            error = ledger._store.write(work).exception(60)
            kept = [run["id"] for run in ledger.runs()]
            ledger.close()
        assert (LedgerUnavailable, ["once"], ["run_1"]) == (type(error), done, kept)

    def test_is_waited_for_once(self, place: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> None:
        """Patience is for a write, and not for each of its tries."""
        ended: list[int] = []
        with Wire(place) as wire:
            ledger = Ledger(wire.place, busy_seconds=SOON)
            wire.cut("before", stays=True)
            ledger.record(run_row(), at=NOW).exception(60)
            _when_patience_ends(ledger, monkeypatch, lambda: ended.append(1))
            error = ledger.record(run_row(), at=NOW).exception(60)
            wire.mend()
            ledger.close()
        assert (LedgerUnavailable, 1) == (type(error), len(ended))

    def test_ended_by_the_server_in_the_middle(self, place: DatabaseUrl) -> None:
        """A write whose connection is ended half-way is made again from its beginning."""
        ledger = Ledger(place)
        tries: list[int] = []

        def work(db: Session) -> None:
            db.run(runs.insert().inline(), run_row())
            tries.append(db.raw.info.backend_pid)
            if len(tries) == 1:
                postgres.execute(place, "SELECT pg_terminate_backend(%s)", tries[0])
            db.rows(select(runs))

        ledger._store.write(work).result(60)
        kept = [run["id"] for run in ledger.runs()]
        ledger.close()
        assert (2, ["run_1"]) == (len(set(tries)), kept)

    def test_ended_while_nobody_used_it(self, place: DatabaseUrl) -> None:
        """Readers and the writer connect anew, and nobody notices."""
        ledger = Ledger(place)
        a_job(ledger)
        postgres.execute(
            place,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'vidorch' AND pid <> pg_backend_pid()",
        )
        read = ledger.job("job_1")
        a_job(ledger, 2)
        ledger.close()
        assert read is not None

    def test_others_of_a_transaction_are_kept_apart(self, place: DatabaseUrl) -> None:
        """A statement that fails takes back its own write alone, though PostgreSQL gives up the whole transaction."""
        ledger = Ledger(place)
        held, go = threading.Event(), threading.Event()

        def hold(_: Session) -> None:
            held.set()
            go.wait(30)

        ledger._store.write(hold)
        held.wait(30)
        good = [ledger.record(run_row(f"run_{n}"), at=NOW) for n in range(2)]
        bad = ledger._store.write(lambda db: db.raw.execute("SELECT 1 / 0"))
        good.append(ledger.record(run_row("run_2"), at=NOW))
        go.set()
        problems = [type(one.exception(30)).__name__ for one in (*good, bad)]
        ledger.close()
        assert ["NoneType"] * 3 + ["DivisionByZero"] == problems

    @pytest.mark.parametrize(
        ("code", "said"), [("53100", "disk is full"), ("42501", "no rights"), ("25006", "read-only")]
    )
    def test_what_the_server_says_of_itself(self, code: str, said: str) -> None:
        """A disk that fills up in the middle is the ledger's trouble, in its own words, and tried again by whoever knows that."""
        place = postgres.new_database()
        ledger = Ledger(place)
        job = a_job(ledger)
        postgres.execute(place, _FAILS.format(code=code))
        error = ledger.move(job, State.CANCELLED, NOW).exception(60)
        postgres.execute(place, "DROP FUNCTION fails CASCADE")
        after = ledger.move(job, State.CANCELLED, NOW).result(60).state
        ledger.close()
        assert (LedgerUnavailable, [], "cancelled") == (type(error), said_by(str(error), said), after)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_a_child_leaves_its_parents_connections_alone(self, place: DatabaseUrl) -> None:
        """After a fork the child's end does not end them."""
        import gc

        ledger = Ledger(place)
        a_job(ledger)
        before = ledger._store.write(lambda db: db.raw.info.backend_pid).result()
        child = os.fork()
        if child == 0:
            del ledger
            gc.collect()
            os._exit(0)
        os.waitpid(child, 0)
        after = ledger._store.write(lambda db: db.raw.info.backend_pid).result()
        ledger.close()
        assert before == after


class TestAServerThatStops:
    @pytest.mark.parametrize("how", ["INT", "QUIT"])
    def test_comes_back(self, stoppable: postgres.Server, how: str) -> None:
        """Shut down or crashed and started again in the middle of jobs: what was written is there, and work goes on."""
        ledger = Ledger(self._database(stoppable))
        job = a_job(ledger)
        stoppable.stop(how)
        writing = ledger.move(job, State.UPLOADING, NOW)
        waiting = ledger.record(run_row("run_2"), at=NOW)
        stoppable.start()
        assert [] == waiting.result(60)
        assert ("uploading", "uploading") == (writing.result(60).state, found(ledger, job.id).state)
        ledger.close()

    def test_stays_away(self, stoppable: postgres.Server) -> None:
        """Patience ends; then writes and reads say so, and a new ledger does at once. When it is back, the same one goes on."""
        place = self._database(stoppable)
        ledger = Ledger(place, busy_seconds=SOON)
        job = a_job(ledger)
        stoppable.stop()
        error = ledger.move(job, State.CANCELLED, NOW).exception(60)
        with pytest.raises(LedgerUnavailable, match="cannot be reached"):
            ledger.job(job.id)
        said = refused(place)
        stoppable.start()
        state = ledger.move(job, State.CANCELLED, NOW).result(60).state
        ledger.close()
        assert (LedgerUnavailable, [], "cancelled") == (
            type(error),
            said_by(said, "cannot be reached"),
            state,
        )

    def _database(self, server: postgres.Server) -> DatabaseUrl:
        place = server.at("postgres")
        names = ", ".join(table.name for table in TABLES)
        postgres.execute(place, f"DROP TABLE IF EXISTS {names} CASCADE")
        return place


class TestTheOnlyWriter:
    def test_waits_for_the_one_that_writes(self, place: DatabaseUrl) -> None:
        """A second ledger's write begins when the first one's has ended, and sees all of it."""
        one, two = Ledger(place), Ledger(place)
        held, go = threading.Event(), threading.Event()

        def hold(db: Session) -> None:
            db.run(runs.insert().inline(), run_row())
            held.set()
            go.wait(30)

        first = one._store.write(hold)
        held.wait(30)
        second = two._store.write(lambda db: len(db.rows(select(runs))))
        waits = "advisory"
        while not postgres.execute(
            place, "SELECT 1 FROM pg_locks WHERE locktype = %s AND NOT granted", waits
        ):
            assert not second.done()
        go.set()
        first.result(30)
        seen = second.result(30)
        one.close()
        two.close()
        assert 1 == seen

    def test_is_not_waited_for_for_ever(self, place: DatabaseUrl) -> None:
        """Whoever holds the lock beyond all patience is said to."""
        one, two = Ledger(place), Ledger(place, busy_seconds=SOON)
        held, go = threading.Event(), threading.Event()

        def hold(_: Session) -> None:
            held.set()
            go.wait(30)

        first = one._store.write(hold)
        held.wait(30)
        error = two._store.write(lambda db: None).exception(30)
        go.set()
        first.result(30)
        later = two._store.write(lambda db: "written").result(30)
        one.close()
        two.close()
        assert (True, "written") == ("is held by another writer" in str(error), later)

    def test_that_froze_is_let_go_of(self, place: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that holds the lock without a word loses it, so that the others go on; its own write is made again."""
        from vidorch.ledger import postgres as ours

        monkeypatch.setattr(ours, "SILENT_SECONDS", 0.05)
        frozen = Ledger(place)
        frozen.flush()
        monkeypatch.setattr(ours, "SILENT_SECONDS", 10)
        other_one = Ledger(place)
        held, go, tries = threading.Event(), threading.Event(), []

        def freeze(db: Session) -> None:
            db.run(runs.insert().inline(), run_row())
            tries.append(1)
            held.set()
            go.wait(30)
            db.rows(select(runs))

        first = frozen._store.write(freeze)
        held.wait(30)
        seen = other_one._store.write(lambda db: len(db.rows(select(runs)))).result(30)
        go.set()
        first.result(30)
        frozen.close()
        other_one.close()
        assert (0, 2) == (seen, len(tries))

    def test_is_waited_for_by_whoever_changes_the_tables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A newer vidorch that comes while others write makes its changes between two writes, and no write is lost."""
        place = postgres.new_database()
        ledger = Ledger(place)
        a_job(ledger)
        held, go = threading.Event(), threading.Event()

        def work(db: Session) -> str:
            db.raw.execute("UPDATE jobs SET version = version")
            held.set()
            go.wait(30)
            db.raw.execute("UPDATE runs SET version = version")
            return "written"

        writing = ledger._store.write(work)
        held.wait(30)
        newer = Migration(
            "9999_newer", tuple(f"ALTER TABLE {name} ADD COLUMN more TEXT" for name in ("runs", "jobs"))
        )
        for module in (migrations, ours):
            monkeypatch.setattr(module, "MIGRATIONS", (*migrations.MIGRATIONS, newer))
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(Ledger, place)
            while not postgres.execute(place, "SELECT 1 FROM pg_locks WHERE NOT granted"):
                assert not coming.done()
            go.set()
            coming.result(30).close()
        ledger.close()
        there = postgres.execute(place, "SELECT value FROM meta WHERE name = 'migration:9999_newer'")
        assert ("written", [("applied",)]) == (writing.result(30), there)


class TestALook:
    def test_is_not_held_up(self, place: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody's estimate waits for whoever has locked the table: it goes by the catalog then."""
        monkeypatch.setattr(glance, "PATIENCE", 1)
        Ledger(place).close()
        with psycopg.connect(make_conninfo(**place.settings)) as db:
            db.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
            assert [] == finished_jobs(place)


class TestTheClock:
    def test_is_known_from_the_beginning(self, place: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before anything was read: whoever takes up the work of others asks it first."""
        really = time.time
        monkeypatch.setattr(time, "time", lambda: really() + 3600)
        ledger = Ledger(place)
        ahead = ledger.ahead
        ledger.close()
        assert -60 == round(ahead / 60)

    def test_is_the_databases(self, place: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> None:
        """The ledger knows how far this machine's clock is from it, after each look and each write."""
        really = time.time
        ledger = Ledger(place)
        found = []
        for wrong in (3600.0, -3600.0):
            monkeypatch.setattr(time, "time", lambda wrong=wrong: really() + wrong)
            ledger.runs()
            found.append(round(ledger.ahead / 60))
        for wrong in (60.0, -60.0):
            monkeypatch.setattr(time, "time", lambda wrong=wrong: really() + wrong)
            ledger._store.write(lambda db: None).result()
            found.append(round(ledger.ahead))
        monkeypatch.undo()
        ledger.close()
        assert [-60, 60, -60, 60] == found


@pytest.fixture(scope="module")
def racers() -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes on one ledger."""
    place = postgres.new_database()
    Ledger(place).close()
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.ledger.racer", postgres.url_of(place), name], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for name in "ab"
    ]  # fmt: skip
    yield started
    for one in started:
        one.communicate(timeout=60)


class TestWhoGetsIt:
    ROUNDS = 8

    @pytest.mark.parametrize(
        ("what", "loser"),
        [("key", "KeyTaken"), ("dollar", "OverBudget"), ("slot", "NoRoom"), ("remote", "Claimed")],
    )
    def test_is_one_alone(self, racers: list[subprocess.Popen[str]], what: str, loser: str) -> None:
        """Of two processes that reach for the same key, the last dollar of a budget, the last slot or a vendor's job, one gets it."""
        ends = []
        for number in range(self.ROUNDS):
            _all_told(racers, f"ready {what} {number}")
            ends.append(sorted(_all_told(racers, f"go {what} {number}")))
        assert [sorted(("got it", loser))] * self.ROUNDS == ends


def _all_told(racers: list[subprocess.Popen[str]], line: str) -> list[str]:
    """What each says to a line that all are told at once."""
    for one in racers:
        assert one.stdin is not None
        one.stdin.write(f"{line}\n")
        one.stdin.flush()
    return [one.stdout.readline().strip() for one in racers if one.stdout is not None]
