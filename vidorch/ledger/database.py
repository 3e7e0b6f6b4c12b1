"""What the ledger asks of the database under it. SQLite and PostgreSQL are behind the same door; nobody above asks which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from vidorch.errors import LedgerUnavailable
from vidorch.ledger.session import Session

__all__ = ["Database", "Work", "Writer"]

T = TypeVar("T")
Work = Callable[[Session], T]
"""What is to be done inside a transaction. It may be done more than once, and only the last time counts."""


class Writer(Protocol):
    """The one connection that a process writes with. Used by one thread.

    Attributes:
        session: how work speaks to the database; another one after a connection was lost.
    """

    session: Session

    def begin(self) -> None:
        """Begin a transaction, as the only one of all processes who writes until it ends."""

    def commit(self) -> bool:
        """Bring it to disk. False: it certainly is not there, and may be done again."""

    def rollback(self) -> None:
        """Take everything back."""

    def mark(self) -> int:
        """How much was changed so far, for `untouched`."""

    def untouched(self, mark: int) -> bool:
        """Whether nothing was changed since `mark`, so that the transaction can go on as if nothing had been tried."""

    def goes_on(self, error: BaseException) -> bool:
        """Whether it is one write that failed with `error`, and not the whole transaction."""

    def again(self, error: BaseException) -> bool:
        """Whether the transaction that failed with `error` is to be done once more from its beginning."""

    def over(self) -> None:
        """A transaction has ended, one way or the other."""

    def rest(self) -> None:
        """What keeps the database quick, while nobody waits."""

    def close(self) -> None:
        """Let go of the connection."""


class Database(Protocol):
    """A ledger's database, from before it is opened.

    Attributes:
        reads_beside: whether `read` may be called while the writer writes.
        ahead: seconds by which its clock is ahead of this machine's; 0 where it has none of its own.
    """

    reads_beside: bool

    @property
    def ahead(self) -> float: ...

    def open(self) -> None:
        """See that it is a ledger, or make it one, and that it can be written.

        Raises:
            LedgerUnavailable: it cannot; what was there is left as it was.
        """

    def is_there(self) -> bool:
        """Whether somebody made it already; looking makes nothing.

        Raises:
            LedgerUnavailable: it cannot be asked.
        """

    def writer(self) -> Writer:
        """The connection of the thread that writes."""

    def read(self, work: Work[T]) -> T:
        """Read on a connection of its own; all of `work` sees one moment.

        Raises:
            LedgerUnavailable: it cannot be read.
        """

    def explain(self, error: BaseException) -> LedgerUnavailable:
        """A trouble with the database, in words. Nothing is paid without a ledger, so it was not charged."""

    def close(self) -> None:
        """Let go of it."""
