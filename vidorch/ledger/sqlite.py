"""The ledger in an SQLite file, or in memory: one machine's own."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import time
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool, StaticPool

from vidorch.errors import LedgerUnavailable
from vidorch.ledger.database import Work
from vidorch.ledger.migrations import MIGRATIONS, migrate
from vidorch.ledger.session import Session
from vidorch.ledger.turns import Turns

__all__ = ["DIALECT", "Sqlite", "use_log"]

T = TypeVar("T")

TIDY_ROWS = (
    2_000  # some ten megabytes of log. SQLite itself would do it inside a commit, while everybody waits
)
MOST_PAGES = 10_000
"""Of the log, some forty megabytes: then SQLite does it all the same, where many processes each write too little to."""
QUEUE_SECONDS = 0.03  # as long as a turn takes among thirty busy processes
DIALECT = sqlite.dialect(dbapi=sqlite3, paramstyle="named")
SMALLEST = 512  # bytes: one page, the least that SQLite writes


class Sqlite:
    """A ledger in a file.

    Args:
        path: of the file; None keeps everything in memory, for free work where no file can be written.
        busy_seconds: how long to wait for another process that holds the file.
    """

    ahead = 0.0

    def __init__(self, path: Path | None, busy_seconds: float) -> None:
        self.path = path
        self.reads_beside = path is not None
        self._busy_seconds = busy_seconds
        self._writer_engine = _engine(path, busy_seconds, writer=True)
        self._reader_engine = None if path is None else _engine(path, busy_seconds, writer=False)

    def open(self) -> None:
        try:
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                _must_be_sqlite(self.path)
                with contextlib.suppress(FileExistsError):  # prompts are private
                    os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with self._writer_engine.connect() as connection:
                applied = _look_before_touching(connection, self.path)
                if self.path is not None:  # past SQLAlchemy, which would begin a transaction first
                    use_log(connection.connection.driver_connection, self._busy_seconds)
                if applied != {migration.name for migration in MIGRATIONS}:
                    with connection.begin():
                        migrate(connection, _applied(connection))
                _must_be_writable(connection)
        except (SQLAlchemyError, OSError, sqlite3.Error) as error:
            raise self.explain(error) from error

    def is_there(self) -> bool:
        return self.path is not None and self.path.exists()

    def writer(self) -> SqliteWriter:
        return SqliteWriter(self._writer_engine.connect(), Turns(self.path), self._busy_seconds)

    def read(self, work: Work[T]) -> T:
        assert self._reader_engine is not None
        try:
            raw = self._reader_engine.raw_connection()
            try:
                return _in_one_view(raw.driver_connection, work)
            finally:
                raw.close()
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise self.explain(error) from error

    def explain(self, error: BaseException) -> LedgerUnavailable:
        return explain(error, self.path)

    def close(self) -> None:
        self._writer_engine.dispose()
        if self._reader_engine is not None:
            self._reader_engine.dispose()


class SqliteWriter:
    """The connection that writes to a file, when it is its process's turn."""

    def __init__(self, connection: Connection, turns: Turns, busy_seconds: float) -> None:
        self._connection = connection
        raw: Any = connection.connection.driver_connection
        self._raw = raw
        self._raw.execute("PRAGMA busy_timeout=0")  # see `begin`
        self._turns = turns
        self._busy_seconds = busy_seconds
        self._tidied = self._raw.total_changes
        self.session = Session(self._raw, DIALECT)

    def begin(self) -> None:
        """Become the one process that writes.

        SQLite's own waiting sleeps up to a tenth of a second between looks, which is long beside a commit of a
        millisecond: among many processes, some would always come too late.
        """
        self._turns.wait()
        _until_free(self._raw, "BEGIN IMMEDIATE", self._busy_seconds)

    def commit(self) -> bool:
        self.session.raw.commit()
        return True

    def rollback(self) -> None:
        self.session.raw.rollback()

    def mark(self) -> int:
        return int(self._raw.total_changes)

    def untouched(self, mark: int) -> bool:
        return bool(self._raw.total_changes == mark)

    def goes_on(self, error: BaseException) -> bool:
        """A full disk makes SQLite roll back everything at once, savepoints included: then all have failed."""
        return _file_trouble(error) is None and bool(self.session.raw.in_transaction)

    def again(self, error: BaseException) -> bool:
        return False

    def over(self) -> None:
        self._turns.over()

    def rest(self) -> None:
        if self._raw.total_changes - self._tidied > TIDY_ROWS:
            self._tidied = self._raw.total_changes
            _tidy(self._raw)

    def close(self) -> None:
        self._turns.close()
        self._connection.close()


def _in_one_view(raw: Any, work: Work[T]) -> T:
    """Read in a transaction, so that several queries see the same moment."""
    raw.execute("BEGIN")
    try:
        return work(Session(raw, DIALECT))
    finally:
        raw.rollback()


def use_log(raw: Any, busy_seconds: float) -> None:
    """Let the file have a write-ahead log, as it keeps it from then on.

    Of several processes that make the file at the same moment one changes its mode; to the others SQLite says "locked" at once,
    whatever its timeout, since each holds what the others wait for (https://www.sqlite.org/c3ref/busy_handler.html).
    """
    _until_free(raw, "PRAGMA journal_mode=WAL", busy_seconds)


def _until_free(raw: Any, statement: str, seconds: float) -> None:
    began = time.monotonic()
    while True:
        try:
            raw.execute(statement).fetchall()
            return
        except sqlite3.OperationalError as error:
            waited = time.monotonic() - began
            if _file_trouble(error) != sqlite3.SQLITE_BUSY or waited >= seconds:
                raise
        time.sleep(_pause(waited) * random.uniform(0.5, 1.5))  # noqa: S311


def _tidy(raw: Any) -> None:
    """Bring what was committed from the log into the file itself. What cannot be brought now is brought another time."""
    with contextlib.suppress(sqlite3.Error):
        raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _pause(waited: float) -> float:
    """Seconds until the next look at a file that others write to: whoever has waited longer looks more often."""
    if waited < QUEUE_SECONDS:
        return 0.001 - 0.0009 * waited / QUEUE_SECONDS
    return min(0.0001 + (waited - QUEUE_SECONDS) / 20, 0.02)


def _engine(path: Path | None, busy_seconds: float, *, writer: bool) -> Engine:
    arguments = {"check_same_thread": False, "timeout": busy_seconds}
    if path is None:
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args=arguments)
    else:
        pool = {"poolclass": NullPool} if writer else {}
        engine = create_engine(URL.create("sqlite", database=str(path)), connect_args=arguments, **pool)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = (
            None  # we say BEGIN ourselves: IMMEDIATE for writes, so no upgrade can fail half-way
        )
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA wal_autocheckpoint={MOST_PAGES}")
        connection.execute(f"PRAGMA busy_timeout={int(busy_seconds * 1000)}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if writer and not connection.info.get("looking"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


def _applied(connection: Connection) -> set[str]:
    tables = {
        row[0] for row in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))
    }
    if "meta" not in tables:
        return set()
    rows = connection.execute(text("SELECT name FROM meta WHERE name LIKE 'migration:%'"))
    return {row[0].removeprefix("migration:") for row in rows}


def _must_be_sqlite(path: Path) -> None:
    """SQLite itself takes a file of a few bytes for an empty one, and would write over it.

    Its size has to do: to open and close the file here would take away the locks that another ledger of this process holds
    on it (POSIX), and a third process could then remove the journal that both still write to.
    See https://www.sqlite.org/howtocorrupt.html, 2.2.
    """
    if path.is_file() and 0 < path.stat().st_size < SMALLEST:
        what, hint = _FILE_TROUBLES[sqlite3.SQLITE_NOTADB]
        raise LedgerUnavailable(f"The ledger {path} {what}. It was left as it is.", hint=hint)


def _look_before_touching(connection: Connection, path: Path | None) -> set[str]:
    """The migrations applied so far. Raises, having written nothing, when this is not a ledger that we can keep."""
    connection.info["looking"] = True
    try:
        tables = {
            row[0] for row in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))
        }
        applied = _applied(connection)
        connection.rollback()
    finally:
        del connection.info["looking"]
    if tables and "meta" not in tables:
        raise LedgerUnavailable(
            f"{path} is an SQLite database, but not a vidorch ledger. It was left as it is.",
            hint="Point ledger= or VIDORCH_HOME somewhere else.",
        )
    if newer := applied - {migration.name for migration in MIGRATIONS}:
        raise LedgerUnavailable(
            f"The ledger {path} was written by a newer vidorch (it knows {', '.join(sorted(newer))}). It was left as it is.",
            hint="Update vidorch, or use another VIDORCH_HOME.",
        )
    return applied


def _must_be_writable(connection: Connection) -> None:
    """Begin to write and take it back. (BEGIN alone is no proof: on a read-only file SQLite lets it pass.)"""
    with connection.begin() as transaction:
        connection.execute(text("UPDATE meta SET value = value WHERE name = ''"))
        transaction.rollback()


_FILE_TROUBLES = {
    sqlite3.SQLITE_READONLY: (
        "cannot be written: it is read-only",
        "Check its permissions, or set VIDORCH_HOME to a folder you own.",
    ),
    sqlite3.SQLITE_FULL: (
        "cannot be written: the disk is full",
        "Make room on it.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "Check that its folder exists and is yours, or set VIDORCH_HOME.",
    ),
    sqlite3.SQLITE_NOTADB: (
        "is not an SQLite database",
        "Move the file away, or set VIDORCH_HOME to another folder.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "is damaged",
        "Move the file away (keep it: it says what was paid) and start a new one.",
    ),
    sqlite3.SQLITE_BUSY: (
        "is locked by another program",
        "Close what holds it; vidorch itself never holds it for long.",
    ),
    sqlite3.SQLITE_IOERR: ("cannot be read or written: the disk reports an error", "Check the disk."),
}


def _file_trouble(error: BaseException | None) -> int | None:
    """SQLite's code for a trouble with the file, from the error or from what it was raised upon; None when it is none."""
    while error is not None:
        code = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
        if (
            code is not None and code & 0xFF in _FILE_TROUBLES
        ):  # extended codes carry the primary one in their low byte
            return int(code & 0xFF)
        error = error.__context__
    return None


def explain(error: BaseException, path: Path | None) -> LedgerUnavailable:
    """A trouble with the file, in words. Nothing is paid without a ledger, so it was not charged."""
    if isinstance(error, LedgerUnavailable):
        return error
    where = "The ledger in memory" if path is None else f"The ledger {path}"
    what, hint = _FILE_TROUBLES.get(_file_trouble(error) or -1, ("", ""))
    if not what and isinstance(error, OSError):
        what, hint = (
            f"cannot be opened ({error.strerror or error})",
            "Set VIDORCH_HOME to a folder that can be written.",
        )
    return LedgerUnavailable(f"{where} {what or f'cannot be used ({error})'}.", hint=hint)
