"""How the ledger's work speaks to the database: statements built once, carried out on the driver's own cursor.

A job's life is some thirty statements. SQLAlchemy's own execution would cost ten times what SQLite takes for them, so here it
only writes the SQL: each statement is compiled once for each set of columns, and what is compiled is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import Dialect, Executable, Table, bindparam, insert
from sqlalchemy.sql.compiler import SQLCompiler

__all__ = ["Row", "Session", "Values"]

Row = Mapping[str, Any]
Values = Mapping[str, Any]

WHERE = "b_"
"""What the names of values begin with that are not columns to write."""
TOGETHER = (64, 8, 1)
"""Rows of one INSERT. The driver hands the interpreter over at each statement, so that few and long ones cost least."""


class Session:
    """A connection of the driver, inside a transaction.

    Statements are meant to be constants: what differs from call to call goes into `values`. An INSERT or UPDATE without
    values of its own writes the columns named in `values`; names that begin with `b_` are bound parameters.

    Args:
        raw: a connection as PEP 249 has it. dialect: that of its database, with named parameters.
    """

    def __init__(self, raw: Any, dialect: Dialect) -> None:
        self.raw = raw
        self._dialect = dialect
        self._execute = raw.cursor().execute
        self.integrity_error: type[Exception] = dialect.loaded_dbapi.IntegrityError
        """What the driver raises for a row that breaks a constraint."""
        self.known: dict[Any, Any] = {}
        """What was read in this transaction, by those who see to it that it stays true."""
        self.changed = 0
        """Rows that were changed so far."""
        self._later: list[tuple[Table, Values]] = []
        self._tables: set[str] = set()

    def run(self, statement: Executable, values: Values | None = None) -> int:
        """Carry out a statement. Returns how many rows it changed."""
        count = int(self._cursor(statement, values or {}).rowcount)
        self.changed += max(count, 0)
        return count

    def rows(self, statement: Executable, values: Values | None = None) -> list[dict[str, Any]]:
        """All rows of a query, by column name."""
        cursor = self._cursor(statement, values or {})
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def tuples(self, statement: Executable, values: Values | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query as the driver gives them: for so many that their names would cost more than they."""
        found: list[tuple[Any, ...]] = self._cursor(statement, values or {}).fetchall()
        return found

    def row(self, statement: Executable, values: Values | None = None) -> dict[str, Any] | None:
        """The first row of a query, or None."""
        cursor = self._cursor(statement, values or {})
        found = cursor.fetchone()
        if found is None:
            return None
        return dict(zip((column[0] for column in cursor.description), found, strict=True))

    def later(self, table: Table, row: Values) -> None:
        """Insert a row together with others like it: before another statement names the table, or at the transaction's end."""
        self._later.append((table, row))
        self._tables.add(table.name)

    @property
    def held(self) -> int:
        """Rows that wait, for `forget`."""
        return len(self._later)

    def forget(self, held: int = 0) -> None:
        """Drop the rows that came after so many of them, and what was read: their writer failed, or a transaction begins."""
        del self._later[held:]
        self.known.clear()

    def flush(self) -> None:
        """Insert the rows that wait."""
        waiting, self._later = self._later, []
        self._tables.clear()
        alike: dict[tuple[Table, tuple[str, ...]], list[Values]] = {}
        for table, row in waiting:
            alike.setdefault((table, tuple(row)), []).append(row)
        for (table, names), rows in alike.items():
            done = 0
            for count in TOGETHER:
                while done + count <= len(rows):
                    part = rows[done : done + count]
                    values = {f"{name}_{i}": row[name] for i, row in enumerate(part) for name in names}
                    self._execute(_insertion(self._dialect, table, names, count), values)
                    self.changed += count
                    done += count

    @contextmanager
    def savepoint(self, name: str = "within") -> Iterator[None]:
        """What fails inside is taken back alone."""
        self._execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            self.known.clear()
            self._execute(f"ROLLBACK TO SAVEPOINT {name}")
            self._execute(f"RELEASE SAVEPOINT {name}")
            raise
        self._execute(f"RELEASE SAVEPOINT {name}")

    def _cursor(self, statement: Executable, values: Values) -> Any:
        sql, constants = _compiled(self._dialect, statement, tuple(values))
        if self._later and any(name in sql for name in self._tables):
            self.flush()
        return self._execute(sql, {**constants, **values} if constants else values)


@lru_cache(maxsize=1024)
def _compiled(dialect: Dialect, statement: Any, names: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """The SQL, and the values that are part of the statement itself."""
    columns = [name for name in names if not name.startswith(WHERE)]
    compiled = statement.compile(dialect=dialect, column_keys=columns)
    assert isinstance(compiled, SQLCompiler)
    constants = {name: value for name, value in compiled.params.items() if name not in names}
    if missing := [
        name for name in constants if (bind := compiled.binds.get(name)) is not None and bind.required
    ]:
        raise TypeError(f"No value was given for {', '.join(missing)} in: {compiled}")
    return str(compiled), constants


@lru_cache(maxsize=64)
def _insertion(dialect: Dialect, table: Table, names: tuple[str, ...], count: int) -> str:
    rows: list[dict[str, Any]] = [{name: bindparam(f"{name}_{i}") for name in names} for i in range(count)]
    return str(insert(table).values(rows).compile(dialect=dialect))
