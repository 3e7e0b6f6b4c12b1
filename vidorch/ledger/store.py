"""The database under the ledger: one writer thread per process, and readers beside it.

Writes wait in a queue; the writer takes all that wait, carries them out in one transaction and commits once (group commit),
so that a hundred jobs that move at the same time cost one sync of the disk. A write that fails is taken back alone. Whoever
needs a write on disk waits for its future; the others ride with the next commit, at most `LAZY_SECONDS` later.
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool, StaticPool

from vidorch.errors import LedgerUnavailable
from vidorch.ledger.migrations import MIGRATIONS, migrate
from vidorch.ledger.session import Session
from vidorch.ledger.turns import Turns

__all__ = ["Store", "use_log"]

T = TypeVar("T")
Work = Callable[[Session], T]
"""What is to be done inside a transaction. It may be done more than once, and only the last time counts."""
_Waiting = tuple[Work[Any], Future[Any] | None]
_Outcome = tuple[Future[Any] | None, Any, BaseException | None]

LAZY_SECONDS = 0.5
BATCH = 256  # writes in one transaction: bounds how long a reader of another process waits for news
TIDY_ROWS = (
    2_000  # some ten megabytes of log. SQLite itself would do it inside a commit, while everybody waits
)
MOST_PAGES = 10_000
"""Of the log, some forty megabytes: then SQLite does it all the same, where many processes each write too little to."""
QUEUE_SECONDS = 0.03  # as long as a turn takes among thirty busy processes
DIALECT = sqlite.dialect(dbapi=sqlite3, paramstyle="named")
SMALLEST = 512  # bytes: one page, the least that SQLite writes
BUSY_SECONDS = 30.0  # eight processes that commit in 5 ms each never come near it


class Store:
    """An open ledger database.

    Args:
        path: the SQLite file; None keeps everything in memory, for free work where no file can be written.
        busy_seconds: how long to wait for another process that holds the file.

    Raises:
        LedgerUnavailable: it cannot be opened and written; the file is left as it was.
    """

    def __init__(self, path: Path | None, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
        self._writer_engine = _engine(path, busy_seconds, writer=True)
        self._reader_engine = None if path is None else _engine(path, busy_seconds, writer=False)
        self._condition = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._riding: list[Work[Any]] = []
        self._urgent = 0
        self._asleep = False
        self._closed = False
        self._failure: LedgerUnavailable | None = None
        self._pid = os.getpid()
        self._open()
        self._turns = Turns(path)
        self._thread = threading.Thread(target=self._write_loop, name="vidorch-ledger", daemon=True)
        self._thread.start()

    def _open(self) -> None:
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
            raise explain(error, self.path) from error

    def write(self, work: Work[T], *, waits: bool = True) -> Future[T]:
        """Queue a write. The future is done when it is on disk, or holds the error that rolled it back alone."""
        future: Future[T] = Future()
        with self._condition:
            if self._closed or self._pid != os.getpid():
                future.set_exception(LedgerUnavailable("This ledger was closed.", hint="Make a new client."))
                return future
            if self._failure is not None:
                future.set_exception(_after(self._failure))
                return future
            self._queue.append((work, future))
            if waits:
                self._urgent += 1
            if waits or self._asleep:
                self._condition.notify()
        return future

    def ride(self, work: Work[object]) -> None:
        """Queue a write that nobody waits for: it goes with the next commit, after all that was queued before it."""
        with self._condition:
            if self._closed or self._failure is not None or self._pid != os.getpid():
                return
            self._riding.append(work)
            if self._asleep:
                self._condition.notify()

    def read(self, work: Work[T]) -> T:
        """Run a reading function on a connection of its own.

        Raises:
            LedgerUnavailable: the database cannot be read.
        """
        if self._reader_engine is None:
            return self.write(work).result()
        if (self._queue or self._riding) and not self._closed:  # whoever wrote reads what was written
            self.flush()
        try:
            raw = self._reader_engine.raw_connection()
            try:
                return self._in_one_view(raw.driver_connection, work)
            finally:
                raw.close()
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise explain(error, self.path) from error

    def flush(self) -> None:
        """Wait until everything queued so far is on disk."""
        self.write(lambda connection: None).result()

    def close(self) -> None:
        """Write what waits, then let go of the file. Harmless when repeated."""
        with self._condition:
            if self._closed:
                return
            self._closed = True
            self._condition.notify()
        if self._pid == os.getpid():
            self._thread.join()
            self._turns.close()
            self._writer_engine.dispose()
            if self._reader_engine is not None:
                self._reader_engine.dispose()

    def _take(self) -> list[_Waiting]:
        with self._condition:
            until = time.monotonic() + LAZY_SECONDS
            while not self._urgent and not self._closed:
                if (left := until - time.monotonic()) > 0:
                    self._condition.wait(left)
                elif self._queue or self._riding:
                    break
                else:  # only now has whoever brings something that can wait to wake us for it
                    self._asleep = True
                    self._condition.wait()
                    self._asleep = False
                    until = time.monotonic() + LAZY_SECONDS
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH))]
            self._urgent = 0 if not self._queue else max(self._urgent, 1)
            if not self._queue:
                batch += [(work, None) for work in self._riding]
                self._riding.clear()
            return batch

    def _in_one_view(self, raw: Any, work: Work[T]) -> T:
        """Read in a transaction, so that several queries see the same moment."""
        raw.execute("BEGIN")
        try:
            return work(Session(raw, DIALECT))
        finally:
            raw.rollback()

    def _write_loop(self) -> None:
        try:
            with self._writer_engine.connect() as connection:
                raw: Any = connection.connection.driver_connection
                raw.execute("PRAGMA busy_timeout=0")  # see `_begin`
                session = Session(raw, DIALECT)
                tidied = raw.total_changes
                while batch := self._take():
                    self._commit(session, batch)
                    if raw.total_changes - tidied > TIDY_ROWS:
                        tidied = raw.total_changes
                        _tidy(raw)
        except (
            BaseException
        ) as error:  # nobody writes any more: whoever waits, and whoever comes, must hear it
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        failure = explain(error, self.path)
        failure.__cause__ = error
        with self._condition:
            self._failure = failure
            left = [future for _, future in self._queue if future is not None]
            self._queue.clear()
            self._riding.clear()
        for future in left:
            if future.set_running_or_notify_cancel():
                future.set_exception(failure)

    def _commit(self, session: Session, batch: list[_Waiting]) -> None:
        outcomes: list[_Outcome] | None = None
        broken: BaseException | None = None
        self._turns.wait()
        try:
            self._begin(session.raw)
            outcomes = _carry_out(session, batch)
            if outcomes is None:  # rare, so that a savepoint around each is not worth its price
                session.raw.rollback()
                self._begin(session.raw)
                outcomes = _carry_out_apart(session, batch)
            session.raw.commit()
        except BaseException as error:  # nothing of this batch is on disk: everybody who waits must hear it
            failure = explain(error, self.path)
            failure.__cause__ = error
            outcomes = [(future, None, failure) for _, future in batch]
            try:
                session.raw.rollback()
            except Exception as worse:
                broken = worse
        self._turns.over()
        for future, value, problem in outcomes:
            if future is None or not future.set_running_or_notify_cancel():
                continue
            if problem is not None:
                future.set_exception(problem)
            else:
                future.set_result(value)
        if broken is not None:  # in what state the connection is, nobody knows
            raise broken

    def _begin(self, raw: Any) -> None:
        """Become the one process that writes.

        SQLite's own waiting sleeps up to a tenth of a second between looks, which is long beside a commit of a
        millisecond: among many processes, some would always come too late.
        """
        _until_free(raw, "BEGIN IMMEDIATE", self._busy_seconds)


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


def _carry_out(session: Session, batch: list[_Waiting]) -> list[_Outcome] | None:
    """What comes of each write. None: one of them failed half-way, and nothing of this transaction can be kept."""
    raw = session.raw
    session.forget()
    outcomes: list[_Outcome] = []
    for work, future in batch:
        before, held = raw.total_changes, session.held
        try:
            outcomes.append((future, work(session), None))
        except Exception as error:
            _must_be_the_callers(error, raw)
            if raw.total_changes != before:
                return None
            session.forget(held)
            outcomes.append((future, None, error))  # it changed nothing: the batch goes on without it
    try:
        session.flush()
    except Exception as error:
        _must_be_the_callers(error, raw)
        return None
    return outcomes


def _carry_out_apart(session: Session, batch: list[_Waiting]) -> list[_Outcome]:
    """The same, each write inside a savepoint, so that what failed half-way is taken back alone."""
    session.forget()
    outcomes: list[_Outcome] = []
    for work, future in batch:
        try:
            with session.savepoint():
                value = work(session)
                session.flush()
            outcomes.append((future, value, None))
        except Exception as error:
            session.forget()
            _must_be_the_callers(error, session.raw)
            outcomes.append((future, None, error))
    return outcomes


def _must_be_the_callers(error: Exception, raw: Any) -> None:
    """A full disk makes SQLite roll back everything at once, savepoints included: then all have failed."""
    if _file_trouble(error) is not None or not raw.in_transaction:
        raise error


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


def _after(failure: LedgerUnavailable) -> LedgerUnavailable:
    """What whoever comes later is told: an error of their own, with the first one as its cause."""
    later = LedgerUnavailable(
        f"This ledger failed and was closed. {failure.message}", hint=failure.hint or "Make a new client."
    )
    later.__cause__ = failure
    return later


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
