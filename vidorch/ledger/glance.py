"""A look at a ledger from outside, for plans: nothing is opened for writing, nothing is made, and SQLAlchemy is not loaded."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import NamedTuple

from vidorch.latencies import SEEN_LATE
from vidorch.ledger.moves import State

__all__ = ["Finished", "finished_jobs"]


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


def finished_jobs(path: Path, *, limit: int = 3000) -> list[Finished]:
    """The newest finished jobs of a ledger, newest first; none where there is no ledger, or one that cannot be read.

    Left out are those that were seen long after a look was due: nobody knows how long they took.
    """
    if not path.is_file():
        return []
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            return [Finished(*row) for row in db.execute(_LOOK, (State.SETTLED.value, SEEN_LATE, limit))]
    except sqlite3.Error:
        return []
