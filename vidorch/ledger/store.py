"""The ledger's queue to its database: one writer thread per process, and readers beside it.

Writes wait in a queue; the writer takes all that wait, carries them out in one transaction and commits once (group commit),
so that a hundred jobs that move at the same time cost one sync of the disk. A write that fails is taken back alone. Whoever
needs a write on disk waits for its future; the others ride with the next commit, at most `LAZY_SECONDS` later.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from vidorch.databases import DatabaseUrl
from vidorch.errors import LedgerUnavailable
from vidorch.ledger.database import Database, Work, Writer

__all__ = ["Store", "Work", "database_of"]

T = TypeVar("T")
_Waiting = tuple[Work[Any], Future[Any] | None]
_Outcome = tuple[Future[Any] | None, Any, BaseException | None]

LAZY_SECONDS = 0.5
BATCH = 256  # writes in one transaction: bounds how long a reader of another process waits for news
BUSY_SECONDS = 30.0  # eight processes that commit in 5 ms each never come near it


def database_of(place: Path | DatabaseUrl | None, busy_seconds: float = BUSY_SECONDS) -> Database:
    """The database at a place, not open yet. Each loads its driver when it is asked for."""
    if isinstance(place, DatabaseUrl):
        try:
            from vidorch.ledger.postgres import Postgres
        except ImportError as error:
            raise LedgerUnavailable(
                f"The ledger {place} needs a package that is not here: {error}. Nothing was sent.",
                hint="pip install 'vidorch[postgres]'",
            ) from error  # fmt: skip
        return Postgres(place, busy_seconds)
    from vidorch.ledger.sqlite import Sqlite

    return Sqlite(place, busy_seconds)


class Store:
    """An open ledger database.

    Args:
        place: an SQLite file or a shared database; None keeps everything in memory, for free work where no file can be written.
        busy_seconds: how long to wait for another process that holds it, or for a server that is gone.

    Raises:
        LedgerUnavailable: it cannot be opened and written; it is left as it was.
    """

    def __init__(self, place: Path | DatabaseUrl | None, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self.database = database_of(place, busy_seconds)
        self._condition = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._riding: list[Work[Any]] = []
        self._urgent = 0
        self._asleep = False
        self._closed = False
        self._failure: LedgerUnavailable | None = None
        self._pid = os.getpid()
        self.database.open()
        self._thread = threading.Thread(target=self._write_loop, name="vidorch-ledger", daemon=True)
        self._thread.start()

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
        if not self.database.reads_beside:
            return self.write(work).result()
        if (self._queue or self._riding) and not self._closed:  # whoever wrote reads what was written
            self.flush()
        return self.database.read(work)

    def flush(self) -> None:
        """Wait until everything queued so far is on disk."""
        self.write(lambda connection: None).result()

    def close(self) -> None:
        """Write what waits, then let go of the database. Harmless when repeated."""
        with self._condition:
            if self._closed:
                return
            self._closed = True
            self._condition.notify()
        if self._pid == os.getpid():
            self._thread.join()
            self.database.close()

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

    def _write_loop(self) -> None:
        try:
            writer = self.database.writer()
            try:
                while batch := self._take():
                    self._commit(writer, batch)
                    writer.rest()
            finally:
                writer.close()
        except (
            BaseException
        ) as error:  # nobody writes any more: whoever waits, and whoever comes, must hear it
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        failure = self.database.explain(error)
        failure.__cause__ = error
        with self._condition:
            self._failure = failure
            left = [future for _, future in self._queue if future is not None]
            self._queue.clear()
            self._riding.clear()
        for future in left:
            if future.set_running_or_notify_cancel():
                future.set_exception(failure)

    def _commit(self, writer: Writer, batch: list[_Waiting]) -> None:
        outcomes: list[_Outcome] | None = None
        broken: BaseException | None = None
        try:
            while outcomes is None:
                outcomes = _on_disk(writer, batch)
        except BaseException as error:  # nothing of this batch is on disk: everybody who waits must hear it
            failure = self.database.explain(error)
            failure.__cause__ = error
            outcomes = [(future, None, failure) for _, future in batch]
            try:
                writer.rollback()
            except Exception as worse:
                broken = worse
        writer.over()
        for future, value, problem in outcomes:
            if future is None or not future.set_running_or_notify_cancel():
                continue
            if problem is not None:
                future.set_exception(problem)
            else:
                future.set_result(value)
        if broken is not None:  # in what state the connection is, nobody knows
            raise broken


def _on_disk(writer: Writer, batch: list[_Waiting]) -> list[_Outcome] | None:
    """What comes of each write, in one transaction that is on disk. None: nothing of it is there, and it may be tried again."""
    try:
        writer.begin()
        outcomes = _carry_out(writer, batch)
        if outcomes is None:  # rare, so that a savepoint around each is not worth its price
            writer.rollback()
            writer.begin()
            outcomes = _carry_out_apart(writer, batch)
        return outcomes if writer.commit() else None
    except Exception as error:
        if not writer.again(error):
            raise
        return None


def _carry_out(writer: Writer, batch: list[_Waiting]) -> list[_Outcome] | None:
    """What comes of each write. None: one of them failed half-way, and nothing of this transaction can be kept."""
    session = writer.session
    session.forget()
    outcomes: list[_Outcome] = []
    for work, future in batch:
        before, held = writer.mark(), session.held
        try:
            outcomes.append((future, work(session), None))
        except Exception as error:
            if not writer.goes_on(error):
                raise
            if not writer.untouched(before):
                return None
            session.forget(held)
            outcomes.append((future, None, error))  # it changed nothing: the batch goes on without it
    try:
        session.flush()
    except Exception as error:
        if not writer.goes_on(error):
            raise
        return None
    return outcomes


def _carry_out_apart(writer: Writer, batch: list[_Waiting]) -> list[_Outcome]:
    """The same, each write inside a savepoint, so that what failed half-way is taken back alone."""
    session = writer.session
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
            if not writer.goes_on(error):
                raise
            outcomes.append((future, None, error))
    return outcomes


def _after(failure: LedgerUnavailable) -> LedgerUnavailable:
    """What whoever comes later is told: an error of their own, with the first one as its cause."""
    later = LedgerUnavailable(
        f"This ledger failed and was closed. {failure.message}", hint=failure.hint or "Make a new client."
    )
    later.__cause__ = failure
    return later
