"""How the ledger's work speaks to the database: one statement at a time, with named values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, Executable

__all__ = ["Row", "Session", "Values"]

Row = Mapping[str, Any]
Values = Mapping[str, Any]


class Session:
    """An open transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def run(self, statement: Executable, values: Values | None = None) -> int:
        """Carry out a statement. Returns how many rows it changed."""
        return self.connection.execute(statement, values or {}).rowcount

    def each(self, statement: Executable, many: Iterable[Values]) -> None:
        """Carry out a statement for each set of values."""
        for values in many:
            self.run(statement, values)

    def rows(self, statement: Executable, values: Values | None = None) -> list[Row]:
        """All rows of a query, by column name."""
        return [dict(row) for row in self.connection.execute(statement, values or {}).mappings()]

    def row(self, statement: Executable, values: Values | None = None) -> Row | None:
        """The first row of a query, or None."""
        found = self.connection.execute(statement, values or {}).mappings().first()
        return None if found is None else dict(found)

    def savepoint(self) -> AbstractContextManager[Any]:
        """What fails inside is taken back alone."""
        return self.connection.begin_nested()
