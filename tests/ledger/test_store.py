"""The file under the ledger: what happens when it cannot be read or written, and when another program holds it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import OperationalError

from tests.ledger.rows import NOW, a_job, run_row
from vidorch.errors import LedgerUnavailable
from vidorch.ledger import sqlite
from vidorch.ledger.database import Writer
from vidorch.ledger.ledger import Ledger
from vidorch.ledger.session import Session
from vidorch.ledger.store import BATCH, Store

ROOT = Path(__file__).parents[2]


def refused(path: Path, **more: float) -> str:
    """What is said about a file that cannot be a ledger. Nothing was charged."""
    with pytest.raises(LedgerUnavailable) as caught:
        Ledger(path, **more)
    assert caught.value.charged is False
    assert caught.value.hint
    return str(caught.value)


@pytest.fixture
def place(path: Path) -> Path:
    """What stands here is about files alone."""
    return path


@pytest.fixture
def holder(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program that has the file open."""
    Ledger(path).close()
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    yield connection
    connection.close()


class TestWhatIsNotOurs:
    def test_a_newer_ledger(self, path: Path) -> None:
        """A ledger of a newer version is named as such and left byte for byte as it was."""
        Ledger(path).close()
        connection = sqlite3.connect(path)
        connection.execute("INSERT INTO meta VALUES ('migration:9999_future', 'applied')")
        connection.commit()
        connection.close()
        before = path.read_bytes()
        said = refused(path)
        assert (True, before) == (
            "written by a newer vidorch (it knows 9999_future). It was left as it is." in said,
            path.read_bytes(),
        )

    def test_another_database(self, path: Path) -> None:
        """Some other program's database is left byte for byte as it was."""
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.commit()
        connection.close()
        before = path.read_bytes()
        said = refused(path)
        assert (True, before) == (
            "but not a vidorch ledger. It was left as it is." in said,
            path.read_bytes(),
        )

    def test_nothing_is_left_beside_it(self, path: Path) -> None:
        """No journal is left beside a file that was refused."""
        self.test_another_database(path)
        assert [path] == list(path.parent.glob("ledger*"))

    @pytest.mark.parametrize(
        "content", [b"Dear diary, " * 100, b"\x00" * 4096, b"x"], ids=["text", "zeros", "one byte"]
    )
    def test_no_database(self, path: Path, content: bytes) -> None:
        """A file that is no database is refused and left as it was."""
        path.write_bytes(content)
        said = refused(path)
        assert (True, content) == ("is not an SQLite database" in said, path.read_bytes())

    def test_an_empty_file(self, path: Path) -> None:
        """A file with nothing in it is a ledger to be."""
        path.touch()
        Ledger(path).close()
        assert path.stat().st_size > 0

    def test_a_damaged_ledger(self, path: Path) -> None:
        """A ledger whose pages are damaged is refused, with the advice to keep it."""
        Ledger(path).close()
        data = bytearray(path.read_bytes())
        data[100:4096] = b"\xff" * 3996
        path.write_bytes(data)
        said = refused(path)
        assert (True, bytes(data)) == ("is damaged. Move the file away (keep it" in said, path.read_bytes())

    def test_damage_that_shows_later(self, path: Path) -> None:
        """Damage that shows only when something is read is typed as well."""
        ledger = Ledger(path)
        for number in range(50):
            a_job(ledger, number)
        ledger.close()
        data = bytearray(path.read_bytes())
        data[4096 * 20 :] = b"\xff" * (len(data) - 4096 * 20)
        path.write_bytes(data)

        def read_all() -> None:
            again = Ledger(path)
            try:
                again.runs()
                again.jobs()
                again.events("run_1")
            finally:
                again.close()

        with pytest.raises(LedgerUnavailable):
            read_all()


class TestWhereNothingCanBeWritten:
    def test_a_folder_in_its_place(self, path: Path) -> None:
        """A folder is no ledger."""
        path.mkdir()
        assert str(path) in refused(path)

    def test_below_a_file(self, path: Path) -> None:
        """A home folder that cannot be made is said to be the trouble."""
        path.write_bytes(b"x")
        assert "cannot be opened" in refused(path / "home" / "ledger.db")

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everything")
    def test_a_read_only_file(self, path: Path) -> None:
        """A file that may not be written is named."""
        path.touch()
        path.chmod(0o400)
        assert str(path) in refused(path)

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everything")
    def test_a_read_only_folder(self, tmp_path: Path) -> None:
        """So is a folder."""
        folder = tmp_path / "shut"
        folder.mkdir()
        folder.chmod(0o500)
        assert str(folder) in refused(folder / "ledger.db")

    def test_a_whole_ledger_that_is_read_only(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A ledger to which nothing need be added is found to be read-only when it is opened, not at the first payment."""
        Ledger(path).close()

        def create_read_only(url: Any, **settings: Any) -> Engine:
            uri = f"file:{path}?mode=ro"
            return create_engine(url, **settings | {"creator": lambda: sqlite3.connect(uri, uri=True)})

        monkeypatch.setattr(sqlite, "create_engine", create_read_only)
        assert "cannot be written: it is read-only" in refused(path)

    def test_read_only_from_now_on(self, ledger: Ledger) -> None:
        """A ledger that becomes read-only while it is open says so, and nothing is half-written."""
        ledger._store.write(lambda db: db.raw.execute("PRAGMA query_only=ON")).result()
        with pytest.raises(LedgerUnavailable, match="read-only"):
            a_job(ledger)
        assert [] == ledger.runs()


class TestStrangeNames:
    @pytest.mark.parametrize("name", ["a?b", "a%3Fb", "a#b", "a;b", "ä b"])
    @pytest.mark.skipif(sys.platform == "win32", reason="no such names here")
    def test_a_folder(self, tmp_path: Path, name: str) -> None:
        """The ledger lies where it was told to, private, whatever its folder is called."""
        path = tmp_path / name / "ledger.db"
        ledger = Ledger(path)
        a_job(ledger)
        runs = ledger.runs()
        ledger.close()
        assert (1, 0o600, [name]) == (
            len(runs),
            path.stat().st_mode & 0o777,
            [one.name for one in tmp_path.iterdir()],
        )


class TestFull:
    def test_full_from_now_on(self, ledger: Ledger) -> None:
        """A full disk is said to be full, nothing of that transaction is kept, and what was there before can be read."""
        a_job(ledger)
        fill(ledger)
        with pytest.raises(LedgerUnavailable, match="the disk is full.* Make room"):
            ledger.record(run_row("run_2", request="x" * 1_000_000), at=NOW).result()
        assert ["run_1"] == [run["id"] for run in ledger.runs()]

    def test_room_again(self, ledger: Ledger) -> None:
        """When there is room again, the same ledger goes on."""
        fill(ledger)
        assert ledger.record(run_row("run_2", request="x" * 1_000_000), at=NOW).exception() is not None
        ledger._store.write(lambda db: db.raw.execute("PRAGMA max_page_count=100000")).result()
        a_job(ledger)
        assert ["run_1"] == [run["id"] for run in ledger.runs()]

    def test_everybody_who_waits_hears_it(self, ledger: Ledger) -> None:
        """Of a transaction that cannot be committed, nobody is told that it was."""
        fill(ledger)
        started, release = threading.Event(), threading.Event()

        def work(_: object) -> None:
            started.set()
            release.wait(30)

        ledger._store.write(work)
        started.wait(30)
        futures = [ledger.record(run_row(f"run_{n}", request="x" * 500_000), at=NOW) for n in range(3)]
        release.set()
        assert [LedgerUnavailable] * 3 == [type(future.exception()) for future in futures]

    @pytest.mark.skipif(sys.platform == "win32", reason="no such limits here")
    def test_no_room_to_begin(self, path: Path) -> None:
        """A disk without room for the tables is a ledger that cannot be opened."""
        code = (
            "import resource, sys, pathlib\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
            "from vidorch.ledger.ledger import Ledger\n"
            "from vidorch.errors import LedgerUnavailable\n"
            "try:\n    Ledger(pathlib.Path(sys.argv[1]))\n"
            "except LedgerUnavailable as error:\n    print('typed:', error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False, timeout=60
        )
        assert (0, "typed:") == (done.returncode, done.stdout[:6]), done.stderr


def fill(ledger: Ledger) -> None:
    """Let the database grow no further than it is."""
    ledger._store.write(lambda db: db.raw.execute("PRAGMA max_page_count=1")).result()


class TestLocked:
    def test_while_writing(self, path: Path, holder: sqlite3.Connection) -> None:
        """A ledger that another program holds is said to be locked, and goes on when it is free."""
        ledger = Ledger(path, busy_seconds=0.01)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable, match="is locked by another program"):
            a_job(ledger)
        holder.execute("ROLLBACK")
        a_job(ledger)
        runs = ledger.runs()
        ledger.close()
        assert 1 == len(runs)

    def test_reading_goes_on(self, path: Path, holder: sqlite3.Connection) -> None:
        """While somebody writes, everybody may read."""
        ledger = Ledger(path, busy_seconds=0.01)
        holder.execute("BEGIN IMMEDIATE")
        runs = ledger.runs()
        holder.execute("ROLLBACK")
        ledger.close()
        assert [] == runs

    def test_while_opening(self, path: Path) -> None:
        """A file that is held while its tables would be made is said to be locked."""
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("CREATE TABLE x (y)")
        connection.execute("DROP TABLE x")
        connection.execute("BEGIN EXCLUSIVE")
        said = refused(path, busy_seconds=0.01)
        connection.close()
        assert "is locked by another program" in said

    def test_while_opening_a_whole_one(self, path: Path, holder: sqlite3.Connection) -> None:
        """A ledger to which nothing need be added is found to be locked when it is opened."""
        holder.execute("BEGIN IMMEDIATE")
        assert "is locked by another program" in refused(path, busy_seconds=0.01)

    def test_waits_its_turn(self, path: Path, holder: sqlite3.Connection) -> None:
        """A short lock is waited for, not reported."""
        ledger = Ledger(path)
        holder.execute("BEGIN IMMEDIATE")
        future = ledger.record(run_row(), at=NOW)
        holder.execute("COMMIT")
        assert future.exception() is None
        ledger.close()


class TestMadeByManyAtOnce:
    def test_the_log_is_asked_for_until_the_others_are_through(self, tmp_path: Path) -> None:
        """SQLite refuses at once, whatever its timeout, while another process looks at a new file; a moment later it is free."""
        with (
            closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as other,
            closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None, timeout=0)) as ours,
        ):
            other.execute("CREATE TABLE meta (name TEXT)")
            other.execute("BEGIN")
            other.execute("SELECT * FROM meta").fetchall()
            told: list[str] = []

            class Raw:
                def execute(self, statement: str) -> sqlite3.Cursor:
                    try:
                        return ours.execute(statement)
                    except sqlite3.OperationalError as error:
                        told.append(str(error))
                        other.rollback()
                        raise

            sqlite.use_log(Raw(), 30.0)
            assert (["database is locked"], "wal") == (
                told,
                ours.execute("PRAGMA journal_mode").fetchone()[0],
            )

    def test_a_file_that_stays_locked_is_said_to_be(self, holder: sqlite3.Connection, path: Path) -> None:
        """Not for ever: after the time that was given, what SQLite says is said."""
        holder.execute("PRAGMA journal_mode=DELETE")
        holder.execute("BEGIN EXCLUSIVE")
        with (
            closing(sqlite3.connect(path, timeout=0)) as ours,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            sqlite.use_log(ours, 0.0)


class TestTheWriterFails:
    def test_before_it_can_write(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A writer that cannot connect any more fails whoever waits and whoever comes, at once, and closing is harmless."""

        def gone(_: object) -> Writer:
            raise OperationalError("connect", None, sqlite3.OperationalError("gone"))

        monkeypatch.setattr(sqlite.Sqlite, "writer", gone)
        broken = Store(path)
        for _ in range(2):
            assert isinstance(broken.write(lambda _: None).exception(timeout=30), LedgerUnavailable)
        broken.close()

    def test_while_it_takes_back(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        """When even taking back fails, the batch and everything queued behind it fail, and so does every later write."""
        started, release = threading.Event(), threading.Event()

        class NoWayBack:
            """The writer's connection, which cannot take back."""

            in_transaction = True

            def rollback(self) -> None:
                raise RuntimeError("no way back")

        def work(db: Session) -> None:
            started.set()
            release.wait(30)
            monkeypatch.setattr(db, "raw", NoWayBack())
            raise _damaged()

        futures = [ledger._store.write(work)]
        assert started.wait(30)
        futures += [ledger._store.write(lambda _: None) for _ in range(BATCH + 1)]
        release.set()
        assert {LedgerUnavailable} == {type(future.exception(timeout=30)) for future in futures}
        later = ledger._store.write(lambda _: None).exception(timeout=30)
        assert isinstance(later, LedgerUnavailable)
        assert "failed and was closed" in str(later)


def _damaged() -> sqlite3.Error:
    error = sqlite3.DatabaseError("malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


class TestSettings:
    @pytest.mark.parametrize(("pragma", "value"), [("synchronous", 2), ("foreign_keys", 1)])
    def test_of_the_writer(self, ledger: Ledger, pragma: str, value: int) -> None:
        """The writer syncs each commit to the disk and holds rows to what they refer to."""
        assert (
            value == ledger._store.write(lambda db: db.raw.execute(f"PRAGMA {pragma}").fetchone()[0]).result()
        )


class TestTwoInOneProcess:
    def test_keep_their_hold_on_the_file(self, path: Path) -> None:
        """A second ledger of the same file in a process leaves the first one's locks alone: others see that it is in use."""
        first = Ledger(path)
        a_job(first)
        Ledger(path).close()
        journal = path.with_name(f"{path.name}-wal")
        before = journal.stat().st_ino
        code = "import sys; from pathlib import Path; from vidorch.ledger.ledger import Ledger; Ledger(Path(sys.argv[1])).close()"
        subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=True, timeout=60)
        assert before == journal.stat().st_ino
        first.close()
