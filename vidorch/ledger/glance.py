"""A look at a ledger from outside, for plans: nothing is opened for writing, nothing is made, and SQLAlchemy is not loaded."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from vidorch.databases import DatabaseUrl
from vidorch.latencies import SEEN_LATE
from vidorch.ledger.moves import State

__all__ = ["Finished", "finished_jobs"]

PATIENCE = 2
"""Seconds that a server may take to answer: a plan goes by the catalog's own figures then."""


class Finished(NamedTuple):
    """A job that gave its clip.

    Attributes:
        settings: what was bought, as JSON. seconds: from its submit to the checked file, however long it waited before.
        timings: where its seconds went, as JSON; "" where nobody wrote it down.
    """

    endpoint: str
    model: str
    task: str
    settings: str
    seconds: float
    timings: str = ""


_LOOK = """
    SELECT endpoint, model, task, settings, ended_at - sending_at, COALESCE(timings, '') FROM jobs
    WHERE state = ? AND sending_at IS NOT NULL AND ended_at > sending_at
      AND downloading_at IS NOT NULL AND (poll_at IS NULL OR downloading_at <= poll_at + ?)
    ORDER BY created_at DESC LIMIT ?
"""


def finished_jobs(place: Path | DatabaseUrl, *, limit: int = 3000) -> list[Finished]:
    """The newest finished jobs of a ledger, newest first; none where there is no ledger, or one that cannot be read.

    Left out are those that were seen long after a look was due: nobody knows how long they took.
    """
    asked = (State.SETTLED.value, SEEN_LATE, limit)
    rows = _in_a_database(place, asked) if isinstance(place, DatabaseUrl) else _in_a_file(place, asked)
    return [Finished(*row) for row in rows]


def _in_a_file(path: Path, asked: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    if not path.is_file():
        return []
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            return db.execute(_LOOK, asked).fetchall()
    except sqlite3.Error:
        return []


def _in_a_database(url: DatabaseUrl, asked: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    try:
        import psycopg
    except ImportError:
        return []
    settings: dict[str, Any] = {
        "connect_timeout": PATIENCE, "keepalives_idle": PATIENCE, "keepalives_interval": 1, "keepalives_count": 2,
        **url.settings, "application_name": "vidorch",
    }  # fmt: skip
    try:
        with psycopg.connect(psycopg.conninfo.make_conninfo(**settings)) as db:
            db.execute(
                f"SET statement_timeout = {int(PATIENCE * 1000)}".encode()
            )  # somebody may have locked the table
            db.commit()
            db.read_only = True
            return db.execute(_LOOK.replace("?", "%s").encode(), asked).fetchall()
    except psycopg.Error:
        return []
