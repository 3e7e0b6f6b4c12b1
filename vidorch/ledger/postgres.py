"""The ledger in PostgreSQL: one for many machines.

SQLite lets one process write at a time, and all that is checked before it is written (what fits a budget, who owns a key, whether
a limit leaves room) stands on that. Here transactions would run side by side, so each that writes begins by taking the ledger's
own lock (`pg_advisory_xact_lock`), which ends with it. The group commit keeps that short.

A connection may be lost at any moment. Before the commit was sent nothing is there, and the transaction is made again. When its
answer is lost, nobody could tell; so each transaction numbers itself in a row of its writer's own, and whoever reconnects takes
the lock (then the lost one has ended) and looks which number is there.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.types.string import StrDumper
from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql import psycopg as dialect_of
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from vidorch.databases import DatabaseUrl
from vidorch.errors import LedgerUnavailable
from vidorch.ledger.database import Work
from vidorch.ledger.migrations import MIGRATIONS, migrate
from vidorch.ledger.postgres_troubles import explain, is_lost, passes
from vidorch.ledger.schema import TABLES
from vidorch.ledger.session import Session

__all__ = ["DIALECT", "Postgres"]

T = TypeVar("T")
Connection = psycopg.Connection[tuple[Any, ...]]

DIALECT = dialect_of.dialect(dbapi=psycopg)  # type: ignore[no-untyped-call]
LOCK = 0x766964  # "vid"
"""The first half of our locks' names. The second is the number of the ledger's table `meta`, 0 while that is made."""
READERS = 2
"""Connections that a process reads with, at most. With the one that writes, thirty workers fit a server as it comes (100)."""
SILENT_SECONDS = 10
"""A process that holds the lock for so long without a word is frozen, or gone with its network: the server lets go of it."""
FORGOTTEN_SECONDS = 7 * 86_400
"""After so long nobody asks any more whether a commit arrived."""
CONNECT_SECONDS = 10
_KEEP_ALIVE = {
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 25_000,
}  # fmt: skip
"""A server that vanished without a word is noticed within half a minute; the system's own patience is hours."""
_OF_ONE_WRITE = (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.ProgramLimitExceeded)
"""A row that there is already, a number that is too large, a word too long for an index."""
_PAUSES = (0.05, 0.1, 0.2, 0.5)

# Whatever the server, the database or the role say: nobody cuts off a statement of ours, and what is committed is on disk.
_SETTINGS = """
    SET statement_timeout = 0; SET lock_timeout = {lock}; SET idle_in_transaction_session_timeout = {silent};
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
_LOOK = """
    SELECT current_schema(), current_setting('server_encoding'), pg_is_in_recovery(),
        (SELECT to_regclass(quote_ident(current_schema()) || '.meta')::oid::bigint),
        (SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e'))
"""
_RIGHTS = """
    SELECT string_agg(name, ', ') FROM unnest(%s::text[]) AS name
    WHERE NOT (has_table_privilege(name, 'SELECT') AND has_table_privilege(name, 'INSERT')
        AND has_table_privilege(name, 'UPDATE') AND has_table_privilege(name, 'DELETE'))
"""
_BEGIN = """
    BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock({lock}, {ledger});
    INSERT INTO meta (name, value) VALUES ({writer}, {number} || ' ' || extract(epoch FROM now()))
        ON CONFLICT (name) DO UPDATE SET value = excluded.value;
    SELECT extract(epoch FROM clock_timestamp())::double precision
"""
_BEGIN_READING = """
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT extract(epoch FROM clock_timestamp())::double precision
"""
_NUMBER = "SELECT split_part(value, ' ', 1)::bigint FROM meta WHERE name = %s"
_FORGET = """
    DELETE FROM meta WHERE name LIKE 'writer:%%'
        AND split_part(value, ' ', 2)::double precision < extract(epoch FROM now()) - %s
"""


class _Text(StrDumper):
    """Text as PostgreSQL takes it: it has no character 0."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


class Postgres:
    """A ledger that several machines share.

    Args:
        url: where it is. busy_seconds: how long to wait for whoever writes, and for a server that is gone.
    """

    reads_beside = True

    def __init__(self, url: DatabaseUrl, busy_seconds: float = 30.0) -> None:
        self.url = url
        self.ledger = 0
        self.busy_seconds = busy_seconds
        self._ahead = 0.0
        self._idle: list[Connection] = []
        self._readers = threading.BoundedSemaphore(READERS)
        self._pid = os.getpid()
        self._closed = threading.Event()

    @property
    def ahead(self) -> float:
        return self._ahead

    def tell_time(self, seconds: float) -> None:
        """What the server's clock has just said."""
        self._ahead = seconds - time.time()

    # -- connections ------------------------------------------------------------------------------------------------

    def connect(self) -> Connection:
        """A connection that begins its transactions itself.

        Raises:
            psycopg.Error: there is none.
        """
        settings: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, **_KEEP_ALIVE, **self.url.settings}
        settings |= {
            "application_name": "vidorch",
            "client_encoding": "UTF8",
        }  # whatever PGCLIENTENCODING says
        raw = psycopg.connect(make_conninfo(**settings), autocommit=True)
        try:
            raw.adapters.register_dumper(str, _Text)
            wait = max(1, int(self.busy_seconds * 1000))
            raw.execute(_SETTINGS.format(lock=wait, silent=SILENT_SECONDS * 1000).encode())
        except BaseException:
            raw.close()
            raise
        return raw

    def patiently(self, attempt: Callable[[], T], *, while_away: bool = True) -> T:
        """What `attempt` gives, tried again while the server is gone or has no room, for `busy_seconds`.

        Args:
            while_away: False where a server that does not answer at all is not waited for.
        """
        until, turn = time.monotonic() + self.busy_seconds, 0
        while True:
            try:
                return attempt()
            except (psycopg.Error, SQLAlchemyError) as error:
                waits = passes(error) or (while_away and is_lost(error))
                if not waits or time.monotonic() >= until or self._closed.is_set():
                    raise
            self._closed.wait(_PAUSES[min(turn, len(_PAUSES) - 1)])
            turn += 1

    def open(self) -> None:
        try:
            raw = self.patiently(self.connect, while_away=False)
            with contextlib.closing(raw):
                applied = self._look_before_touching(raw)
                if applied != {migration.name for migration in MIGRATIONS}:
                    self.patiently(self._migrate, while_away=False)
                    self._look_before_touching(raw)
                self._must_be_writable(raw)
                self.tell_time(float(_last(raw.execute(_BEGIN_READING))))
        except (psycopg.Error, SQLAlchemyError) as error:
            raise self.explain(error) from error

    def is_there(self) -> bool:
        """As `Database.is_there`; also raises where it could not be made: an empty list would say that all is well."""
        try:
            with contextlib.closing(self.connect()) as raw:
                return bool(self._look_before_touching(raw))
        except psycopg.Error as error:
            raise self.explain(error) from error

    def _look_before_touching(self, raw: Connection) -> set[str]:
        """The migrations applied so far. Raises, having written nothing, when this is not a ledger that we can keep."""
        schema, encoding, standby, meta, tables = _one(raw, _LOOK)
        if schema is None:
            raise LedgerUnavailable(
                f"The ledger {self.url} has no schema to lie in: none of its search path is there.",
                hint="CREATE SCHEMA, or name another one: ?options=-csearch_path=NAME behind the URL.",
            )
        if encoding != "UTF8":
            raise LedgerUnavailable(
                f"The database of the ledger {self.url} keeps text as {encoding}, which cannot hold every prompt.",
                hint="CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
            )
        if standby:
            raise LedgerUnavailable(
                f"The ledger {self.url} cannot be written: the server is a standby.",
                hint="Name the primary, or several hosts with target_session_attrs=read-write behind the URL.",
            )
        applied: set[str] = set()
        if meta is not None:
            with contextlib.suppress(psycopg.errors.UndefinedColumn):
                rows = raw.execute("SELECT name FROM meta WHERE name LIKE 'migration:%'").fetchall()
                applied = {str(name).removeprefix("migration:") for (name,) in rows}
        if tables and not applied:
            raise LedgerUnavailable(
                f"The schema {schema} of {self.url} has tables, but they are not a vidorch ledger. It was left as it is.",
                hint="Give the ledger a database or a schema of its own: CREATE SCHEMA vidorch, and "
                "?options=-csearch_path=vidorch behind the URL.",
            )
        if newer := applied - {migration.name for migration in MIGRATIONS}:
            raise LedgerUnavailable(
                f"The ledger {self.url} was written by a newer vidorch (it knows {', '.join(sorted(newer))}). "
                "It was left as it is.",
                hint="Update vidorch, or use another ledger.",
            )
        self.ledger = _as_int4(meta or 0)
        return applied

    def _migrate(self) -> None:
        """Make what is missing, once: of many who open a new ledger together one makes it, and the others wait for that."""
        raw = self.connect()
        raw.autocommit = False
        engine = create_engine("postgresql+psycopg://", creator=lambda: raw, poolclass=NullPool)
        with engine.connect() as connection, connection.begin():  # the engine closes it
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK}, 0)")
            applied = self._look_before_touching(raw)
            if (
                self.ledger
            ):  # whoever writes has locked rows of one table and may want another, and so would we
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK}, {self.ledger})")
            migrate(connection, applied)

    def _must_be_writable(self, raw: Connection) -> None:
        names = [table.name for table in TABLES]
        (lacking,) = _one(raw, _RIGHTS, (names,))
        if lacking:
            raise LedgerUnavailable(
                f"The ledger {self.url} cannot be written: there are no rights to read and change {lacking}.",
                hint="GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ... TO ... (and USAGE on the schema).",
            )
        raw.execute("BEGIN READ WRITE")  # refused where the server only reads
        raw.execute(_FORGET, (FORGOTTEN_SECONDS,))
        raw.execute("COMMIT")

    # -- reading and writing ------------------------------------------------------------------------------------------

    def writer(self) -> PostgresWriter:
        return PostgresWriter(self)

    def read(self, work: Work[T]) -> T:
        if self._pid != os.getpid():
            raise LedgerUnavailable("This ledger was closed.", hint="Make a new client.")
        try:
            return self.patiently(lambda: self._read_once(work))
        except (psycopg.Error, SQLAlchemyError) as error:
            raise self.explain(error) from error

    def _read_once(self, work: Work[T]) -> T:
        with self._readers:
            try:
                raw = self._idle.pop()
            except IndexError:  # asked first, another reader might take it in between
                raw = self.connect()
            try:
                self.tell_time(float(_last(raw.execute(_BEGIN_READING))))
                found = work(Session(raw, DIALECT))
                raw.execute("ROLLBACK")
            except BaseException:
                raw.close()
                raise
            if self._closed.is_set():
                raw.close()
            else:
                self._idle.append(raw)
            return found

    def explain(self, error: BaseException) -> LedgerUnavailable:
        return explain(error, self.url)

    def close(self) -> None:
        self._closed.set()
        while self._idle:
            self._idle.pop().close()


class PostgresWriter:
    """The connection that writes, under the ledger's lock. A lost one is replaced by the next transaction."""

    session: Session

    def __init__(self, database: Postgres) -> None:
        self._database = database
        self._name = f"writer:{uuid.uuid4().hex}"
        self._number = 0
        self._raw: Connection | None = None
        self._troubled: float | None = None
        self._final = False
        """Whether the transaction is over for good: its patience has ended, or nobody can tell whether it arrived."""

    def _connection(self) -> Connection:
        if self._raw is None:
            self._raw = self._database.connect()
            self.session = Session(self._raw, DIALECT)
        return self._raw

    def begin(self) -> None:
        self._number += 1
        self._final = False
        since = time.monotonic()
        try:
            self._database.patiently(self._begin_once)
        except psycopg.Error:
            self._troubled = self._troubled or since
            raise

    def _begin_once(self) -> None:
        statement = sql.SQL(_BEGIN).format(
            lock=LOCK, ledger=self._database.ledger, writer=self._name, number=str(self._number)
        )
        try:
            self._database.tell_time(float(_last(self._connection().execute(statement))))
        except BaseException:
            self._drop()
            raise

    def commit(self) -> bool:
        assert self._raw is not None
        try:
            self._raw.commit()
        except psycopg.Error as error:
            if not is_lost(error, self._raw):
                raise
            self._drop()
            self._final = True  # made again, it would be there twice
            there = self._database.patiently(self._look_for_it)
            if not there:
                self._final = not self._is_patient()
                if self._final:
                    raise
                return False
        self._troubled = None
        return True

    def _look_for_it(self) -> bool:
        """Whether the transaction whose answer was lost is there. Whoever has the lock knows that it has ended."""
        try:
            raw = self._connection()
            raw.execute("BEGIN")
            raw.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCK, self._database.ledger))
            found = raw.execute(_NUMBER, (self._name,)).fetchone()
            raw.execute("ROLLBACK")
        except BaseException:
            self._drop()
            raise
        return found is not None and found[0] == self._number

    def rollback(self) -> None:
        if self._raw is None:
            return
        try:
            self._raw.rollback()
        except psycopg.Error:  # what it had begun ends with it
            self._drop()

    def mark(self) -> int:
        return self.session.changed

    def untouched(self, mark: int) -> bool:
        return self.session.changed == mark and self._status() is TransactionStatus.INTRANS

    def goes_on(self, error: BaseException) -> bool:
        """What the server says of itself (a full disk, rights that were taken away) is no fault of one write."""
        if isinstance(error, psycopg.Error) and not isinstance(error, _OF_ONE_WRITE):
            return False
        return self._status() in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    def _status(self) -> TransactionStatus:
        return TransactionStatus.UNKNOWN if self._raw is None else self._raw.info.transaction_status

    def again(self, error: BaseException) -> bool:
        if self._final or not isinstance(error, psycopg.Error):
            return False
        if not (is_lost(error, self._raw) or passes(error)):
            return False
        self.rollback()
        if self._raw is not None and self._raw.closed:
            self._drop()
        return self._is_patient()

    def _is_patient(self) -> bool:
        """Whether the troubles that began some time ago are worth another try."""
        self._troubled = self._troubled or time.monotonic()
        if time.monotonic() - self._troubled < self._database.busy_seconds:
            return True
        self._troubled = None
        return False

    def over(self) -> None:
        """The lock ended with the transaction."""

    def rest(self) -> None:
        """The server tidies up by itself."""

    def close(self) -> None:
        if self._raw is not None:
            with contextlib.suppress(psycopg.Error):
                self._raw.execute("DELETE FROM meta WHERE name = %s", (self._name,))
        self._drop()

    def _drop(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            with contextlib.suppress(psycopg.Error):
                raw.close()


def _one(raw: Connection, statement: str, values: tuple[Any, ...] | None = None) -> tuple[Any, ...]:
    row = raw.execute(statement.encode(), values).fetchone()
    assert row is not None
    return row


def _last(cursor: psycopg.Cursor[tuple[Any, ...]]) -> Any:
    """The one value that the last of several statements gave."""
    while cursor.nextset():
        pass
    row = cursor.fetchone()
    assert row is not None
    return row[0]


def _as_int4(number: int) -> int:
    """A table's number (unsigned) as the second half of a lock's name (signed)."""
    return number - 2**32 if number >= 2**31 else number
